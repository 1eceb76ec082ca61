"""POWER: 2,049,280 minutes of one household's electricity."""

import numpy as np

from experiments.data import maf_archive
from experiments.data.arrays import load_array
from experiments.data.arrays import load_arrays
from experiments.data.data_dir import find_prepared
from experiments.data.data_error import DataError
from experiments.data.dataset import Dataset
from experiments.data.dataset import Entry
from experiments.data.published import MAF_TABLE
from experiments.data.splits import split_tenths
from experiments.data.splits import standardized

_PREPARED_FILE = "power_complete_rows.npz"
# Column -> its array in the prepared file, and that one's units in one kW, V, Wh, minute.
_PREPARED_COLUMNS = {
    "active power": ("global_active_power_W", 1000.0),
    "voltage": ("voltage_cV", 100.0),
    "kitchen meter": ("sub_metering_1", 1.0),
    "laundry meter": ("sub_metering_2", 1.0),
    "heating meter": ("sub_metering_3", 1.0),
    "time of day": ("minute_of_day", 1.0),
}
# Of the authors' eight: all but reactive power and current.
_AUTHORS_COLUMNS = (0, 2, 4, 5, 6, 7)


def load_power(request):
    """Returns POWER; noise and split are those of the published numbers, not seeded."""
    rows = _rows(request.data_dir)
    count = len(rows)
    rng = np.random.RandomState(42)  # the authors' generator and seed
    rng.shuffle(rows)
    voltage_noise = 0.01 * rng.rand(count, 1)
    power_noise = 0.001 * rng.rand(count, 1)
    meter_noise = rng.rand(count, 3)
    rows += np.hstack([power_noise, voltage_noise, meter_noise, np.zeros((count, 1))])
    return Dataset(
        "power",
        *standardized(*split_tenths(rows)),
        column_names=tuple(f"{name} (standardised)" for name in _PREPARED_COLUMNS),
        published=MAF_TABLE["power"],
    )


def _rows(data_dir):
    names = (f"maf_power/{_PREPARED_FILE}", _PREPARED_FILE)
    prepared = find_prepared(data_dir, *names)
    if prepared:
        keys, units = zip(*_PREPARED_COLUMNS.values(), strict=True)
        arrays = load_arrays(prepared, keys)
        return np.stack([arrays[k] / u for k, u in zip(keys, units, strict=True)], axis=1)
    (path,) = maf_archive.find(data_dir, "power/data.npy")
    rows = load_array(path)
    if rows.ndim != 2 or rows.shape[1] != 8:
        raise DataError(f"Expected an array [N, 8] in {path}; got shape {rows.shape}.")
    return rows[:, _AUTHORS_COLUMNS].astype(np.float64)


_ORIGIN = "UCI household electric power consumption, as the authors of MAF prepare it"
ENTRIES = {"power": Entry(load_power, _ORIGIN, (1_659_917, 184_435, 204_928), 6)}
