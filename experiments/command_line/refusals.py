"""Refusals of settings that no data could make right, before any data are read."""

import os
import pathlib

import keras
import numpy as np

from experiments.command_line.flag_settings import UsageError
from experiments.data import DATASETS

__all__ = ["check_activation", "check_data", "check_encoding", "check_run"]
__all__ += ["check_run_dir", "check_strategy"]

# Data set -> the flags that mean something with it only; the first must be given.
_PATHS = {
    "csv": ("csv_path", "decimal", "encoding"),
    "npz": ("npz_path", "npz_key"),
    "images": ("images_path", "image_size", "image_fit"),
}
_OF_OWN_TABLES = ("context_columns", "drop_constant_columns")
_OF_OWN_DATA = ("validation_share", "test_share")


def check_data(settings):
    """Raises `UsageError` if flags do not fit the data set.

    Args:
      settings: a `TrainingSettings`.
    """
    if (both := settings.validation_share + settings.test_share) >= 1.0:
        raise UsageError(
            f"Expected `validation_share` and `test_share` below 1 together; got {both}."
        )
    for dataset, flags in _PATHS.items():
        if settings.dataset != dataset:
            _refuse_idle(settings, flags, [dataset])
        elif not vars(settings).get(flags[0], True):
            settings.refuse(flags[0], f"with --dataset={dataset}")
    if settings.dataset not in ("csv", "npz"):
        _refuse_idle(settings, _OF_OWN_TABLES, ["csv", "npz"])
    if settings.dataset not in _PATHS:
        _refuse_idle(settings, _OF_OWN_DATA, _PATHS)
    kinds = {
        "conditional": [name for name, entry in DATASETS.items() if entry.has_classes],
        "num_bits": [name for name, entry in DATASETS.items() if entry.has_pixels],
        "horizontal_flips": [name for name, entry in DATASETS.items() if entry.is_image],
    }
    for flag, fitting in kinds.items():
        if settings.dataset not in fitting:
            _refuse_idle(settings, [flag], fitting)


def check_run(settings):
    """Raises `UsageError` if a run cannot work as the settings ask.

    Args:
      settings: a `TrainingSettings`.
    """
    check_strategy(settings)
    check_run_dir(settings)
    start, own = (os.path.realpath(getattr(settings, n)) for n in ("init_from", "run_dir"))
    if settings.init_from and start == own:
        settings.refuse(
            "init_from", "to be another folder than `run_dir`, whose run goes on"
        )


def check_strategy(settings):
    """Raises `UsageError` if what XLA compiles is to run on several replicas."""
    if settings.jit_compile and settings.strategy != "none":
        raise UsageError(
            "Expected no `jit_compile` with a `strategy`; give --nojit_compile."
        )


def check_run_dir(settings):
    """Raises `UsageError` if `settings.run_dir` can be no folder to write into."""
    if not settings.run_dir:
        settings.refuse("run_dir", "to name a folder")
    path = pathlib.Path(settings.run_dir).absolute()
    # The folder, or what there is of the way to it.
    while not path.exists() and path != path.parent:
        path = path.parent
    if not path.is_dir():
        raise UsageError(
            f"Expected `run_dir` to be a folder; got {settings.run_dir!r}, where {path} is "
            "something else."
        )
    if not os.access(path, os.W_OK | os.X_OK):
        raise UsageError(
            f"Expected `run_dir` to be writable; got {settings.run_dir!r}, where {path} is "
            "not."
        )


def check_activation(name):
    """Raises `UsageError` unless `name` is an activation of Keras's that acts elementwise.

    Others change the number of units, as glu, or mix them, as softmax, so that an
    autoregressive network would see what it must not.
    """
    rows = np.array([[-0.5, 0.7], [-0.5, -1.7]], np.float32)
    try:
        values = np.asarray(keras.activations.get(name)(rows))
    except (TypeError, ValueError):  # no activation, or one with arguments
        values = None
    if values is None or values.shape != rows.shape or values[0, 0] != values[1, 0]:
        raise UsageError(
            f"Expected `activation` to be an elementwise one of Keras's; got {name!r}."
        )


def check_encoding(name):
    """Raises `UsageError` unless `name` is an encoding that lines can be told by."""
    try:
        has_ascii = "0,\n".encode(name) == b"0,\n"
    except LookupError:
        has_ascii = False
    if not has_ascii:
        raise UsageError(
            "Expected `encoding` to be one that Python knows and that has ASCII's letters "
            f"as they are, as utf-8 or latin-1; got {name!r}."
        )


def _refuse_idle(settings, names, datasets):
    """Refuses flags that the data set would silently ignore; some settings lack them."""
    fields = type(settings).__dataclass_fields__
    needed = " or ".join(f"--dataset={name}" for name in datasets)
    for name in fields.keys() & set(names):
        if getattr(settings, name) != fields[name].default:
            raise UsageError(
                f"Expected `{name}` with {needed} only; got it with "
                f"--dataset={settings.dataset}."
            )
