"""Files of arrays that a fit writes again and again, and reads when it resumes."""

import os
import pathlib
import zipfile
from collections.abc import Sequence
from typing import Any

import numpy as np


def write_arrays(path: str | os.PathLike, arrays: dict[str, Any]) -> None:
    """Writes a .npz file at once: if this is interrupted, an old file stays as it was."""
    path = pathlib.Path(path)
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("wb") as file:
        np.savez(file, **arrays)
    os.replace(partial, path)


def read_arrays(
    path: str | os.PathLike, expected: str, names: Sequence[str] = ()
) -> dict[str, np.ndarray]:
    """Returns the arrays of a .npz file that have `names`; all of them if there are none.

    They are plain arrays, so no file runs code. A damaged file, and one that lacks an
    array, is refused: `expected` names what is not there.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in names or file.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise ValueError(f"Expected {expected}; got {path}: {error}") from error
