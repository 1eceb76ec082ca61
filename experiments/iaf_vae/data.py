"""Images in the form of a likelihood: zeros and ones, grey levels, or grey values."""

import dataclasses

import numpy as np

from experiments.data import DATASETS, DataError, Dataset, load_dataset
from experiments.data.dataset import SETS, context_fields


@dataclasses.dataclass(frozen=True)
class Images:
    """A data set of images.

    Args:
      dataset: a `Dataset` with values in [0, 1]; it has a `bin_width` if these are grey
        levels with dequantisation noise.
      image_shape: `(H, W, C)`.
      redrawn: whether the training rows are probabilities, from which each epoch draws
        zeros and ones; validation and test rows are drawn once.
      num_bins: number of grey levels; None for binary images.
      test_classes: class of each test row, as an integer; None if there are no classes.
    """

    dataset: Dataset
    image_shape: tuple[int, int, int]
    redrawn: bool = False
    num_bins: int | None = None
    test_classes: np.ndarray | None = None


def load_images(settings):
    """Returns the `Images` that `settings` name, for their likelihood."""
    dataset = load_dataset(
        settings.dataset,
        **settings.data_arguments(),
        # For the classes of the test rows; the model does not see them.
        conditional=DATASETS[settings.dataset].has_classes,
    )
    if dataset.image_shape is None:
        raise DataError(f"Expected a data set of images; {settings.dataset} has none.")
    height, width = dataset.image_shape[:2]
    shape = (height, width, dataset.event_size // (height * width))
    classes = dataset.test_context.argmax(axis=1) if dataset.class_names else None
    facts = {"image_shape": shape, "test_classes": classes}
    if dataset.is_binary:
        if settings.likelihood != "bernoulli":
            raise DataError(
                f"Expected grey levels for {settings.likelihood}; {settings.dataset} holds "
                "zeros and ones."
            )
        return Images(_without_context(dataset), **facts)
    if dataset.bin_width is None:
        raise DataError(f"Expected grey levels; {settings.dataset} has none.")
    num_bins = round(1.0 / dataset.bin_width)
    if settings.likelihood == "gaussian":  # a density needs dequantised levels
        dataset = _without_context(dataset)
        return Images(dataset, num_bins=num_bins, **facts)
    levels = _levels(dataset)
    if settings.likelihood == "bernoulli":
        return Images(_binarized(levels, settings.data_seed), redrawn=True, **facts)
    return Images(levels, num_bins=num_bins, **facts)


def _without_context(dataset):
    return dataclasses.replace(dataset, class_names=None, **context_fields([None] * 3))


def _levels(dataset):
    """The grey levels without dequantisation noise, scaled to [0, 1]."""
    highest = round(1.0 / dataset.bin_width) - 1
    levels = {name: np.floor(getattr(dataset, name) / dataset.bin_width) for name in SETS}
    sets = {name: (rows / highest).astype(np.float32) for name, rows in levels.items()}
    dataset = _without_context(dataset)
    # Most published figures are densities, not comparable with probabilities.
    return dataclasses.replace(dataset, bin_width=None, published={}, **sets)


def _binarized(levels, seed):
    rng = np.random.default_rng(seed)
    sets = {
        name: (rng.random(rows.shape) < rows).astype(np.float32)
        for name, rows in (("validation", levels.validation), ("test", levels.test))
    }
    return dataclasses.replace(levels, is_binary=True, **sets)
