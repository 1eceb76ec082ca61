"""Pictures of tables with many columns: functions (arrays, path) -> None."""

import matplotlib.pyplot as plt
import numpy as np

from experiments.reports import plots

_DATA, _FLOW = "#33608c", "#d1603d"
MAX_HISTOGRAMS = 12


def pairs(
    data,
    samples,
    path,
    *,
    labels,
    names=("data (test)", "samples of the flow"),
    max_points=2000,
):
    """Draws every pair of columns: data above the diagonal, samples below it.

    Args:
      data: `[N, D]`.
      samples: `[N, D]`.
      path: of the picture.
      labels: D names.
      names: of the two.
      max_points: number of rows that are drawn, at most.
    """
    size = len(labels)
    figure, axes = plt.subplots(
        size, size, figsize=(1.9 * size + 0.6, 1.9 * size + 0.8), layout="constrained"
    )
    limits = plots.limits(data, samples)
    for (row, column), axis in np.ndenumerate(axes):
        if row == column:
            _diagonal(axis, data[:, row], samples[:, row], limits[row])
        else:
            points, color = (data, _DATA) if row < column else (samples, _FLOW)
            x, y = points[:max_points, column], points[:max_points, row]
            axis.scatter(
                x, y, **plots.dots(len(x)), color=color, linewidths=0, rasterized=True
            )
            axis.set_ylim(limits[row])
        axis.set_xlim(limits[column])
        # The first row's scale is on its right, since a density is at its left.
        axis.tick_params(
            labelsize=7,
            labelbottom=row == size - 1,
            labelleft=column == 0 < row,
            right=row == 0 and column == size - 1,
            labelright=row == 0 and column == size - 1,
        )
        if row == size - 1:
            axis.set_xlabel(labels[column], fontsize=8)
        if column == 0:
            axis.set_ylabel(labels[row], fontsize=8)
    handles = [plt.Line2D([], [], marker="o", ls="", color=c) for c in (_DATA, _FLOW)]
    figure.legend(
        handles,
        names,
        loc="outside upper center",
        ncols=2,
        frameon=False,
    )
    plots.save(figure, path)


def calibration(u, distances, path):
    """Draws the histogram of each column, with the band of 95 % of uniform numbers.

    Args:
      u: `[N, D]`, numbers in (0, 1).
      distances: `[D]`, the Kolmogorov-Smirnov distances of the columns.
      path: of the picture. Of more than `MAX_HISTOGRAMS`, those furthest off are shown.
    """
    chosen = np.sort(np.argsort(-distances)[:MAX_HISTOGRAMS])
    columns = min(4, len(chosen))
    rows = -(-len(chosen) // columns)
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=(max(3.0 * columns, 4.5), 2.5 * rows + 0.4),
        squeeze=False,
        sharey=True,
        layout="constrained",
    )
    for axis in axes.flat[len(chosen) :]:
        axis.set_visible(False)
    for axis, column in zip(axes.flat, chosen, strict=False):
        _uniform_histogram(axis, u[:, column])
        axis.set_title(f"z[{column}]: KS distance {distances[column]:.3f}", fontsize=10)
    for axis in axes[:, 0]:
        axis.set_ylabel("density")
    axes[0, 0].set_ylim(bottom=0.0)
    plots.save(figure, path)


def _uniform_histogram(axis, u):
    bins = int(np.clip(len(u) // 50, 5, 20))
    # The share of each bin is binomial: mean 1 / bins.
    spread = 1.96 * np.sqrt((bins - 1) / len(u))
    axis.axhspan(1.0 - spread, 1.0 + spread, color="0.6", alpha=0.35, zorder=2)
    axis.hist(u, np.linspace(0.0, 1.0, bins + 1), density=True, color=_FLOW, alpha=0.6)
    axis.axhline(1.0, color="0.3", linewidth=0.8)
    axis.set_xlim(0.0, 1.0)


def _diagonal(axis, data, samples, limits):
    bins = np.linspace(*limits, int(np.clip(len(data) ** 0.5, 15, 40)))
    plots.histogram(axis, data, bins, color=_DATA, alpha=0.45)
    plots.histogram(axis, samples, bins, histtype="step", color=_FLOW)
    axis.set_yticks([])
