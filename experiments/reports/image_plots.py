"""Pictures of images: functions (arrays, path) -> None."""

import matplotlib.pyplot as plt
import numpy as np

from experiments.reports.plots import save
from experiments.reports.plots import tile

__all__ = ["columns", "grids", "histograms", "pairs", "rows", "show"]


def grids(panels, path, *, side=10):
    """Draws a square of images for each of `panels`, side by side.

    Args:
      panels: title -> images, `[N, H, W]` or `[N, H, W, 3]`.
      path: of the picture.
      side: images a side of the square.
    """
    width = 4.7 * len(panels)
    figure, axes = plt.subplots(1, len(panels), figsize=(width, 5.1), layout="constrained")
    for axis, (title, images) in zip(axes, panels.items(), strict=True):
        axis.set_title(title)
        show(axis, tile(images, side, side))
    save(figure, path)


def rows(labelled, path):
    """Draws rows of images, each with what it shows on its left.

    Args:
      labelled: list of (label, images), with images `[n, H, W]` or `[n, H, W, 3]`.
      path: of the picture.
    """
    count = len(labelled)
    columns = max(len(images) for _, images in labelled)
    figure, axes = plt.subplots(
        count,
        1,
        figsize=(0.8 * columns + 2.2, 0.85 * count + 0.2),
        squeeze=False,
        layout="constrained",
    )
    for axis, (label, images) in zip(axes[:, 0], labelled, strict=True):
        show(axis, tile(images, 1, columns))
        axis.set_ylabel(label, rotation=0, ha="right", va="center")
        axis.spines[:].set_visible(False)
    save(figure, path, bbox_inches="tight")  # or labels are cut


def columns(panels, path):
    """Draws a column of images for each of `panels`, side by side.

    Args:
      panels: title -> images, `[N, H, W]`.
      path: of the picture.
    """
    count = len(next(iter(panels.values())))
    size = (1.2 * len(panels), 1.25 * count + 0.7)
    figure, axes = plt.subplots(1, len(panels), figsize=size, layout="constrained")
    for axis, (title, images) in zip(axes, panels.items(), strict=True):
        axis.set_title(title, fontsize=9)
        show(axis, tile(images, count, 1))
    save(figure, path)


def pairs(originals, others, path, *, title, side=10):
    """Draws images, `[N, H, W]` or `[N, H, W, 3]`, each above its other."""
    side = min(side, len(originals))
    count = len(originals) // side
    both = np.stack([originals[: count * side], others[: count * side]])
    both = both.reshape(2, count, side, *originals.shape[1:]).swapaxes(0, 1)
    grid = tile(both.reshape(-1, *originals.shape[1:]), 2 * count, side)
    size = (0.8 * side, 0.8 * side * len(grid) / grid.shape[1] + 0.4)
    figure, axis = plt.subplots(figsize=size, layout="constrained")
    show(axis, grid)
    axis.set_title(title)
    save(figure, path)


def histograms(values, path, *, label, title):
    """Draws histograms of several sets of numbers over each other.

    Args:
      values: name -> `[N]`.
      path: of the picture.
      label: what the numbers are.
      title: of the picture.
    """
    low, high = np.quantile(np.concatenate(list(values.values())), [0.002, 0.998])
    figure, axis = plt.subplots(figsize=(7, 4), layout="constrained")
    for name, numbers in values.items():
        axis.hist(numbers, np.linspace(low, high, 80), density=True, alpha=0.55, label=name)
    axis.set(xlabel=label, ylabel="density", title=title)
    axis.legend(frameon=False)
    save(figure, path)


def show(axis, image):
    """Draws an image, of which 0 is white, without ticks."""
    axis.imshow(image, cmap="gray_r", vmin=0.0, vmax=1.0)
    axis.set(xticks=[], yticks=[])
