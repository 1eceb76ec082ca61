"""Saved models that were made to run code, fill memory or read other files.

As in `hostile_arrays`, each writes a file into a folder and returns what reads it.
"""

import functools
import io
import json
import pickle
import tempfile
import zipfile
from pathlib import Path

import h5py
import keras
import tensorflow as tf
from hostile_arrays import HOSTILE
from hostile_arrays import Touch
from hostile_arrays import hostile

import tfp_flows
from experiments.fitted.open_model import open_model

__all__ = ["HOSTILE"]

_CONFIG, _WEIGHTS = "config.json", "model.weights.h5"


@functools.cache
def _saved():
    """The members of a good file, by name."""
    flow = tfp_flows.RealNVP(2, num_steps=1, hidden_units=(4,), seed=0)
    distribution = tfp_flows.FlowDistribution(tfp_flows.standard_normal(2), flow)
    model = tfp_flows.DensityEstimator(distribution)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "good.keras")
        model.save(path)
        with zipfile.ZipFile(path) as archive:
            return {name: archive.read(name) for name in archive.namelist()}


def _model(folder, change=None, **members):
    """A file of which `change` has changed the configuration, and with other members."""
    path = folder / "model.keras"
    parts = dict(_saved())
    config = json.loads(parts[_CONFIG])
    if change is not None:
        parts[_CONFIG] = json.dumps(change(config) or config)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in (parts | members).items():
            archive.writestr(name, content)
    return path, lambda: open_model(path)


def _replaced(value, key, new):
    """Replaces what is at `key`, at any depth; says whether there was any."""
    found = False
    if isinstance(value, dict):
        if key in value:
            value[key], found = new, True
        value = list(value.values())
    if isinstance(value, list):
        found = any([_replaced(part, key, new) for part in value]) or found
    return found


def _with(key, new):
    def change(config):
        assert _replaced(config, key, new), key

    return change


def _from_process(made):
    config = {"args": ["touch", str(made)]}
    return {"module": "subprocess", "class_name": "Popen", "config": config}


@hostile
def model_that_is_a_process(folder, made):
    return _model(folder, lambda c: c.update(_from_process(made)))


@hostile
def model_registered_as_a_process(folder, made):
    from_process = {**_from_process(made), "registered_name": "subprocess>Popen"}
    return _model(folder, lambda c: c.update(from_process))


@hostile
def model_with_a_process_as_activation(folder, made):
    return _model(folder, _with("activation", _from_process(made)))


@hostile
def model_with_a_command_as_activation(folder, made):
    command = {"module": "os", "class_name": "function", "config": "system"}
    command["registered_name"] = "system"
    return _model(folder, _with("activation", command))


@hostile
def model_with_a_download_as_activation(folder, made):
    config = {"fname": str(made), "origin": "http://127.0.0.1:9/x"}
    download = {"module": "keras.utils", "class_name": "get_file", "config": config}
    return _model(folder, _with("activation", download))


def _layer_of_code(path):
    return keras.layers.Lambda(lambda x: tf.io.write_file(path, "x"))


@hostile
def model_with_marshalled_code(folder, made):
    """A `Lambda` layer, whose function is marshalled into the file."""
    layer = _layer_of_code(str(made))
    return _model(folder, lambda c: keras.saving.serialize_keras_object(layer))


@hostile
def model_with_marshalled_code_within(folder, made):
    """The same where the flow has its transformer, as our own files name a layer."""
    layer = _layer_of_code(str(made))
    plain = {"module": type(layer).__module__, "name": "Lambda"}
    plain["config"] = keras.saving.serialize_keras_object(layer)["config"]
    return _model(folder, _with("transformer", plain))


@hostile
def model_of_deep_lists(folder, made):
    members = {_CONFIG: "[" * 200_000}
    return _model(folder, **members)


@hostile
def model_that_is_a_number(folder, made):
    return _model(folder, **{_CONFIG: "7"})


@hostile
def model_of_other_arguments(folder, made):
    return _model(folder, lambda c: c["config"].update({"distribution": {"dict": {}}}))


@hostile
def model_with_a_bomb(folder, made):
    return _model(folder, **{_CONFIG: b" " * 2**25 + _saved()[_CONFIG]})


@hostile
def model_with_a_bomb_beside(folder, made):
    return _model(folder, **{"assets/x": bytes(2**25)})


@hostile
def model_of_a_petabyte(folder, made):
    return _model(folder, _with("hidden_units", {"tuple": [10**14]}))


@hostile
def model_with_pickled_weights(folder, made):
    return _model(folder, **{_WEIGHTS: pickle.dumps(Touch(made))})


@hostile
def model_without_weights(folder, made):
    return _model(folder, **{_WEIGHTS: b""})


def _with_weights(folder, change):
    """A model, the first array of whose weights `change(group, name, array)` has made."""
    file = io.BytesIO(_saved()[_WEIGHTS])
    with h5py.File(file, "r+") as weights:
        name = weights.visititems(
            lambda name, item: name if isinstance(item, h5py.Dataset) else None
        )
        array = weights[name][()]
        del weights[name]
        change(weights, name, array)
    return _model(folder, **{_WEIGHTS: file.getvalue()})


@hostile
def model_with_weights_of_another_file(folder, made):
    secret = folder / "secret.h5"

    def change(weights, name, array):
        with h5py.File(secret, "w") as other:
            other["x"] = array
        weights[name] = h5py.ExternalLink(str(secret), "x")

    return _with_weights(folder, change)


@hostile
def model_with_weights_of_raw_bytes(folder, made):
    """An array that HDF5 reads from another file, such as that of passwords."""

    def change(weights, name, array):
        secret = folder / "secret"
        secret.write_bytes(array.tobytes())
        external = [(str(secret), 0, array.nbytes)]
        weights.create_dataset(name, array.shape, array.dtype, external=external)

    return _with_weights(folder, change)


@hostile
def model_with_weights_of_a_petabyte(folder, made):
    def change(weights, name, array):
        weights.create_dataset(name, (10**14,), array.dtype, chunks=(2**16,))

    return _with_weights(folder, change)
