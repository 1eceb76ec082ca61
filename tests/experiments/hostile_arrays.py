"""Tables and pictures that were made to run code, fill memory or leave a folder.

Each function of `HOSTILE` writes one into a folder and returns what reads it. `made` is the
file that its code, if it ran, or its members, if they got out, would make.
"""

import gzip
import io
import os
import pickle
import struct
import zipfile
import zlib

import numpy as np

from experiments.data import load_dataset

__all__ = ["HOSTILE", "Touch", "hostile", "objects"]

HOSTILE = {}


def hostile(write):
    """Puts a function that writes a hostile file into the table."""
    HOSTILE[write.__name__.replace("_", " ")] = write
    return write


class Touch:
    """Pickles as a call that makes a file."""

    def __init__(self, path):
        self._path = path

    def __reduce__(self):
        return os.system, (f"touch {self._path}",)


def objects(made):
    """An array of objects, which NumPy pickles, and of which unpickling runs code."""
    return np.array([[Touch(made), 1.0]], object)


def _npz(path):
    return path, lambda: load_dataset("npz", npz_path=path)


def _csv(path):
    return path, lambda: load_dataset("csv", csv_path=path)


def _pictures(path):
    return path, lambda: load_dataset("images", images_path=path.parent)


@hostile
def npz_of_objects(folder, made):
    path = folder / "a.npz"
    np.savez(path, x=objects(made))
    return _npz(path)


@hostile
def npy_of_objects(folder, made):
    path = folder / "a.npy"
    np.save(path, objects(made))
    return _npz(path)


@hostile
def pickle_called_npz(folder, made):
    path = folder / "a.npz"
    path.write_bytes(pickle.dumps(Touch(made)))
    return _npz(path)


def _npy(header):
    text = header.encode().ljust(118) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


@hostile
def npy_header_of_code(folder, made):
    path = folder / "a.npy"
    code = f"open({str(made)[-20:]!r},'w')"
    path.write_bytes(_npy(f"{{'descr':'<f8','fortran_order':False,'shape':{code}}}"))
    return _npz(path)


@hostile
def npy_header_of_pickle(folder, made):
    path = folder / "a.npy"
    header = _npy("{'descr':'|O','fortran_order':False,'shape':(1,2)}")
    path.write_bytes(header + pickle.dumps(Touch(made)))
    return _npz(path)


@hostile
def npy_of_a_petabyte(folder, made):
    path = folder / "a.npy"
    header = "{'descr':'<f8','fortran_order':False,'shape':(100000000000000,2)}"
    path.write_bytes(_npy(header) + bytes(64))
    return _npz(path)


@hostile
def npy_of_a_long_header(folder, made):
    path = folder / "a.npy"
    header = b"{'shape':" + b"(" * 60000
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
    return _npz(path)


@hostile
def npz_bomb(folder, made):
    path = folder / "a.npz"
    np.savez_compressed(path, x=np.zeros([2**21, 2]))
    assert path.stat().st_size < 2**16
    return _npz(path)


@hostile
def npz_that_belies_its_sizes(folder, made):
    path = folder / "a.npz"
    np.savez_compressed(path, x=np.zeros([2**21, 2]))
    content = path.read_bytes()
    real = struct.pack("<I", zipfile.ZipFile(path).infolist()[0].file_size)
    path.write_bytes(content.replace(real, struct.pack("<I", 200)))
    return _npz(path)


@hostile
def npz_of_members_outside(folder, made):
    path = folder / "a.npz"
    data = io.BytesIO()
    np.save(data, np.zeros([40, 2]))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"../{made.name}", "x")
        archive.writestr(str(made), data.getvalue())
    return _npz(path)


@hostile
def csv_of_one_line(folder, made):
    path = folder / "a.csv"
    path.write_bytes(b"a,b\n" + b"1" * 2**22)
    return _csv(path)


@hostile
def csv_of_an_open_quote(folder, made):
    path = folder / "a.csv"
    path.write_bytes(b'a,b\n1,"' + b"2,3\n" * 2**20)
    return _csv(path)


@hostile
def csv_of_formulas(folder, made):
    path = folder / "a.csv"
    path.write_text("a,b\n" + f"=cmd|'touch {made}'!A0,1\n" * 40)
    return _csv(path)


@hostile
def csv_that_is_gzip(folder, made):
    path = folder / "a.csv"
    path.write_bytes(gzip.compress(b"1,2\n" * 2**22))
    return _csv(path)


@hostile
def csv_of_a_pickle(folder, made):
    path = folder / "a.csv"
    path.write_bytes(pickle.dumps(Touch(made)))
    return _csv(path)


def _chunk(kind, data):
    return (
        struct.pack(">I", len(data))
        + kind
        + data
        + struct.pack(">I", zlib.crc32(kind + data))
    )


def _png(width, height, *chunks):
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = [_chunk(b"IHDR", header), *chunks, _chunk(b"IDAT", zlib.compress(b"\0" * 72))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + _chunk(b"IEND", b"")


@hostile
def png_of_a_terapixel(folder, made):
    path = folder / "a.png"
    path.write_bytes(_png(1_000_000, 1_000_000))
    return _pictures(path)


@hostile
def png_with_a_text_bomb(folder, made):
    path = folder / "a.png"
    text = zlib.compress(b"A" * 2**22, 9)
    path.write_bytes(_png(8, 8, _chunk(b"zTXt", b"Comment\0\0" + text)))
    return _pictures(path)


@hostile
def png_that_is_postscript(folder, made):
    """Pillow has Ghostscript run such a file, by whatever name."""
    path = folder / "a.png"
    path.write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n")
    ghostscript = folder / "gs"
    ghostscript.write_text(f"#!/bin/sh\ntouch {made}\n")
    ghostscript.chmod(0o755)
    return _pictures(path)


@hostile
def bmp_of_a_terapixel(folder, made):
    path = folder / "a.bmp"
    sizes = struct.pack("<IIIHHIIIIII", 40, 10**6, 10**6, 1, 24, 0, 0, 0, 0, 0, 0)
    path.write_bytes(b"BM" + struct.pack("<IHHI", 200, 0, 0, 54) + sizes + bytes(146))
    return _pictures(path)


@hostile
def npz_of_pickled_pictures(folder, made):
    path = folder / "a.npz"
    np.savez(path, x=objects(made))
    return path, lambda: load_dataset("images", images_path=path)
