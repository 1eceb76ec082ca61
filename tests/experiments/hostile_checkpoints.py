"""Checkpoints and backups that were made to run code, or break what reads them."""

import contextlib
import hashlib
import io
import json
import pickle

import numpy as np
import pandas
from hostile_arrays import HOSTILE
from hostile_arrays import Touch
from hostile_arrays import hostile
from hostile_arrays import objects

import tfp_flows
from experiments.data import DataError
from experiments.posterior_inference import posteriordb
from experiments.runs.checkpoints import CheckpointFolder

__all__ = ["HOSTILE"]


def _checkpoint(folder, content):
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
    file = io.BytesIO()
    header = json.dumps({"epoch": 1, "facts": {}, "counts": {"x": 1}}).encode()
    arrays = {"x:0": objects(made), "header": np.frombuffer(header, np.uint8)}
    np.savez(file, **arrays)
    return _checkpoint(folder, file.getvalue())


@hostile
def checkpoint_that_is_a_pickle(folder, made):
    return _checkpoint(folder, pickle.dumps(Touch(made)))


@hostile
def checkpoint_of_another_header(folder, made):
    file = io.BytesIO()
    np.savez(file, header=np.frombuffer(b"[7]", np.uint8))
    return _checkpoint(folder, file.getvalue())


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
    return path, lambda: posteriordb.find("nes1980", str(folder))
