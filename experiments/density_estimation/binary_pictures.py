"""Which pictures a run on zeros and ones gets."""

import functools

import numpy as np

from experiments.density_estimation import binary_plots
from experiments.reports import image_plots

__all__ = ["of_binary_data"]

_NUM_IMAGES = 8
_NUM_COMPLETIONS = 6
_MAX_MASKS = 6


def of_binary_data(subject):
    """Returns (caption, function of `path`) by file name, the most telling first.

    Args:
      subject: a `Subject` of binary data.
    """
    moments = functools.partial(binary_plots.moments, subject.data, subject.samples)
    pictures = {
        "moments.png": (
            "Means and covariances of samples against those of test rows.",
            moments,
        )
    }
    return _of_images(subject) | pictures if subject.dataset.image_shape else pictures


def _of_images(subject):
    shape = (-1, *subject.dataset.image_shape)
    panels = {"data (test)": subject.data, "samples of the model": subject.samples}
    panels = {title: rows.reshape(shape) for title, rows in panels.items()}
    images = functools.partial(image_plots.grids, panels)
    pictures = {"samples.png": ("Test images, and samples of the model.", images)}
    if subject.context is None:
        pictures["completions.png"] = (
            "Test images, their upper halves, and completions drawn given these.",
            functools.partial(_draw_completions, subject),
        )
    if subject.distribution.num_masks > 1:
        pictures["orderings.png"] = (
            "Samples under different masks of the cycle, a row each.",
            functools.partial(_draw_orderings, subject),
        )
    return pictures


def _draw_completions(subject, path):
    height, width = subject.dataset.image_shape
    rows = subject.data[:_NUM_IMAGES]
    is_upper = np.arange(height * width) < height // 2 * width
    completed = [
        subject.distribution.impute(rows, is_upper, seed=seed).numpy()
        for seed in range(_NUM_COMPLETIONS)
    ]
    observed = np.where(is_upper, rows, 0.35)
    columns = {"test image": rows, "observed": observed}
    columns |= {f"completion {i + 1}": images for i, images in enumerate(completed)}
    shape = (-1, height, width)
    image_plots.columns({k: images.reshape(shape) for k, images in columns.items()}, path)


def _draw_orderings(subject, path):
    distribution, shape = subject.distribution, (-1, *subject.dataset.image_shape)
    labelled = []
    for index in range(min(_MAX_MASKS, distribution.num_masks)):
        samples = distribution.sample(10, seed=subject.settings.seed, mask_index=index)
        labelled.append((f"mask {index + 1}", samples.numpy().reshape(shape)))
    image_plots.rows(labelled, path)
