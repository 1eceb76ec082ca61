"""Red and white wine: 11 measurements of each of some thousand Portuguese wines."""

import functools

import numpy as np

from experiments.data.arrays import load_arrays
from experiments.data.csv_table import read_csv
from experiments.data.data_dir import need_prepared
from experiments.data.dataset import Dataset
from experiments.data.entry import Entry
from experiments.data.splits import split_tenths
from experiments.data.splits import standardized

_ADDRESS = "https://archive.ics.uci.edu/dataset/186/wine+quality"
# UCI's twelfth column is the quality, a grade.
_COLUMNS = ("fixed acidity", "volatile acidity", "citric acid", "residual sugar")
_COLUMNS += ("chlorides", "free sulfur dioxide", "total sulfur dioxide", "density")
_COLUMNS += ("pH", "sulphates", "alcohol")
_FOLDS = 10


def load_wine(color, request):
    """Returns the wines of one colour, standardised, in tenths by `request.seed`.

    Seeds 10 k to 10 k + 9 are the ten folds of one order: their test rows differ.
    """
    rows = _rows(color, request.data_dir)
    order, fold = divmod(request.seed, _FOLDS)
    rows = np.random.default_rng(order).permutation(rows)
    rows = np.roll(rows, fold * (len(rows) // _FOLDS), axis=0)
    return Dataset(
        f"{color}_wine",
        *standardized(*split_tenths(rows)),
        column_names=tuple(f"{name} (standardised)" for name in _COLUMNS),
    )


def _rows(color, data_dir):
    names = (f"winequality-{color}.csv", "uci_small/uci_small.npz", "uci_small.npz")
    wanted = f"{names[0]} of {_ADDRESS} or {names[1]}"
    path = need_prepared(data_dir, *names, wanted=wanted)
    if path.suffix == ".npz":
        return load_arrays(path, [f"wine_{color}"])[f"wine_{color}"]
    values, _ = read_csv(path)
    return values[:, : len(_COLUMNS)]


_SIZES = {"red": (1296, 144, 159), "white": (3969, 440, 489)}
ENTRIES = {
    f"{color}_wine": Entry(
        functools.partial(load_wine, color), f"UCI wine quality, {color}", num_rows, 11
    )
    for color, num_rows in _SIZES.items()
}
