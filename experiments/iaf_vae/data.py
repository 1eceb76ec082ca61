"""Images in the form of a likelihood: zeros and ones, grey levels, or grey values."""

import dataclasses

import numpy as np

from experiments.data import DataError, Dataset, load_dataset
from experiments.data.dataset import SETS


@dataclasses.dataclass(frozen=True)
class Images:
    """A data set of images.

    Args:
      dataset: a `Dataset` with values in [0, 1]; it has a `bin_width` if these are grey
        levels with dequantisation noise.
      redrawn: whether the training rows are probabilities, from which each epoch draws
        zeros and ones; validation and test rows are drawn once.
      num_bins: number of grey levels; None for binary images.
    """

    dataset: Dataset
    redrawn: bool = False
    num_bins: int | None = None

    @property
    def image_shape(self):
        """`(H, W, C)`."""
        shape = self.dataset.pixel_shape
        return shape if len(shape) == 3 else (*shape, 1)


def load_images(settings):
    """Returns the `Images` that `settings` name, for their likelihood."""
    name, likelihood = settings.dataset, settings.likelihood
    dataset = load_dataset(name, **settings.data_arguments())
    if dataset.image_shape is None:
        raise DataError(f"Expected a data set of images; {name} has none.")
    if dataset.is_binary:
        if likelihood != "bernoulli":
            raise DataError(
                f"Expected grey levels for {likelihood}; {name} holds zeros and ones."
            )
        return Images(dataset)
    if dataset.bin_width is None:
        raise DataError(f"Expected grey levels; {name} has none.")
    num_bins = round(1.0 / dataset.bin_width)
    # Most published figures are densities, not comparable with probabilities.
    dataset = dataclasses.replace(dataset, published={})
    if likelihood == "gaussian":  # a density needs dequantised levels
        return Images(dataset, num_bins=num_bins)
    levels = _levels(dataset)
    if likelihood == "bernoulli":
        return Images(_binarized(levels, settings.data_seed), redrawn=True)
    return Images(levels, num_bins=num_bins)


def _levels(dataset):
    """The grey levels without dequantisation noise, scaled to [0, 1]."""
    highest = round(1.0 / dataset.bin_width) - 1
    levels = {name: np.floor(getattr(dataset, name) / dataset.bin_width) for name in SETS}
    sets = {name: (rows / highest).astype(np.float32) for name, rows in levels.items()}
    return dataclasses.replace(dataset, bin_width=None, **sets)


def _binarized(levels, seed):
    rng = np.random.default_rng(seed)
    sets = {
        name: (rng.random(rows.shape) < rows).astype(np.float32)
        for name, rows in (("validation", levels.validation), ("test", levels.test))
    }
    return dataclasses.replace(levels, is_binary=True, **sets)
