"""Small tables of the UCI repository and StatLib, with ten folds by seed."""

import dataclasses
import functools

import numpy as np

from experiments.data.dataset import Dataset, Entry
from experiments.data.files import load_arrays, need_prepared
from experiments.data.maf_tables import split_tenths, standardized
from experiments.data.text_table import read_csv

_FOLDS = 10
_PREPARED = "uci_small/uci_small.npz"
_WINE = ("fixed acidity", "volatile acidity", "citric acid", "residual sugar", "chlorides")
_WINE += ("free sulfur dioxide", "total sulfur dioxide", "density", "pH", "sulphates")
_WINE += ("alcohol",)  # without UCI's twelfth column, the quality
_BOSTON = ("CRIM", "ZN", "INDUS", "CHAS", "NOX", "RM", "AGE", "DIS", "RAD", "TAX")
_BOSTON += ("PTRATIO", "B", "LSTAT", "MEDV")
_MAGIC = ("fLength", "fWidth", "fSize", "fConc", "fConc1", "fAsym", "fM3Long", "fM3Trans")
_MAGIC += ("fAlpha", "fDist")


@dataclasses.dataclass(frozen=True)
class _Table:
    """A table: its array in `uci_small.npz`, its own file if any, and its origin.

    Without `names`, columns are numbered. Constant columns are dropped.
    """

    key: str
    origin: str
    num_rows: tuple[int, int, int]
    event_size: int
    names: tuple[str, ...] = ()
    file: str = ""


def _uci(number, name):
    return f"https://archive.ics.uci.edu/dataset/{number}/{name}"


_TABLES = {
    f"{color}_wine": _Table(
        f"wine_{color}",
        _uci(186, "wine+quality"),
        num_rows,
        len(_WINE),
        _WINE,
        f"winequality-{color}.csv",
    )
    for color, num_rows in {"red": (1296, 144, 159), "white": (3969, 440, 489)}.items()
}
_TABLES |= {
    "boston_housing": _Table(
        "boston_housing",
        "https://lib.stat.cmu.edu/datasets/boston",
        (411, 45, 50),
        14,
        _BOSTON,
    ),
    "ionosphere": _Table("ionosphere", _uci(52, "ionosphere"), (285, 31, 35), 33),
    "parkinsons": _Table(
        "parkinsons_centred", _uci(189, "parkinsons+telemonitoring"), (4760, 528, 587), 21
    ),
    "magic": _Table(
        "magic", _uci(159, "magic+gamma+telescope"), (15407, 1711, 1902), 10, _MAGIC
    ),
}


def load_small_table(name, request):
    """Returns a standardised table, split into tenths by `request.seed`.

    Seeds 10 k to 10 k + 9 are ten folds with disjoint test rows.
    """
    table = _TABLES[name]
    rows = _rows(table, request.data_dir)
    kept = np.ptp(rows, axis=0) > 0.0
    names = table.names or [str(number) for number in range(1, rows.shape[1] + 1)]
    order, fold = divmod(request.seed, _FOLDS)
    rows = np.random.default_rng(order).permutation(rows[:, kept])
    rows = np.roll(rows, fold * (len(rows) // _FOLDS), axis=0)
    return Dataset(
        name,
        *standardized(*split_tenths(rows)),
        column_names=tuple(
            f"{name} (standardised)" for name, keep in zip(names, kept, strict=True) if keep
        ),
    )


def _rows(table, data_dir):
    names = [_PREPARED]
    wanted = f"{_PREPARED} with the array {table.key!r} of {table.origin}"
    if table.file:
        names = [table.file, _PREPARED]
        wanted = f"{table.file} of {table.origin} or {_PREPARED}"
    path = need_prepared(data_dir, *names, wanted=wanted)
    if path.suffix == ".npz":
        return load_arrays(path, [table.key])[table.key]
    values, _ = read_csv(path)
    return values[:, : len(table.names)]


ENTRIES = {
    name: Entry(
        functools.partial(load_small_table, name),
        f"small table: {table.origin}",
        table.num_rows,
        table.event_size,
    )
    for name, table in _TABLES.items()
}
