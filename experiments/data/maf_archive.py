"""Archive of the five tables of the MAF paper, as its authors published them."""

import gzip
import os
import shutil
import tarfile
import zlib

from experiments.data.data_dir import existing_folder
from experiments.data.data_error import DataError
from experiments.data.data_error import reading
from experiments.data.download import cache_folder
from experiments.data.download import download

__all__ = ["ADDRESS", "find"]

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


def _extract(archive, names, folder):
    errors = (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error)
    with reading("a whole archive", archive, errors), tarfile.open(archive) as members:
        return [_extract_one(members, name, folder / name) for name in names]


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
