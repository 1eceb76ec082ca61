"""BSDS300: 8x8 patches of grey photographs, without their mean and their last pixel."""

import numpy as np

from experiments.data import maf_archive
from experiments.data.arrays import load_arrays
from experiments.data.data_dir import find_prepared
from experiments.data.data_error import reading
from experiments.data.dataset import Dataset
from experiments.data.dataset import Entry
from experiments.data.published import MAF_TABLE

_PREPARED_FILE = "bsds300_patches_10pct.npz"
_SETS = ("train", "validation", "test")


def load_bsds300(request):
    """Returns the authors' patches, or those of a file of integers, `[N, 8, 8]`.

    The latter get noise from `request.seed`. They are other draws than the published ones,
    so that numbers on them compare only roughly.
    """
    names = (f"bsds300_patches/{_PREPARED_FILE}", _PREPARED_FILE)
    prepared = find_prepared(request.data_dir, *names)
    if prepared:
        rng = np.random.default_rng(request.seed)
        arrays = load_arrays(prepared, _SETS)
        sets = [patches_to_rows(arrays[name], rng) for name in _SETS]
    else:
        (path,) = maf_archive.find(request.data_dir, "BSDS300/BSDS300.hdf5")
        sets = _read_hdf5(path)
    return Dataset("bsds300", *sets, published=MAF_TABLE["bsds300"])


def patches_to_rows(patches, rng):
    """Returns `[N, 63]`, float32: dequantised, centred patches without their last pixel."""
    pixels = patches.reshape(len(patches), -1)
    rows = (pixels + rng.random(pixels.shape)) / 256.0
    rows -= rows.mean(axis=1, keepdims=True)
    return rows[:, :-1].astype(np.float32)


def _read_hdf5(path):
    import h5py  # here, since only this data set needs it

    errors = (OSError, KeyError, ValueError)
    with reading(f"an HDF5 file of {_SETS}", path, errors), h5py.File(path, "r") as file:
        return [np.asarray(file[name], np.float32) for name in _SETS]


_ORIGIN = "Berkeley segmentation data set, patches of the authors of MAF"
ENTRIES = {"bsds300": Entry(load_bsds300, _ORIGIN, (1_000_000, 50_000, 250_000), 63)}
