"""Pictures of predictions: densities of a few rows, and shares of values below levels."""

import matplotlib.pyplot as plt
import numpy as np

from experiments.density_estimation import prediction
from experiments.reports import plots

__all__ = ["draw_densities", "draw_levels"]

_DATA, _FLOW = "#33608c", "#d1603d"
_ROWS = 6
_GRID = 400


def draw_densities(subject, path):
    """Draws p(y | x) for a few test rows, with what came, of one modelled variable.

    The rows are those whose median is at evenly spaced places among all of them.

    Args:
      subject: a `Subject` of one variable, given others.
      path: of the picture.
    """
    dataset = subject.dataset
    found = prediction.quantiles(subject)[:, 0]
    by_median = np.argsort(found[:, found.shape[1] // 2])
    rows = by_median[np.linspace(0, len(by_median) - 1, _ROWS + 2).astype(int)[1:-1]]
    low, high = np.quantile(dataset.test, [0.002, 0.998])
    margin = 0.1 * (high - low)
    y = np.linspace(low - margin, high + margin, _GRID, dtype=np.float32)
    figure, axes = plt.subplots(2, 3, figsize=(10, 5), layout="constrained", sharex=True)
    for axis, row in zip(axes.flat, rows, strict=True):
        context = np.repeat(dataset.test_context[row : row + 1], _GRID, axis=0)
        density = np.exp(subject.distribution.log_prob(y[:, None], context=context))
        axis.plot(y, density, color=_FLOW)
        inside = (found[row, 0] <= y) & (y <= found[row, -1])
        axis.fill_between(y, 0.0, density, where=inside, color=_FLOW, alpha=0.25)
        axis.axvline(dataset.test[row, 0], color=_DATA)
        axis.set_ylim(bottom=0.0)
    for axis in axes[-1]:
        axis.set_xlabel(dataset.labels[0])
    handles = [plt.Line2D([], [], color=c) for c in (_FLOW, _DATA)]
    names = ["density given the row, and its interval of 90 %", "what came (test)"]
    figure.legend(handles, names, loc="outside upper center", ncols=2, frameon=False)
    plots.save(figure, path)


def draw_levels(found, path):
    """Draws the share of test values below the quantile of each level, for each method.

    Args:
      found: what `prediction.scores` returns.
      path: of the picture.
    """
    levels = np.array(found["levels"])
    figure, axis = plt.subplots(figsize=(5.6, 4.4), layout="constrained")
    error = 2.0 * np.sqrt(levels * (1.0 - levels) / found["num_rows"])
    axis.fill_between(levels, -error, error, color="0.85", label="two standard errors")
    for (name, scores), color in zip(
        found["methods"].items(), (_FLOW, _DATA, "0.4"), strict=True
    ):
        axis.plot(levels, np.array(scores["below"]) - levels, color=color, label=name)
    axis.set(xlabel="level", ylabel="share of values below the quantile, less the level")
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    plots.save(figure, path)
