"""Files of the folder `data_dir`."""

import pathlib

from experiments.data.data_error import DataError

__all__ = ["existing_folder", "find_prepared", "need_prepared"]


def find_prepared(data_dir, *names):
    """Returns the path of the first of these files that is in `data_dir`, or None."""
    if not data_dir:
        return None
    paths = [existing_folder(data_dir) / name for name in names]
    return next((path for path in paths if path.is_file()), None)


def need_prepared(data_dir, *names, wanted):
    """Returns what `find_prepared` does.

    Raises:
      DataError: if there is none; it names `--data_dir`, and `wanted` in it.
    """
    path = find_prepared(data_dir, *names)
    if path is None:
        got = repr(str(data_dir or ""))
        raise DataError(f"Expected `--data_dir`, a folder with {wanted}; got {got}.")
    return path


def existing_folder(data_dir):
    """Returns the path of `data_dir`, or raises `DataError` if there is no such folder."""
    folder = pathlib.Path(data_dir)
    if not folder.is_dir():
        raise DataError(f"Expected `data_dir` to be a folder; got {str(data_dir)!r}.")
    return folder
