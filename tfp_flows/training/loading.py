"""Safe loading of saved models, from files that may come from anyone."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import stat
import types
import zipfile
from collections.abc import Iterator, Sequence
from typing import Any

import h5py
import keras
import tensorflow as tf

from tfp_flows.core.arguments import limited_sizes
from tfp_flows.core.saved_names import check_keras
from tfp_flows.core.saved_names import custom_modules as naming
from tfp_flows.core.serialization import check_format, check_saved
from tfp_flows.training.model import LikelihoodModel

_CONFIG, _WEIGHTS = "config.json", "model.weights.h5"
_MEMBERS = {_CONFIG, "metadata.json", _WEIGHTS}
# Files of Keras layers with vocabularies.
_ASSET = re.compile(r"assets/(?:(?!\.{1,2}/)[^/\\:\0]+/)*(?!\.{1,2}$)[^/\\:\0]*")
_MAX_MEMBERS = 1000
_MAX_CONFIG = 2**25  # bytes; a permutation of a million variables takes a quarter of it
# Keras does not compress. A repacked archive may expand to this many bytes, or to this many
# times its size. A hostile archive of zeros expands to a thousand times its size.
_MAX_EXPANDED, _MAX_EXPANSION = 2**24, 20
_MAX_DEPTH = 100  # groups within groups of the weights
# Variables may have so many times the number and bytes of the file's arrays, since an
# optimizer that was saved before its first step adds its own; plus so many others.
_MAX_COPIES, _MAX_OTHER_VARIABLES, _MAX_OTHER_BYTES = 4, 200, 2**26
# An array may have half as many entries as the weights have bytes, plus this many.
_MAX_OTHER_ENTRIES = 2**20


def load(
    path: str | os.PathLike,
    *,
    custom_modules: Sequence[types.ModuleType | str] = (),
    compile: bool = True,
) -> Any:
    """Returns a saved model, from a file that may come from anyone.

    The whole file is checked before anything is built: its members and their sizes, every
    name in its configuration, and the links and sizes of its weights. It may name classes
    of this package, Keras 3 objects without marshalled code, TFP's bijectors and
    distributions with plain parameters, objects that are registered with Keras
    (`keras.saving.register_keras_serializable`), and objects of `custom_modules`.

    Files begin with a format number. Every later version reads the formats of version 0.2.0
    and later.

    `keras.saving.load_model` returns the same model and builds the same objects only, but
    Keras checks neither the archive nor its own layers before it builds them. Use it for
    files of your own.

    Args:
      path: path of a `.keras` file, or of the folder that `save(..., zipped=False)` wrote.
      custom_modules: your own modules, or their full names, whose classes and functions the
        file may name without registration; a package stands for its loaded modules, too.
      compile: whether the model is compiled as it was when it was saved.

    Returns:
      The `DensityEstimator` or `VAE`, with its weights.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: if it holds something else, names an object that it may not name, or was
        saved by a newer version in a newer format.

    >>> import tfp_flows
    >>> flow = tfp_flows.MAF(2, num_steps=2, seed=0)
    >>> dist = tfp_flows.FlowDistribution(tfp_flows.standard_normal(2), flow)
    >>> tfp_flows.DensityEstimator(dist).save("flow.keras")
    >>> loaded = tfp_flows.load("flow.keras").distribution
    >>> bool(loaded.log_prob([1.0, 2.0]) == dist.log_prob([1.0, 2.0]))
    True
    """
    if not isinstance(path, (str, os.PathLike)):
        raise ValueError(f"Expected `path` of a file; got {path!r}.")
    path = os.fspath(path)
    os.stat(path)  # raises where there is none
    with naming(custom_modules):
        try:
            (num_arrays, num_bytes), custom_objects = _check_file(path, compile)
            # Weights have at least two bytes.
            sizes = limited_sizes(num_bytes // 2 + _MAX_OTHER_ENTRIES)
            with sizes, _limited_variables(num_arrays, num_bytes):
                return keras.saving.load_model(
                    path, custom_objects=custom_objects, compile=compile, safe_mode=True
                )
        except Exception as error:  # a file may make Keras trip over anything
            raise ValueError(
                f"Expected a model that `save` has written in {path}; got "
                f"{type(error).__name__}: {error}"
            ) from error


def _check_file(path, compile):
    """Returns number and bytes of all weights, and the `custom_objects` for Keras."""
    if os.path.isdir(path):
        members = _folder_members(path)
        return _check_parts(members, compile, lambda n: open(os.path.join(path, n), "rb"))
    if not path.endswith(".keras"):
        raise ValueError("a name that does not end in `.keras`")
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        for member in members:
            kinds = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
            if member.compress_type not in kinds or member.flag_bits & 1:
                raise ValueError(f"{member.filename!r}, packed otherwise than by `save`")
        sizes = [(member.filename, member.file_size) for member in members]
        total, size = sum(size for _, size in sizes), os.path.getsize(path)
        if total > max(_MAX_EXPANDED, _MAX_EXPANSION * size):
            raise ValueError(f"an archive of {size:,} bytes that expands to {total:,}")
        return _check_parts(sizes, compile, archive.open)


def _check_parts(sizes, compile, opened):
    """Checks the members of a file by their names, sizes and contents."""
    names = [name for name, _ in sizes]
    if len(names) > _MAX_MEMBERS or len(set(names)) < len(names):
        raise ValueError(f"{len(names)} members, of {len(set(names))} names")
    for name in names:
        if name not in _MEMBERS and not _ASSET.fullmatch(name):
            raise ValueError(f"the unexpected member {name!r}")
    if missing := {_CONFIG, _WEIGHTS} - set(names):
        raise ValueError(f"no member {sorted(missing)}")
    if dict(sizes)[_CONFIG] > _MAX_CONFIG:
        raise ValueError(f"a configuration of {dict(sizes)[_CONFIG]:,} bytes")
    with opened(_CONFIG) as file:
        custom_objects = _check_config(json.loads(file.read(_MAX_CONFIG + 1)), compile)
    with opened(_WEIGHTS) as file:
        return _check_weights(io.BytesIO(file.read())), custom_objects


def _folder_members(path):
    """Returns names and sizes of the files in a folder; refuses links and devices."""
    members = []
    for folder, folders, files in os.walk(path):
        for name in [*folders, *files]:
            entry = os.path.join(folder, name)
            info = os.lstat(entry)
            if not (stat.S_ISREG(info.st_mode) or stat.S_ISDIR(info.st_mode)):
                raise ValueError(f"{entry}, which is no plain file")
            if name in files:
                member = os.path.relpath(entry, path).replace(os.sep, "/")
                members.append((member, info.st_size))
        if len(members) > _MAX_MEMBERS:
            break
    return members


def _check_config(config, compile):
    """Checks all names of a configuration; returns Keras's `custom_objects`."""
    if not isinstance(config, dict) or not isinstance(config.get("config"), dict):
        raise ValueError("a configuration of no model")
    inner = config["config"]
    check_format(inner)
    outer = {**config, "config": {}}
    if not compile:
        outer["compile_config"] = None
    custom_objects = check_keras(outer)
    name: Any = config.get("registered_name") or config.get("class_name")
    cls = custom_objects.get(name) or keras.saving.get_registered_object(name)
    if hasattr(cls, "real_class"):  # the package's stand-in for a class not imported yet
        cls = cls.real_class()
    if not (isinstance(cls, type) and issubclass(cls, LikelihoodModel)):
        raise ValueError(f"a {config.get('class_name')!r}, no DensityEstimator or VAE")
    for part in cls.saved_parts:
        check_saved(inner.get(part))
    others = {k: v for k, v in inner.items() if k not in cls.saved_parts}
    return custom_objects | check_keras(others)


def _check_weights(file):
    """Returns number and bytes of arrays in an HDF5 file; refuses links and packed ones."""
    count, total, seen = 0, 0, set()
    with h5py.File(file, "r") as weights:
        waiting = [(weights["/"], 0)]
        while waiting:
            group, depth = waiting.pop()
            if depth > _MAX_DEPTH:
                raise ValueError(f"weights nested deeper than {_MAX_DEPTH} levels")
            for name in group:
                if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                    raise ValueError(f"a link {name!r} to other weights")
                part = group[name]
                address = h5py.h5o.get_info(part.id).addr
                if address in seen:
                    raise ValueError(f"two names for the weights {name!r}")
                seen.add(address)
                if isinstance(part, h5py.Group):
                    waiting.append((part, depth + 1))
                else:
                    count += 1
                    total += _bytes_of_dataset(part, name)
    return count, total


def _bytes_of_dataset(dataset, name):
    if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind not in "biufcV":
        raise ValueError(f"weights {name!r} that are no numbers")
    if dataset.dtype.hasobject or dataset.external or dataset.is_virtual:
        raise ValueError(f"weights {name!r} that are in another file")
    num_bytes = dataset.size * dataset.dtype.itemsize
    if num_bytes > dataset.id.get_storage_size():
        raise ValueError(
            f"weights {name!r} of more bytes than the file holds: {num_bytes:,}"
        )
    return num_bytes


@contextlib.contextmanager
def _limited_variables(num_arrays: int, num_bytes: int) -> Iterator[None]:
    """Refuses many more variables than arrays, and many more bytes, in total."""
    most = _MAX_COPIES * num_arrays + _MAX_OTHER_VARIABLES
    most_bytes = _MAX_COPIES * num_bytes + _MAX_OTHER_BYTES
    num_created = bytes_created = 0

    def create(next_creator: Any, **kwargs: Any) -> tf.Variable:
        nonlocal num_created, bytes_created
        initial, shape = kwargs.get("initial_value"), kwargs.get("shape")
        if shape is None:
            shape = _shape_of_initial(initial)
        dtype = tf.as_dtype(kwargs.get("dtype") or getattr(initial, "dtype", "float32"))
        num_created += 1
        bytes_created += (tf.TensorShape(shape).num_elements() or 0) * dtype.size
        if num_created > most or bytes_created > most_bytes:
            raise ValueError(
                f"a variable of shape {shape}, with which the model has {num_created} "
                f"variables of {bytes_created:,} bytes, more than the file's {num_arrays} "
                f"arrays of {num_bytes:,} bytes allow"
            )
        return next_creator(**kwargs)

    with tf.variable_creator_scope(create):
        yield


def _shape_of_initial(initial):
    """Returns the shape of a variable's first value, without computing it."""
    if not callable(initial):
        return getattr(initial, "shape", ())
    cells = [cell.cell_contents for cell in getattr(initial, "__closure__", None) or ()]
    variables = [value for value in cells if isinstance(value, keras.Variable)]
    if len(variables) == 1:  # Keras calls its initializer for this variable
        return variables[0].shape
    with tf.Graph().as_default():
        return tf.convert_to_tensor(initial()).shape
