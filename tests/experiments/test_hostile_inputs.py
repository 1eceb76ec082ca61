"""Files made to run code, fill memory or leave a folder: each is refused in one line.

What the library itself loads is in `test_hostile_files.py`; a saved model stands for all of
that here.
"""

import contextlib
import hashlib
import io
import json
import os
import pickle
import re
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pandas
import pytest
from PIL import EpsImagePlugin

import tfp_flows
from experiments.command_line.flag_settings import UsageError
from experiments.data import DataError, files, load_dataset, maf_tables, text_table
from experiments.data.maf_tables import read_pandas_pickle
from experiments.fitted.open_model import open_model
from experiments.posterior_inference import target_names
from experiments.runs.checkpoints import CheckpointFolder
from experiments.runs.run_directory import RunDirectoryError

# What programs tell in one line, and the library as `ValueError`.
REFUSALS = (DataError, RunDirectoryError, UsageError, ValueError)
MEBIBYTE = 2**20
# Functions that write a hostile file into a folder, and return its path and what reads it.
# `made` is the file that its code, if it ran, or its members, if they got out, would make.
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


def written(path, content):
    """The path of a file of the user's own, of `content`, and what reads it."""
    path.write_bytes(content)
    kind = path.suffix[1:].replace("npy", "npz")
    if kind in ("csv", "npz"):
        return path, lambda: load_dataset(kind, **{f"{kind}_path": path})
    return path, lambda: load_dataset("images", images_path=path.parent)


def npz_bytes(save=np.savez, **arrays):
    file = io.BytesIO()
    save(file, **arrays)
    return file.getvalue()


def npy_bytes(header):
    text = header.encode().ljust(118) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


@hostile
def npz_of_objects(folder, made):
    return written(folder / "a.npz", npz_bytes(x=objects(made)))


@hostile
def pickle_called_npz(folder, made):
    return written(folder / "a.npz", pickle.dumps(Touch(made)))


@hostile
def npy_header_of_code(folder, made):
    code = f"open({str(made)[-20:]!r},'w')"
    header = f"{{'descr':'<f8','fortran_order':False,'shape':{code}}}"
    return written(folder / "a.npy", npy_bytes(header))


@hostile
def npy_of_a_petabyte(folder, made):
    header = "{'descr':'<f8','fortran_order':False,'shape':(100000000000000,2)}"
    return written(folder / "a.npy", npy_bytes(header) + bytes(64))


@hostile
def npy_of_a_long_header(folder, made):
    header = b"{'shape':" + b"(" * 60000
    start = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header))
    return written(folder / "a.npy", start + header)


@hostile
def npz_bomb(folder, made):
    content = npz_bytes(np.savez_compressed, x=np.zeros([2**21, 2]))
    assert len(content) < 2**16
    return written(folder / "a.npz", content)


@hostile
def npz_that_belies_its_sizes(folder, made):
    content = npz_bytes(np.savez_compressed, x=np.zeros([2**21, 2]))
    size = zipfile.ZipFile(io.BytesIO(content)).infolist()[0].file_size
    content = content.replace(struct.pack("<I", size), struct.pack("<I", 200))
    return written(folder / "a.npz", content)


@hostile
def csv_of_one_line(folder, made):
    return written(folder / "a.csv", b"a,b\n" + b"1" * 2**22)


@hostile
def csv_of_an_open_quote(folder, made):
    return written(folder / "a.csv", b'a,b\n1,"' + b"2,3\n" * 2**20)


def chunk(kind, data):
    size, checksum = len(data), zlib.crc32(kind + data)
    return struct.pack(">I", size) + kind + data + struct.pack(">I", checksum)


def png_bytes(width, height, *chunks):
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = [chunk(b"IHDR", header), *chunks, chunk(b"IDAT", zlib.compress(b"\0" * 72))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + chunk(b"IEND", b"")


@hostile
def png_of_a_terapixel(folder, made):
    return written(folder / "a.png", png_bytes(1_000_000, 1_000_000))


@hostile
def png_with_a_text_bomb(folder, made):
    text = b"Comment\0\0" + zlib.compress(b"A" * 2**22, 9)
    return written(folder / "a.png", png_bytes(8, 8, chunk(b"zTXt", text)))


@hostile
def png_that_is_postscript(folder, made):
    """Pillow has Ghostscript run such a file, by whatever name."""
    ghostscript = folder / "gs"
    ghostscript.write_text(f"#!/bin/sh\ntouch {made}\n")
    ghostscript.chmod(0o755)
    content = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n"
    return written(folder / "a.png", content)


@hostile
def tar_of_members_outside(folder, made):
    path = folder / "data.tar.gz"
    with tarfile.open(path, "w:gz") as file:
        for name in (f"../{made.name}", str(made)):
            file.addfile(tarfile.TarInfo(name))
    return path, lambda: load_dataset("miniboone", data_dir=folder)


def table_of_pandas(folder, content):
    path = folder / "ethylene_CO.pickle"
    path.write_bytes(content)
    return path, lambda: read_pandas_pickle(path)


@hostile
def pickle_of_a_command(folder, made):
    return table_of_pandas(folder, pickle.dumps(Touch(made)))


@hostile
def pickle_of_a_petabyte(folder, made):
    code = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n"
    return table_of_pandas(folder, code + b"(L1000000000000000L\ntVf8\ntR.")


@hostile
def pickle_of_no_table(folder, made):
    return table_of_pandas(folder, pickle.dumps({"a": 1}))


def checkpoint(folder, content):
    """A checkpoint whose checksum is right, as whoever writes one can make it."""
    path = folder / "epoch_000001.checkpoint"
    path.write_bytes(hashlib.sha256(content).digest() + content)

    def read():
        found = io.StringIO()
        with contextlib.redirect_stdout(found):
            assert CheckpointFolder(folder).load_newest() is None
        raise DataError(found.getvalue())  # which is what the user reads

    return path, read


@hostile
def checkpoint_of_objects(folder, made):
    header = json.dumps({"epoch": 1, "facts": {}, "counts": {"x": 1}}).encode()
    arrays = {"x:0": objects(made), "header": np.frombuffer(header, np.uint8)}
    return checkpoint(folder, npz_bytes(**arrays))


@hostile
def backup_of_objects(folder, made):
    path = folder / "backup.npz"
    np.savez(path, of=objects(made))
    table = pandas.DataFrame(np.random.default_rng(0).normal(size=(40, 2)))
    columns = tfp_flows.describe_columns(table)
    density = tfp_flows.TableDensity(columns, seed=0)
    return path, lambda: density.fit(table, backup=path)


@hostile
def posteriordb_of_objects(folder, made):
    path = folder / "nes1980-nes.npz"
    np.savez(path, draws=objects(made))
    return path, lambda: target_names.find("nes1980", str(folder))


@hostile
def model_that_is_a_process(folder, made):
    path = folder / "model.keras"
    flow = tfp_flows.NICE(2, num_steps=1, hidden_units=(4,), seed=0)
    distribution = tfp_flows.FlowDistribution(tfp_flows.standard_normal(2), flow)
    tfp_flows.DensityEstimator(distribution).save(path)
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    config = {"module": "subprocess", "class_name": "Popen", "registered_name": None}
    config["config"] = {"args": ["touch", str(made)]}
    with zipfile.ZipFile(path, "w") as file:
        for name, content in (members | {"config.json": json.dumps(config)}).items():
            file.writestr(name, content)
    return path, lambda: open_model(path)


@pytest.fixture(autouse=True)
def _little_memory(monkeypatch):
    """A machine of 16 MiB, so that what would fill it need not be large itself."""
    monkeypatch.setattr(files, "_MEMORY", 16 * MEBIBYTE)
    monkeypatch.setattr(text_table, "_BYTES_A_BLOCK", MEBIBYTE // 4)
    monkeypatch.setattr(text_table, "_BYTES_A_ROW", MEBIBYTE)
    monkeypatch.setattr(maf_tables, "ADDRESS", "http://127.0.0.1:9/data.tar.gz")


@pytest.mark.parametrize("name", HOSTILE)
def test_is_refused_in_one_line_that_names_the_file(name, tmp_path, monkeypatch):
    folder, made = tmp_path / "folder", tmp_path / "made"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", str(folder / "gs"))
    path, read = HOSTILE[name](folder, made)
    before = set(tmp_path.rglob("*"))
    Path("/proc/self/clear_refs").write_text("5")  # which forgets the peak
    used = kibibytes("VmRSS")
    with pytest.raises(REFUSALS) as refusal:
        read()
    assert kibibytes("VmHWM") - used < 200 * 1024
    assert path.name in str(refusal.value)
    assert not made.exists()
    assert all(folder in p.parents for p in set(tmp_path.rglob("*")) - before)


def kibibytes(name):
    """What the kernel counts of this process's memory."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(rf"{name}:\s+(\d+) kB", status)[1])
