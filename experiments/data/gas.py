"""GAS: readings of 16 chemical sensors in mixtures of ethylene and carbon monoxide."""

import numpy as np

from experiments.data import maf_archive
from experiments.data.data_dir import find_prepared
from experiments.data.data_error import DataError
from experiments.data.data_error import reading
from experiments.data.dataset import Dataset
from experiments.data.dataset import Entry
from experiments.data.pandas_pickle import read_pandas_pickle
from experiments.data.published import MAF_TABLE
from experiments.data.splits import split_tenths

_NOT_SENSORS = ("Time", "Meth", "Eth")  # the authors' names, first in UCI's file too
_MAX_CORRELATION = 0.98


def load_gas(request):
    """Returns GAS: of sensors that say the same, all but the last are left out.

    The authors drew a quarter of UCI's rows without a seed and published it as a pickle.
    From UCI's own text a quarter is drawn with `request.seed`: other rows, alike.
    """
    rows = without_correlated(_sensors(request))
    # Over all rows, as the authors do, and with N - 1 as pandas divides.
    rows = (rows - rows.mean(axis=0)) / rows.std(axis=0, ddof=1)
    sets = split_tenths(rows.astype(np.float32))
    return Dataset("gas", *sets, published=MAF_TABLE["gas"])


def without_correlated(rows):
    """Returns the columns that remain when none is correlated above 0.98 with another."""
    while True:
        correlated = np.corrcoef(rows, rowvar=False) > _MAX_CORRELATION
        repeats = np.flatnonzero(correlated.sum(axis=1) > 1)
        if not len(repeats):
            return rows
        rows = np.delete(rows, repeats[0], axis=1)


def _sensors(request):
    text = find_prepared(request.data_dir, "gas/ethylene_CO.txt")
    if text:
        return _sample_of_text(text, request.seed)
    (path,) = maf_archive.find(request.data_dir, "gas/ethylene_CO.pickle")
    columns = read_pandas_pickle(path)
    missing = [name for name in _NOT_SENSORS if name not in columns]
    if missing:
        raise DataError(f"Expected columns {missing} in {path}; got {list(columns)}.")
    sensors = [column for name, column in columns.items() if name not in _NOT_SENSORS]
    return np.stack(sensors, axis=1).astype(np.float64)


def _sample_of_text(path, seed):
    with reading("UCI's table", path, ValueError):
        rows = np.loadtxt(path, skiprows=1, ndmin=2)[:, len(_NOT_SENSORS) :]
    chosen = np.random.default_rng(seed).permutation(len(rows))[: round(len(rows) / 4)]
    return rows[chosen]


_ORIGIN = (
    "UCI gas sensor array under dynamic gas mixtures, as the authors of MAF prepare it"
)
ENTRIES = {"gas": Entry(load_gas, _ORIGIN, (852_174, 94_685, 105_206), 8)}
