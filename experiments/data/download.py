"""Downloads that are whole and right, or are not there."""

import hashlib
import http
import http.client
import os
import pathlib
import shutil
import sys
import urllib.error
import urllib.request

from experiments.data.data_error import DataError

__all__ = ["cache_folder", "download"]

_TIMEOUT_SECONDS = 60.0
_CHUNK_BYTES = 2**20


def cache_folder():
    """Returns where downloads go by default: `tfp_flows` in the user's cache."""
    root = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(root) / "tfp_flows"


def download(address, path, *, md5=None):
    """Fetches a file; `path` appears only once size and checksum are right.

    What arrives is kept in `path` + ".part". If the connection breaks, the next call asks
    the server for the rest only; what turns out wrong is deleted.

    Args:
      address: of the file.
      path: of the file to write.
      md5: its checksum, in hexadecimal digits; None where the caller checks what is in
        the file.

    Raises:
      DataError: if the address cannot be reached, or the file is cut short or another one.
    """
    path = pathlib.Path(path)
    part = path.with_name(path.name + ".part")
    print(f"Downloading {address} to {path} ...", file=sys.stderr, flush=True)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _fetch(address, part)
        if md5 is not None:
            _refuse_other_content(address, part, md5)
        os.replace(part, path)
    except (OSError, http.client.HTTPException) as error:
        raise DataError(
            f"Expected to download {address} to {path}; got {error}. Without a network, "
            "name with --data_dir a folder that holds what is in that file."
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
        # A server that knows no ranges answers 200 with the whole file.
        resumes = response.status == http.HTTPStatus.PARTIAL_CONTENT
        with part.open("ab" if resumes else "wb") as file:
            shutil.copyfileobj(response, file, _CHUNK_BYTES)
    rest = response.headers.get("Content-Length")
    if rest is not None:
        _refuse_short(address, part, int(rest) + (start if resumes else 0))


def _fetch_past_the_end(address, part, content_range):
    """Nothing is left to fetch if the part has the file's size; else it is of another."""
    if content_range.rpartition("/")[2] != str(part.stat().st_size):
        part.unlink()
        _fetch(address, part)


def _refuse_short(address, part, size):
    if part.stat().st_size < size:
        raise DataError(
            f"Expected {size:,} bytes of {address}; got {part.stat().st_size:,}. The next "
            "run fetches the rest."
        )


def _refuse_other_content(address, part, md5):
    digest = _md5(part)
    if digest != md5:
        part.unlink()
        raise DataError(
            f"Expected {address} to have the md5 checksum {md5}; got {digest}. What was "
            "downloaded is deleted."
        )


def _md5(path):
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
