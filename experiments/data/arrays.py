"""Array files, read without trusting them."""

import os
import zipfile
import zlib

import numpy as np

from experiments.data.data_error import DataError
from experiments.data.data_error import reading

__all__ = ["load_array", "load_arrays", "refuse_larger_than_memory"]

_ERRORS = (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error)
# What an array claims that memory cannot hold: NumPy would try all the same.
_ERRORS += (MemoryError,)
_MEMORY = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def load_arrays(path, keys=None):
    """Returns arrays of an `.npz` file, as a dict; of those named, or of all.

    Args:
      path: of the file.
      keys: names of arrays.

    Raises:
      DataError: if there is no such file, or it is damaged, or lacks a key.
    """
    arrays = _load(path)
    if isinstance(arrays, np.ndarray):
        raise DataError(f"Expected named arrays (.npz) in {path}; got one array (.npy).")
    with arrays:
        missing = [key for key in keys or () if key not in arrays.files]
        if missing:
            raise DataError(
                f"Expected arrays {list(keys)} in {path}; got {arrays.files}, which lack "
                f"{missing}."
            )
        with reading("a NumPy file", path, _ERRORS):
            return {key: arrays[key] for key in keys or arrays}


def load_array(path):
    """Returns the array of an `.npy` file, or raises `DataError`."""
    array = _load(path)
    if not isinstance(array, np.ndarray):
        array.close()
        raise DataError(f"Expected one array (.npy) in {path}; got an archive of arrays.")
    return array


def _load(path):
    with reading("a NumPy file", path, _ERRORS):
        refuse_larger_than_memory(path)
        return np.load(path, allow_pickle=False)


def refuse_larger_than_memory(path):
    """Refuses an archive that holds more bytes than the machine, be it small itself."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        size = sum(member.file_size for member in archive.infolist())
    if size > _MEMORY:
        raise DataError(
            f"Expected what memory, {_MEMORY:,} bytes, holds in {path}; got {size:,} bytes."
        )
