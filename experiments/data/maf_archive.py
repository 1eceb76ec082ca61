"""The five tables of the MAF paper, in the form in which its authors published them."""

import gzip
import os
import pathlib
import shutil
import tarfile
import zlib

from experiments.data.data_error import DataError
from experiments.data.download import cache_folder
from experiments.data.download import download

__all__ = ["ADDRESS", "find", "find_prepared"]

# 0.8 GB; holds power/, gas/, hepmass/, miniboone/ and BSDS300/ below data/.
ADDRESS = "https://zenodo.org/record/1161203/files/data.tar.gz"
# As other programs that load these data quote it; never yet compared with a download here.
MD5 = "9b9c9b0375315ad270eba4ce80c093ab"


def find(data_dir, *names):
    """Returns the paths of files of the archive, which is downloaded if they are not there.

    Args:
      data_dir: folder that holds, or will hold, the files; the user's cache if empty.
      *names: as `gas/ethylene_CO.pickle`.

    Raises:
      DataError: if there is no such folder, or the files cannot be had.
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


def find_prepared(data_dir, *names):
    """Returns the path of the first of these files that is in `data_dir`, or None."""
    if not data_dir:
        return None
    paths = [existing_folder(data_dir) / name for name in names]
    return next((path for path in paths if path.is_file()), None)


def existing_folder(data_dir):
    """Returns the path of `data_dir`, or raises `DataError` if there is no such folder."""
    folder = pathlib.Path(data_dir)
    if not folder.is_dir():
        raise DataError(f"Expected `data_dir` to be a folder; got {str(data_dir)!r}.")
    return folder


def _extract(archive, names, folder):
    try:
        with tarfile.open(archive) as members:
            return [_extract_one(members, name, folder / name) for name in names]
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"Expected a whole archive in {archive}; got {error}.") from error


def _extract_one(members, name, path):
    found = [m for m in members.getmembers() if m.isfile() and _is_below(m.name, name)]
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


def _is_below(member, name):
    return f"/{member}".endswith(f"/{name}")
