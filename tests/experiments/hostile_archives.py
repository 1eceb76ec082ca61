"""Archives and pickles that were made to run code, fill memory or leave a folder."""

import io
import pickle
import tarfile

import numpy as np
from hostile_arrays import HOSTILE
from hostile_arrays import Touch
from hostile_arrays import hostile
from hostile_arrays import objects

from experiments.data import load_dataset
from experiments.data.maf_tables import read_pandas_pickle

__all__ = ["HOSTILE"]


def _archive(folder, fill):
    path = folder / "data.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        fill(archive)
    return path, lambda: load_dataset("miniboone", data_dir=folder)


def _member(archive, name, content=b"x", **values):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in values.items():
        setattr(info, key, value)
    archive.addfile(info, io.BytesIO(content))


@hostile
def tar_of_members_outside(folder, made):
    def fill(archive):
        _member(archive, f"../{made.name}")
        _member(archive, str(made))

    return _archive(folder, fill)


@hostile
def tar_of_a_link(folder, made):
    def fill(archive):
        link = {"type": tarfile.SYMTYPE, "linkname": str(made.parent)}
        _member(archive, "data/miniboone", b"", **link)
        link["linkname"] = str(made)
        _member(archive, "data/miniboone/data.npy", b"", **link)

    return _archive(folder, fill)


@hostile
def tar_of_a_device(folder, made):
    def fill(archive):
        device = {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 5}
        _member(archive, "data/miniboone/data.npy", b"", **device)

    return _archive(folder, fill)


@hostile
def tar_of_objects(folder, made):
    file = io.BytesIO()
    np.save(file, objects(made))
    name = "miniboone/data.npy"
    _, read = _archive(folder, lambda a: _member(a, f"data/{name}", file.getvalue()))
    return folder / name, read


def _pickled(folder, content):
    path = folder / "ethylene_CO.pickle"
    path.write_bytes(content)
    return path, lambda: read_pandas_pickle(path)


@hostile
def pickle_of_a_command(folder, made):
    return _pickled(folder, pickle.dumps(Touch(made)))


@hostile
def pickle_of_code(folder, made):
    code = f"cbuiltins\nexec\n(Vopen({str(made)!r}, 'w')\ntR."
    return _pickled(folder, code.encode())


@hostile
def pickle_of_a_petabyte(folder, made):
    code = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n"
    code += b"(L1000000000000000L\ntVf8\ntR."
    return _pickled(folder, code)


@hostile
def pickle_by_way_of_numpy(folder, made):
    code = f"cnumpy.testing._private.utils\nrunstring\n(Vopen({str(made)!r},'w')\n(dtR."
    return _pickled(folder, code.encode())
