"""What a command line may ask for, checked before any data are read."""

import math
import os
import pathlib

from experiments.data import DATASETS

__all__ = [
    "UsageError",
    "check",
    "check_data",
    "check_numbers",
    "check_run",
    "check_widths",
]

_AT_LEAST_ONE = (
    *(
        "num_steps",
        "num_masks",
        "num_components",
        "num_levels",
        "hidden_channels",
        "num_blocks",
        "batch_size",
        "epochs",
        "steps_per_execution",
    ),
    *("evaluation_batch_size", "checkpoint_every"),
)
_AT_LEAST_ZERO = (
    *("max_minutes", "patience", "gradient_clip_norm", "weight_decay", "ema_momentum"),
    *("seed", "data_seed", "pictures_every", "max_validation_rows", "image_size"),
)
# Data set -> the flags that mean something with it only; the first must be given.
_PATHS = {
    "csv": ("csv_path",),
    "npz": ("npz_path", "npz_key"),
    "images": ("images_path", "image_size", "image_fit"),
}
_OF_OWN_TABLES = ("context_columns", "drop_constant_columns")
_OF_OWN_DATA = ("validation_share", "test_share")


class UsageError(ValueError):
    """A command line, or settings, that no data could make right."""


def check(settings):
    """Raises `UsageError` if `settings` hold a value, or a combination, of no use.

    Args:
      settings: a `Settings`.
    """
    check_numbers(settings, at_least_one=_AT_LEAST_ONE, at_least_zero=_AT_LEAST_ZERO)
    check_widths(settings, "hidden_units")
    if settings.num_samples < 2:  # which the two-sample test divides
        _refuse(settings, "num_samples", "of at least 2")
    if settings.batch_norm and settings.act_norm:
        raise UsageError("Expected one of `batch_norm` and `act_norm`; got both.")
    check_data(settings)
    check_run(settings)


def check_data(settings):
    """Raises `UsageError` if flags of data, of any settings, do not fit the data set."""
    _check_shares(settings)
    _check_paths(settings)
    _check_classes_and_pixels(settings)


def check_numbers(settings, *, at_least_one, at_least_zero):
    """Raises `UsageError` if a number of any settings is out of range.

    Args:
      settings: with `learning_rate` and `ema_momentum` among them.
      at_least_one: names of those.
      at_least_zero: names of those.
    """
    for name, value in vars(settings).items():
        if isinstance(value, float) and not math.isfinite(value):
            _refuse(settings, name, "to be finite")
        if isinstance(value, int) and value >= 2**31:
            _refuse(settings, name, "below 2**31")
    for name in at_least_one:
        if getattr(settings, name) < 1:
            _refuse(settings, name, "of at least 1")
    for name in at_least_zero:
        if getattr(settings, name) < 0:
            _refuse(settings, name, "of at least 0")
    if settings.learning_rate <= 0.0:
        _refuse(settings, "learning_rate", "above 0")
    if settings.ema_momentum >= 1.0:
        _refuse(settings, "ema_momentum", "below 1")


def check_widths(settings, name):
    """Raises `UsageError` unless the field `name` holds widths of layers."""
    widths = getattr(settings, name)
    if not widths or min(widths) < 1:
        _refuse(settings, name, "to hold widths of at least 1")


def check_run(settings):
    """Raises `UsageError` if a run cannot work, or show itself, as any settings ask."""
    if settings.jit_compile and settings.strategy != "none":
        raise UsageError("Expected no `jit_compile` with a `strategy`; got both.")
    if settings.progress not in (-1, 0, 1, 2):
        _refuse(settings, "progress", "to be -1, 0, 1 or 2")
    _check_lines(settings)
    _check_run_dir(settings)
    _check_init_from(settings)


def _check_shares(settings):
    for name in ("validation_share", "test_share"):
        if not 0.0 < getattr(settings, name) < 1.0:
            _refuse(settings, name, "between 0 and 1")
    both = settings.validation_share + settings.test_share
    if both >= 1.0:
        raise UsageError(
            f"Expected `validation_share` and `test_share` below 1 together; got {both}."
        )


def _check_paths(settings):
    for dataset, flags in _PATHS.items():
        if settings.dataset != dataset:
            _refuse_idle(settings, flags, f"--dataset={dataset}")
        elif not vars(settings).get(flags[0], True):
            _refuse(settings, flags[0], f"with --dataset={dataset}")
    if settings.dataset not in ("csv", "npz"):
        _refuse_idle(settings, _OF_OWN_TABLES, "--dataset=csv or --dataset=npz")
    if settings.dataset not in _PATHS:
        _refuse_idle(settings, _OF_OWN_DATA, _any_of(_PATHS))


def _check_classes_and_pixels(settings):
    entries = DATASETS.items()
    kinds = {
        "conditional": [name for name, entry in entries if entry.has_classes],
        "num_bits": [name for name, entry in entries if entry.has_pixels],
        "horizontal_flips": [name for name, entry in entries if entry.is_image],
    }
    for flag, fitting in kinds.items():
        if settings.dataset not in fitting:
            _refuse_idle(settings, (flag,), _any_of(fitting))
    if not 1 <= settings.num_bits <= 8:
        _refuse(settings, "num_bits", "from 1 to 8")


def _any_of(datasets):
    return " or ".join(f"--dataset={name}" for name in datasets)


def _refuse_idle(settings, names, needed):
    """Refuses flags that the data set would silently ignore; some settings lack them."""
    fields = type(settings).__dataclass_fields__
    for name in fields.keys() & set(names):
        if getattr(settings, name) != fields[name].default:
            raise UsageError(
                f"Expected `{name}` with {needed} only; got it with "
                f"--dataset={settings.dataset}."
            )


def _check_lines(settings):
    """Refuses what `flags.txt`, a flag a line, could not repeat."""
    for name, value in vars(settings).items():
        texts = value if isinstance(value, tuple) else (value,)
        if any(isinstance(text, str) and ("\n" in text or "\r" in text) for text in texts):
            _refuse(settings, name, "without a line break, which flags.txt cannot hold")


def _check_run_dir(settings):
    if not settings.run_dir:
        _refuse(settings, "run_dir", "to name a folder")
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


def _check_init_from(settings):
    start, own = (os.path.realpath(getattr(settings, n)) for n in ("init_from", "run_dir"))
    if settings.init_from and start == own:
        _refuse(
            settings, "init_from", "to be another folder than `run_dir`, whose run goes on"
        )


def _refuse(settings, name, wanted):
    raise UsageError(f"Expected `{name}` {wanted}; got {getattr(settings, name)!r}.")
