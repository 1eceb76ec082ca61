"""HEPMASS: simulated collisions that may hold a new particle."""

import numpy as np

from experiments.data import maf_archive
from experiments.data.data_error import reading
from experiments.data.dataset import Dataset
from experiments.data.dataset import Entry
from experiments.data.published import MAF_TABLE
from experiments.data.splits import split_last_tenth

_FILES = ("hepmass/1000_train.csv", "hepmass/1000_test.csv")
_SIGNAL = 1.0
_MAX_REPEATS = 5


def load_hepmass(request):
    """Returns HEPMASS: the collisions of the signal, without the discrete variables."""
    train, test = map(_signal, maf_archive.find(request.data_dir, *_FILES))
    test = test[:, : train.shape[1]]  # the test file has one column too many
    continuous = ~has_repeats(train)
    train, test = train[:, continuous], test[:, continuous]
    # Validation rows count too, as the authors have it, and pandas divides by N - 1.
    mean, deviation = train.mean(axis=0), train.std(axis=0, ddof=1)
    train, test = (train - mean) / deviation, (test - mean) / deviation
    sets = (*split_last_tenth(train), test)
    return Dataset(
        "hepmass", *(x.astype(np.float32) for x in sets), published=MAF_TABLE["hepmass"]
    )


def has_repeats(rows):
    """Returns whether the lowest value of each column occurs more than five times.

    It is how the authors tell discrete variables; any other value may occur as often.
    """
    return (rows == rows.min(axis=0)).sum(axis=0) > _MAX_REPEATS


def _signal(path):
    """Returns the variables of the rows of class 1; the class is the first column."""
    with reading("UCI's table", path, ValueError):
        rows = np.loadtxt(path, delimiter=",", skiprows=1, ndmin=2)
    return rows[rows[:, 0] == _SIGNAL, 1:]


_ORIGIN = "UCI HEPMASS, mass 1000, as the authors of MAF prepare it"
ENTRIES = {"hepmass": Entry(load_hepmass, _ORIGIN, (315_123, 35_013, 174_987), 21)}
