"""The five tables of the MAF paper, prepared like its authors do."""

import dataclasses
import gzip
import os
import pickle
import shutil
import tarfile
import zlib

import numpy as np

from experiments.data.dataset import SETS, Dataset, Entry
from experiments.data.files import (
    DataError,
    cache_folder,
    download,
    existing_folder,
    find_prepared,
    load_array,
    load_arrays,
    reading,
)
from experiments.data.published import MAF_TABLE

# 0.8 GB; holds power/, gas/, hepmass/, miniboone/ and BSDS300/ below data/.
ADDRESS = "https://zenodo.org/record/1161203/files/data.tar.gz"
# Checksum quoted from other programs, not yet compared with a download.
MD5 = "9b9c9b0375315ad270eba4ce80c093ab"
# Names that a pickle of arrays needs. Names of pandas are recorded, all others refused.
_ALLOWED = {
    "_reconstruct": np.empty(0).__reduce__()[0],  # NumPy's maker of arrays
    "ndarray": np.ndarray,
    "dtype": np.dtype,
    "slice": slice,
    "object": object,
    "encode": lambda text, encoding: text.encode("latin1"),  # bytes in protocol 2
}
_MODULES = {"numpy", "builtins", "__builtin__", "_codecs"}
_FORMAT = "0.14.1"  # the first version of pandas with this format; the last is 1.2
# Errors of reading a pickle that holds no table.
_PICKLE_ERRORS = (AttributeError, TypeError, ValueError, ImportError)
_PICKLE_ERRORS += (pickle.UnpicklingError, EOFError, LookupError, MemoryError)
_POWER_FILE = "maf_power/power_complete_rows.npz"
# Column -> its array in the prepared file, and the factor from kW, V, Wh, minutes to that.
_POWER_COLUMNS = {
    "active power": ("global_active_power_W", 1000.0),
    "voltage": ("voltage_cV", 100.0),
    "kitchen meter": ("sub_metering_1", 1.0),
    "laundry meter": ("sub_metering_2", 1.0),
    "heating meter": ("sub_metering_3", 1.0),
    "time of day": ("minute_of_day", 1.0),
}
# Indices in the authors' array, without reactive power and current.
_POWER_AUTHORS_COLUMNS = (0, 2, 4, 5, 6, 7)
_NOT_SENSORS = ("Time", "Meth", "Eth")  # the first columns of UCI's file too
_MAX_CORRELATION = 0.98
_HEPMASS_FILES = ("hepmass/1000_train.csv", "hepmass/1000_test.csv")
_SIGNAL = 1.0
_MAX_REPEATS = 5
_BSDS300_FILE = "bsds300_patches/bsds300_patches_10pct.npz"


def load_power(request):
    """Returns POWER with the noise and split of the paper, whatever `request.seed` is."""
    rows = _power_rows(request.data_dir)
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
        column_names=tuple(f"{name} (standardised)" for name in _POWER_COLUMNS),
        published=MAF_TABLE["power"],
    )


def _power_rows(data_dir):
    if prepared := find_prepared(data_dir, _POWER_FILE):
        keys, units = zip(*_POWER_COLUMNS.values(), strict=True)
        arrays = load_arrays(prepared, keys)
        return np.stack([arrays[k] / u for k, u in zip(keys, units, strict=True)], axis=1)
    (path,) = find_in_archive(data_dir, "power/data.npy")
    rows = load_array(path)
    if rows.ndim != 2 or rows.shape[1] != 8:
        raise DataError(f"Expected an array [N, 8] in {path}; got shape {rows.shape}.")
    return rows[:, _POWER_AUTHORS_COLUMNS].astype(np.float64)


def load_gas(request):
    """Returns GAS, with one sensor of each group of correlated ones.

    The authors published a random quarter of UCI's rows as a pickle, without its seed. From
    UCI's text file, `request.seed` draws another quarter.
    """
    rows = without_correlated(_sensors(request))
    # Like the authors: over all rows, and with pandas's N - 1.
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
    (path,) = find_in_archive(request.data_dir, "gas/ethylene_CO.pickle")
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


def load_hepmass(request):
    """Returns HEPMASS: rows of the signal class, without discrete variables."""
    train, test = map(_signal, find_in_archive(request.data_dir, *_HEPMASS_FILES))
    test = test[:, : train.shape[1]]  # the test file has one column too many
    continuous = ~has_repeats(train)
    train, test = train[:, continuous], test[:, continuous]
    # Like the authors: with validation rows, and with pandas's N - 1.
    mean, deviation = train.mean(axis=0), train.std(axis=0, ddof=1)
    train, test = (train - mean) / deviation, (test - mean) / deviation
    sets = (*split_last_tenth(train), test)
    return Dataset(
        "hepmass", *(x.astype(np.float32) for x in sets), published=MAF_TABLE["hepmass"]
    )


def has_repeats(rows):
    """Returns whether the least value of each column occurs more than five times.

    This is the authors' criterion of discrete variables.
    """
    return (rows == rows.min(axis=0)).sum(axis=0) > _MAX_REPEATS


def _signal(path):
    """Returns the variables of the rows of class 1; the class is the first column."""
    with reading("UCI's table", path, ValueError):
        rows = np.loadtxt(path, delimiter=",", skiprows=1, ndmin=2)
    return rows[rows[:, 0] == _SIGNAL, 1:]


def load_miniboone(request):
    """Returns MINIBOONE; the authors' file has no outliers and no repeated values."""
    (path,) = find_in_archive(request.data_dir, "miniboone/data.npy")
    rows = load_array(path)
    if rows.ndim != 2:
        raise DataError(f"Expected an array [N, D] in {path}; got shape {rows.shape}.")
    sets = standardized(*split_tenths(rows))
    return Dataset("miniboone", *sets, published=MAF_TABLE["miniboone"])


def load_bsds300(request):
    """Returns the authors' patches, or patches of a file of integers, `[N, 8, 8]`.

    Integers get noise from `request.seed`. They are other patches than the authors', so
    results compare only roughly.
    """
    if prepared := find_prepared(request.data_dir, _BSDS300_FILE):
        rng = np.random.default_rng(request.seed)
        arrays = load_arrays(prepared, SETS)
        sets = [patches_to_rows(arrays[name], rng) for name in SETS]
    else:
        (path,) = find_in_archive(request.data_dir, "BSDS300/BSDS300.hdf5")
        sets = _read_hdf5(path)
    return Dataset("bsds300", *sets, published=MAF_TABLE["bsds300"])


def patches_to_rows(patches, rng):
    """Returns `[N, 63]`, float32: dequantised, centred patches without their last pixel."""
    pixels = patches.reshape(len(patches), -1)
    rows = (pixels + rng.random(pixels.shape)) / 256.0
    rows -= rows.mean(axis=1, keepdims=True)
    return rows[:, :-1].astype(np.float32)


def load_bsds300_turned(request):
    """Returns BSDS300 with each training patch in its eight orientations, `[8 N, 63]`."""
    dataset = load_bsds300(request)
    turned = in_eight_orientations(dataset.train)
    return dataclasses.replace(dataset, name="bsds300_turned", train=turned)


def in_eight_orientations(rows):
    """Returns `[8 N, 63]`: centred patches, `[N, 63]`, turned and mirrored.

    The pixel that rows lack is minus the sum of the others.
    """
    whole = np.concatenate([rows, -rows.sum(axis=1, keepdims=True)], axis=1)
    patches = whole.reshape(-1, 8, 8)
    turned = [
        np.rot90(images, quarters, axes=(1, 2))
        for images in (patches, patches[:, :, ::-1])
        for quarters in range(4)
    ]
    return np.ascontiguousarray(np.concatenate(turned).reshape(-1, 64)[:, :-1])


def _read_hdf5(path):
    import h5py  # here, since only this data set needs it

    errors = (OSError, KeyError, ValueError)
    with reading(f"an HDF5 file of {SETS}", path, errors), h5py.File(path, "r") as file:
        return [np.asarray(file[name], np.float32) for name in SETS]


def split_tenths(rows):
    """Returns train, validation and test, split like the authors do.

    The last tenth is test, and the last tenth of the other rows is validation.
    """
    train, test = split_last_tenth(rows)
    return *split_last_tenth(train), test


def split_last_tenth(rows):
    """Returns all but the last tenth of the rows, and the last tenth, rounded down."""
    first, last = np.split(rows, [len(rows) - int(0.1 * len(rows))])
    return first, last


def standardized(train, validation, test):
    """Returns the sets in float32, scaled by train and validation together."""
    both = np.concatenate([train, validation])
    mean, deviation = both.mean(axis=0), both.std(axis=0)
    return [((x - mean) / deviation).astype(np.float32) for x in (train, validation, test)]


def find_in_archive(data_dir, *names):
    """Returns the paths of files of the archive, which is downloaded if they are missing.

    `data_dir` is the folder of the files, or the user's cache if empty; names are paths in
    the archive, such as `gas/ethylene_CO.pickle`.

    Raises:
      DataError: if there is no such folder, or download or extraction fail.
    """
    folder = existing_folder(data_dir) if data_dir else cache_folder()
    for root in (folder, folder / "data"):
        paths = [root / name for name in names]
        if all(path.is_file() for path in paths):
            return paths
    archive = folder / "data.tar.gz"
    if not archive.is_file():
        download(ADDRESS, archive, md5=MD5)
    return _extract(archive, names, folder)


def _extract(archive, names, folder):
    errors = (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error)
    with reading("a whole archive", archive, errors), tarfile.open(archive) as members:
        return [_extract_one(members, name, folder / name) for name in names]


def _extract_one(members, name, path):
    files = filter(tarfile.TarInfo.isfile, members)
    found = [file for file in files if f"/{file.name}".endswith(f"/{name}")]
    if len(found) != 1:
        raise DataError(
            f"Expected {name} once in {members.name}; got it {len(found)} times."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    with members.extractfile(found[0]) as source, part.open("wb") as target:
        shutil.copyfileobj(source, target)
    os.replace(part, path)
    return path


def read_pandas_pickle(path):
    """Returns the columns of a `DataFrame` that pandas 0.14 to 1.2 pickled, by name.

    None of the code in the pickle is run; only arrays are made.
    """
    with reading("a pickled table", path, _PICKLE_ERRORS), open(path, "rb") as file:
        return _columns(_Unpickler(file, encoding="latin1").load())


class _Recorded:
    """Stands for any object of pandas; keeps its arguments and state."""

    def __init__(self, *args):
        self.args = args
        self.state = None

    def __setstate__(self, state):
        self.state = state


class _Unpickler(pickle.Unpickler):
    def find_class(self, module, name):
        top = module.partition(".")[0]
        if top == "pandas":
            return _Recorded
        if top in _MODULES and name in _ALLOWED:
            return _ALLOWED[name]
        raise pickle.UnpicklingError(f"a reference to {module}.{name}")


def _columns(frame):
    state = frame.state["_data"].state[3][_FORMAT]
    names = state["axes"][0].args[1]["data"]
    columns = dict.fromkeys(map(str, names))
    for block in state["blocks"]:
        for name, values in zip(names[block["mgr_locs"]], block["values"], strict=True):
            columns[str(name)] = values
    return columns


def _entry(load, origin, num_rows, event_size):
    return Entry(load, f"{origin}, as the authors of MAF prepare it", num_rows, event_size)


ENTRIES = {
    "power": _entry(
        load_power, "UCI household power consumption", (1_659_917, 184_435, 204_928), 6
    ),
    "gas": _entry(
        load_gas, "UCI gas sensors in changing mixtures", (852_174, 94_685, 105_206), 8
    ),
    "hepmass": _entry(
        load_hepmass, "UCI HEPMASS, mass 1000", (315_123, 35_013, 174_987), 21
    ),
    "miniboone": _entry(
        load_miniboone, "UCI MiniBooNE particles", (29_556, 3_284, 3_648), 43
    ),
    "bsds300": _entry(
        load_bsds300, "Berkeley segmentation data set", (1_000_000, 50_000, 250_000), 63
    ),
    "bsds300_turned": Entry(
        load_bsds300_turned,
        "bsds300 with each training patch in its eight orientations",
        (8_000_000, 50_000, 250_000),
        63,
    ),
}
