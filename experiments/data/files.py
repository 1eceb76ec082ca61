"""Files of data sets: search, download, and safe reading."""

import contextlib
import hashlib
import http
import http.client
import os
import pathlib
import shutil
import sys
import urllib.error
import urllib.request
import zipfile
import zlib

import numpy as np

from experiments.command_line.flag_settings import CommandError

_ERRORS = (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error)
# NumPy allocates the size in a header, which may be wrong.
_ERRORS += (MemoryError,)
_MEMORY = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
_TIMEOUT_SECONDS = 60.0
_CHUNK_BYTES = 2**20


class DataError(CommandError, ValueError):
    """Data that are missing, damaged or unusable; the message says where and how."""


@contextlib.contextmanager
def reading(what, path, errors=(OSError, ValueError), refusal=DataError):
    """Turns `errors` of the block into a `refusal` with the path of the file.

    `what` is the expected content of the file.
    """
    try:
        yield
    except errors as error:
        raise refusal(f"Expected {what} in {path}; got {error}.") from error


def find_prepared(data_dir, *names):
    """Returns the path of the first of these files that exists in `data_dir`, or None.

    A file of a subfolder, such as `debd/dna.npz`, may also be in `data_dir` itself.
    """
    if not data_dir:
        return None
    folder = existing_folder(data_dir)
    paths = (folder / part for name in names for part in (name, name.rpartition("/")[2]))
    return next(filter(pathlib.Path.is_file, paths), None)


def need_prepared(data_dir, *names, wanted):
    """Returns the path by `find_prepared`, or raises `DataError` if there is none."""
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


def load_arrays(path, keys=None):
    """Returns arrays of an `.npz` file by name: those of `keys`, or all."""
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
    """Refuses an archive whose unpacked content exceeds the memory of the machine."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        size = sum(member.file_size for member in archive.infolist())
    if size > _MEMORY:
        raise DataError(
            f"Expected at most {_MEMORY:,} bytes, the memory, in {path}; got {size:,}."
        )


def cache_folder():
    """Returns the default folder of downloads: `tfp_flows` in the user's cache."""
    root = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(root) / "tfp_flows"


def download(address, path, *, md5=None):
    """Downloads a file; `path` appears only once size and checksum are right.

    Until then the content is in `path` + ".part". If the connection breaks, the next call
    downloads only the rest; a file with a wrong checksum is deleted. `md5` is in
    hexadecimal digits; None: it is not checked here.
    """
    path = pathlib.Path(path)
    part = path.with_name(path.name + ".part")
    print(f"Downloading {address} to {path} ...", file=sys.stderr, flush=True)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _fetch(address, part)
        if md5 is not None and (digest := _md5(part)) != md5:
            part.unlink()
            raise DataError(
                f"Expected {address} to have the md5 checksum {md5}; got {digest}. The "
                "download was deleted."
            )
        os.replace(part, path)
    except (OSError, http.client.HTTPException) as error:
        raise DataError(
            f"Expected to download {address} to {path}; got {error}. Without a network, "
            "give with --data_dir a folder with the content of that file."
        ) from error


def _fetch(address, part):
    start = part.stat().st_size if part.exists() else 0
    headers = {"Range": f"bytes={start}-"} if start else {}
    request = urllib.request.Request(address, headers=headers)
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        _fetch_past_the_end(address, part, error.headers.get("Content-Range", ""))
        return
    with response:
        # A server without ranges answers 200 with the whole file.
        resumes = response.status == http.HTTPStatus.PARTIAL_CONTENT
        with part.open("ab" if resumes else "wb") as file:
            shutil.copyfileobj(response, file, _CHUNK_BYTES)
    size = int(response.headers.get("Content-Length") or 0) + (start if resumes else 0)
    if part.stat().st_size < size:
        raise DataError(
            f"Expected {size:,} bytes of {address}; got {part.stat().st_size:,}. The next "
            "run fetches the rest."
        )


def _fetch_past_the_end(address, part, content_range):
    """Accepts a part of the file's size; downloads again if the sizes differ."""
    if content_range.rpartition("/")[2] != str(part.stat().st_size):
        part.unlink()
        _fetch(address, part)


def _md5(path):
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
