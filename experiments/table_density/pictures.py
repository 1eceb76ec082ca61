"""Pictures of a table's density: columns, predictions, the learning curve."""

import functools

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from experiments.density_estimation.pictures import draw_levels
from experiments.reports import plots
from experiments.reports.plots import DATA, FLOW
from experiments.table_density.evaluation import samples_beside

_MOST_COLUMNS = 24  # largest number of columns in the picture of columns
_MOST_VALUES = 12  # largest number of bars of a column
_MOST_PAIRED = 5  # largest number of columns in the picture of pairs


def draw(table, sets, results, history, settings):
    """Draws the pictures of a run and returns their captions by file name."""
    title = f"density of {results['table']}"
    both = samples_beside(table, sets[1], settings.seed)
    pictures = {
        "columns.png": (
            "Each modelled column, of test rows and samples.",
            functools.partial(_draw_columns, table, *both),
        )
    }
    if results["synthesis"]:
        pictures |= _pictures_of_synthesis(table, both, results)
    if results["prediction"]:
        pictures["levels.png"] = (
            "Share of test values below each quantile: on the line if it is right.",
            functools.partial(draw_levels, results["prediction"]),
        )
    pictures["learning_curve.png"] = (
        "Mean log-likelihood over the epochs.",
        functools.partial(plots.learning_curve, history, title=title),
    )
    return plots.draw_all(pictures, settings.run_dir)


def _draw_columns(table, test, samples, path):
    names = table.names[:_MOST_COLUMNS]
    figure, axes = plots.grid(len(names), 3, (4.2, 3.0))
    for axis, name in zip(axes.flat, names, strict=False):
        draw_one = _histograms if _is_number(table.columns[name]) else _bars
        draw_one(axis, test[name].dropna(), samples[name].dropna())
        axis.set_title(name)
    handles = [plt.Rectangle((0, 0), 1, 1, color=c, alpha=0.6) for c in (DATA, FLOW)]
    words = [f"data (test, {len(test):,} rows)", f"samples ({len(samples):,})"]
    figure.legend(handles, words, loc="outside upper center", ncols=2, frameon=False)
    plots.save(figure, path)


def _pictures_of_synthesis(table, both, results):
    found = results["synthesis"]
    order = list(found["telling_columns"])  # first columns by which a classifier tells
    numbers = [name for name in order if _is_number(table.columns[name])][:_MOST_PAIRED]
    pictures = {
        "association.png": (
            "How strongly columns depend on each other, of test rows and synthetic rows: "
            "correlations of numbers, correlation ratios, Cramér's V of categories.",
            functools.partial(_draw_association, found),
        )
    }
    pairs = [rows[numbers].dropna() for rows in both]
    if len(numbers) > 1 and all(map(len, pairs)):
        pictures["pairs.png"] = (
            "Pairs of the numbers by which a classifier tells synthetic rows most: test "
            "rows above the diagonal, synthetic rows below it.",
            functools.partial(_draw_pairs, pairs, numbers),
        )
    return pictures


def _draw_association(found, path):
    names = list(found["shape"])
    matrices = [
        np.array(found["association"][kind], np.float64) for kind in ("test", "synthetic")
    ]
    size = 2.0 + 0.22 * len(names)
    figure, axes = plots.grid(3, 3, (size, size))
    titles = ("test rows", "synthetic rows", "difference")
    matrices.append(matrices[1] - matrices[0])
    for axis, title, matrix in zip(axes.flat, titles, matrices, strict=True):
        is_difference = title == titles[2]
        low, colours = (-1.0, "RdBu_r") if is_difference else (0.0, "viridis")
        mesh = axis.imshow(matrix, vmin=low, vmax=1.0, cmap=colours)
        axis.set_title(title)
        axis.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
        axis.set_yticks(range(len(names)), names, fontsize=7)
        figure.colorbar(mesh, ax=axis, shrink=0.6)
    plots.save(figure, path)


def _draw_pairs(pairs, names, path):
    data, samples = (rows.to_numpy(np.float64) for rows in pairs)
    words = (f"test rows ({len(data):,})", f"synthetic rows ({len(samples):,})")
    plots.pairs(data, samples, path, labels=names, names=words)


def _is_number(column):
    return column.is_number and column.kind != "date"


def _histograms(axis, data, samples):
    found = [(pd.to_numeric(data), DATA), (pd.to_numeric(samples), FLOW)]
    found = [(np.asarray(cells, np.float64), color) for cells, color in found if len(cells)]
    if not found:  # all cells are missing
        return
    low, high = np.quantile(np.concatenate([x for x, _ in found]), [0.005, 0.995])
    bins = np.linspace(low, high if high > low else low + 1.0, 40)
    for values, color in found:
        axis.hist(values, bins, density=True, alpha=0.6, color=color)


def _bars(axis, data, samples):
    shares = [x.astype(str).value_counts(normalize=True) for x in (data, samples)]
    labels = shares[0].index.union(shares[1].index)
    most = sum(s.reindex(labels, fill_value=0.0) for s in shares).nlargest(_MOST_VALUES)
    place = np.arange(len(most))
    for share, shift, color in zip(shares, (-0.2, 0.2), (DATA, FLOW), strict=True):
        height = share.reindex(most.index, fill_value=0.0)
        axis.bar(place + shift, height, 0.4, alpha=0.6, color=color)
    axis.set_xticks(place, [label[:12] for label in most.index], rotation=30, fontsize=8)
