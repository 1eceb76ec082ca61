"""Real tables: scikit-learn's digits, and POWER as the authors of MAF prepare it."""

import pathlib

import numpy as np

from experiments.data.dataset import Dataset
from experiments.data.dataset import PublishedRow

__all__ = ["LOADERS"]

_POWER_FILE = "power_complete_rows.npz"
# Column -> its array in the file, and the units of that in one kW, V, Wh or minute.
_POWER_COLUMNS = {
    "active power": ("global_active_power_W", 1000.0),
    "voltage": ("voltage_cV", 100.0),
    "kitchen meter": ("sub_metering_1", 1.0),
    "laundry meter": ("sub_metering_2", 1.0),
    "heating meter": ("sub_metering_3", 1.0),
    "time of day": ("minute_of_day", 1.0),
}
_MAF_TABLE = "Papamakarios et al. (2017), table 1"
_POWER_PUBLISHED = {
    name: PublishedRow(log_likelihood, two_standard_errors, _MAF_TABLE)
    for name, log_likelihood, two_standard_errors in (
        ("Gaussian", -7.74, 0.02),
        ("MADE", -3.08, 0.03),
        ("RealNVP (5)", -0.02, 0.01),
        ("RealNVP (10)", 0.17, 0.01),
        ("MAF (5)", 0.14, 0.01),
        ("MAF (10)", 0.24, 0.01),
    )
}


def load_digits(data_dir, seed):
    """Returns 1,797 images of 8x8 handwritten digits, dequantised to `[0, 1)`."""
    del data_dir  # they come with scikit-learn
    from sklearn import datasets  # here, since only this data set needs it

    pixels = datasets.load_digits().data  # [1797, 64], integers 0 ... 16
    rng = np.random.default_rng(seed)
    rows = (pixels + rng.random(pixels.shape)) / 17.0
    rows = np.clip(rows.astype(np.float32), 0.0, np.nextafter(np.float32(1.0), 0.0))
    rows = rows[rng.permutation(len(rows))]
    train, validation, test = np.split(rows, [1257, 1437])
    return Dataset(
        "digits", train, validation, test, image_shape=(8, 8), bin_width=1.0 / 17.0
    )


def load_power(data_dir, seed):
    """Returns POWER, 2,049,280 minutes of one household's electricity.

    The noise and the split are those of the published numbers, so `seed` has no part.
    """
    del seed
    rows = np.stack(_power_columns(_find_power(data_dir)), axis=1)
    count = len(rows)
    rng = np.random.RandomState(42)  # the authors' generator and seed
    rng.shuffle(rows)
    voltage_noise = 0.01 * rng.rand(count, 1)
    power_noise = 0.001 * rng.rand(count, 1)
    meter_noise = rng.rand(count, 3)
    rows += np.hstack([power_noise, voltage_noise, meter_noise, np.zeros((count, 1))])
    return Dataset(
        "power",
        *_standardized(*_split_tenths(rows)),
        column_names=tuple(f"{name} (standardised)" for name in _POWER_COLUMNS),
        published=_POWER_PUBLISHED,
    )


def _find_power(data_dir):
    if not data_dir:
        raise ValueError(
            f"Expected `--data_dir`, the folder that holds {_POWER_FILE} or "
            f"maf_power/{_POWER_FILE}; got {data_dir!r}."
        )
    for folder in ("maf_power", "."):
        path = pathlib.Path(data_dir) / folder / _POWER_FILE
        if path.is_file():
            return path
    raise ValueError(
        f"Expected `--data_dir` to hold {_POWER_FILE} or maf_power/{_POWER_FILE}; got "
        f"{str(data_dir)!r}, where neither is a file."
    )


def _power_columns(path):
    with np.load(path, allow_pickle=False) as arrays:
        return [arrays[key] / units for key, units in _POWER_COLUMNS.values()]


def _split_tenths(rows):
    rest, test = np.split(rows, [len(rows) - int(0.1 * len(rows))])
    train, validation = np.split(rest, [len(rest) - int(0.1 * len(rest))])
    return train, validation, test


def _standardized(train, validation, test):
    both = np.concatenate([train, validation])
    mean, deviation = both.mean(axis=0), both.std(axis=0)
    return [((x - mean) / deviation).astype(np.float32) for x in (train, validation, test)]


LOADERS = {"digits": load_digits, "power": load_power}
