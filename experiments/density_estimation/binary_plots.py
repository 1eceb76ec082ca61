"""Pictures of zeros and ones: functions (arrays, path) -> None."""

import matplotlib.pyplot as plt
import numpy as np

from experiments.reports.plots import save

_FLOW = "#d1603d"
_GAP = 2  # pixels between two images


def moments(data, samples, path):
    """Draws the means and covariances of samples against those of data, `[N, D]`.

    Points are on the diagonal, but for the chance of the draws, where the model is right.
    """
    upper = np.triu_indices(data.shape[1], 1)
    covariances = [np.cov(x, rowvar=False)[upper] for x in (data, samples)]
    panels = {
        "share of ones of a variable": [x.mean(axis=0) for x in (data, samples)],
        "covariance of two variables": covariances,
    }
    figure, axes = plt.subplots(1, 2, figsize=(10, 5), layout="constrained")
    for axis, (title, (of_data, of_samples)) in zip(axes, panels.items(), strict=True):
        axis.axline((0.0, 0.0), slope=1.0, color="0.6", linewidth=0.8)
        axis.scatter(of_data, of_samples, s=5, alpha=0.3, color=_FLOW, rasterized=True)
        axis.set(title=title, xlabel="test rows", ylabel="samples")
    save(figure, path)


def completions(originals, partial, completed, path):
    """Draws images, what is shown of them, and completions, a row an image.

    Args:
      originals: `[N, H, W]`.
      partial: `[N, H, W]`; NaN where nothing is shown.
      completed: `[M, N, H, W]`, M completions of each.
      path: of the picture.
    """
    columns = [originals, np.where(np.isnan(partial), 0.35, partial), *completed]
    titles = [
        "test image",
        "observed",
        *[f"completion {i + 1}" for i in range(len(completed))],
    ]
    figure, axes = plt.subplots(
        1,
        len(columns),
        figsize=(1.2 * len(columns), 1.25 * len(originals) + 0.7),
        layout="constrained",
    )
    for axis, images, title in zip(axes, columns, titles, strict=True):
        _show(axis, _stack(images[:, None]), title)
    save(figure, path)


def samples_by_ordering(samples, path):
    """Draws images of several masks, a row a mask.

    Args:
      samples: `[K, N, H, W]`, N samples under each of K masks.
      path: of the picture.
    """
    count, number = samples.shape[:2]
    figure, axis = plt.subplots(
        figsize=(0.75 * number + 0.7, 0.75 * count + 0.5), layout="constrained"
    )
    _show(axis, _stack(samples), "samples under different masks, a row each")
    save(figure, path)


def _stack(images):
    """Joins images, `[rows, columns, H, W]`, into one, with gaps."""
    images = np.pad(images, [(0, 0), (0, 0), (0, _GAP), (0, _GAP)], constant_values=0.15)
    rows, columns, height, width = images.shape
    return images.swapaxes(1, 2).reshape(rows * height, columns * width)[:-_GAP, :-_GAP]


def _show(axis, image, title):
    axis.imshow(image, cmap="gray_r", vmin=0.0, vmax=1.0, interpolation="nearest")
    axis.set_title(title, fontsize=9)
    axis.set_xticks([])
    axis.set_yticks([])
