"""A picture of what each step of a flow does to the plane."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import collections

from experiments.reports.plots import save

_COLUMNS = 5
_MAX_PANELS = 10


def draw(distribution, path):
    """Draws a latent grid after each step of the flow, from latent to data side.

    Args:
      distribution: a `FlowDistribution` of points of the plane.
      path: of the picture.
    """
    stages = warp(distribution, _grid_lines())
    chosen = np.unique(np.linspace(0, len(stages) - 1, _MAX_PANELS).round().astype(int))
    columns = min(_COLUMNS, len(chosen))
    rows = -(-len(chosen) // columns)
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=(3.2 * columns, 3.3 * rows),
        squeeze=False,
        layout="constrained",
    )
    for axis in axes.flat:
        axis.set_visible(False)
    for axis, stage in zip(axes.flat, chosen, strict=False):
        name, lines = stages[stage]
        _draw_lines(axis, lines)
        axis.set_title(f"{stage}. {name}" if stage else name, fontsize=10)
    save(figure, path)


def warp(distribution, lines):
    """Returns (name, lines) at the latent end and after each bijector.

    Args:
      distribution: a `FlowDistribution` of points of the plane.
      lines: `[L, P, 2]`, L lines of P points each in the latent plane.
    """
    stages = [("latent", lines)]
    # The list runs from the data side to the latent side.
    for bijector in distribution.bijector.bijectors[::-1]:
        flat = stages[-1][1].reshape(-1, 2)
        moved, _ = bijector.forward_and_log_det(flat)
        stages.append((bijector.name.replace("_", " "), moved.numpy().reshape(lines.shape)))
    name, moved = stages[-1]
    stages[-1] = (f"{name} = data", moved)
    return stages


def _grid_lines(radius=2.5, num_lines=21, num_points=300):
    """Returns vertical and then horizontal lines, cut off at a circle, `[2L, P, 2]`."""
    place = np.linspace(-radius, radius, num_lines + 2)[1:-1]
    half_length = np.sqrt(radius**2 - place**2)
    along = half_length[:, None] * np.linspace(-1.0, 1.0, num_points)
    across = np.broadcast_to(place[:, None], along.shape)
    vertical = np.stack([across, along], axis=-1)
    return np.concatenate([vertical, vertical[..., ::-1]]).astype(np.float32)


def _draw_lines(axis, lines):
    axis.set_visible(True)
    half = len(lines) // 2
    for part, cmap in ((lines[:half], "viridis"), (lines[half:], "plasma")):
        shades = plt.get_cmap(cmap)(np.linspace(0.1, 0.9, half))
        axis.add_collection(collections.LineCollection(part, colors=shades, linewidths=0.7))
    # Single points that the flow flings far away would shrink all the others.
    points = lines.reshape(-1, 2)
    low, high = np.nanquantile(points, [0.002, 0.998], axis=0)
    middle, reach = (low + high) / 2.0, 0.55 * np.max(high - low) + 1e-6
    axis.set(
        xlim=(middle[0] - reach, middle[0] + reach),
        ylim=(middle[1] - reach, middle[1] + reach),
        aspect="equal",
    )
    axis.tick_params(labelsize=7)
