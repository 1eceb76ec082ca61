"""Settings that experiments share, and checks of them that need no data."""

import dataclasses
import os
import pathlib

import tfp_flows
from experiments.command_line.flag_settings import FlagSettings, UsageError, field
from experiments.data import DATASETS, Request, own_images
from experiments.runs.workers import STRATEGIES

# Data set -> the flags that only this data set uses; the first must be given.
_PATHS = {
    "csv": ("csv_path", "decimal", "encoding"),
    "npz": ("npz_path", "npz_key"),
    "images": ("images_path", "image_size", "image_fit"),
}
_TABLE_FLAGS = ("context_columns", "drop_constant_columns")
_SHARES = ("validation_share", "test_share")


@dataclasses.dataclass(frozen=True)
class TrainingSettings(FlagSettings):
    """One run; each field is also the flag of that name, and its text the flag's help."""

    MAY_GROW = ("epochs",)

    dataset: str = field("two_moons", "Data set to fit.", one_of=DATASETS)
    data_dir: str = field(
        "", "Folder of data files and downloads; by default, tfp_flows in the user cache."
    )
    num_bits: int = field(8, "Bits to keep of each 8-bit pixel.", at_least=1, at_most=8)
    images_path: str = field(
        "", "Folder of pictures, or .npz file of bytes, of --dataset=images."
    )
    image_size: int = field(0, "Picture size in pixels; 0: that of the first.", at_least=0)
    image_fit: str = field(
        "refuse", "What to do with pictures of another size.", one_of=own_images.FITS
    )
    validation_share: float = field(0.1, "Share of the user's rows.", above=0, below=1)
    test_share: float = field(0.1, "Share of the user's rows.", above=0, below=1)
    run_dir: str = field("runs/run", "Folder that the run writes into.")
    init_from: str = field(
        "",
        "Folder of a finished run of the same architecture and columns; training starts "
        "from its weights and data statistics.",
    )
    batch_size: int = field(256, "Rows per training step.", at_least=1)
    epochs: int = field(100, "Passes over the training rows, at most.", at_least=1)
    max_minutes: float = field(
        0.0,
        "Minutes of training after which no further epoch starts; 0: no limit.",
        at_least=0,
    )
    patience: int = field(
        20,
        "Epochs without a better validation log-likelihood (or ELBO) before training "
        "stops; the weights of the best epoch are kept.",
        at_least=0,
    )
    learning_rate: float = field(3e-3, "Adam's greatest step size.", above=0)
    warmup_steps: int = field(
        0,
        "Steps in which the step size rises linearly to `learning_rate`; 0: no warm-up.",
        at_least=0,
    )
    cosine_decay: bool = field(
        True, "Whether the step size then falls to 0 along a cosine over all `epochs`."
    )
    gradient_clip_norm: float = field(
        5.0, "Maximum norm of the gradient of all weights; 0: no clipping.", at_least=0
    )
    weight_decay: float = field(0.0, "Weight decay of AdamW; 0: none.", at_least=0)
    ema_momentum: float = field(
        0.0, "Momentum of averaged weights, per step; 0: no average.", at_least=0, below=1
    )
    strategy: str = field(
        "none",
        "none: one device; mirrored: divides each batch among the machine's GPUs, or its "
        "logical CPUs; multi_worker: divides it among the machines that TF_CONFIG names.",
        one_of=STRATEGIES,
    )
    steps_per_execution: int = field(16, "Training steps per graph call.", at_least=1)
    jit_compile: bool = field(False, "Whether XLA compiles the training step.")
    seed: int = field(0, "Seed of weights, shuffling, noise and samples.", at_least=0)
    data_seed: int = field(0, "Seed of toy data, data noise and splits.", at_least=0)
    evaluation_batch_size: int = field(4096, "Rows per step of evaluation.", at_least=1)
    tensorboard: bool = field(False, "Whether to write TensorBoard logs as well.")
    pictures_every: int = field(
        10, "Epochs between two pictures in the TensorBoard logs; 0: none.", at_least=0
    )
    checkpoint_every: int = field(1, "Epochs between two checkpoints.", at_least=1)
    progress: int = field(
        -1,
        "0: silent; 1: a bar; 2: a line per epoch; -1: a bar on a terminal, else a line "
        "per minute.",
        at_least=-1,
        at_most=2,
    )

    def __post_init__(self):
        super().__post_init__()
        check_data(self)
        check_run(self)

    def data_arguments(self):
        """Returns the arguments of `load_dataset` after the name."""
        names = {f.name for f in dataclasses.fields(Request)} & vars(self).keys()
        return {name: getattr(self, name) for name in names} | {"seed": self.data_seed}


def check_data(settings):
    """Raises `UsageError` if flags do not fit the data set."""
    check_shares(settings)
    for dataset, flags in _PATHS.items():
        if settings.dataset != dataset:
            _refuse_idle(settings, flags, [dataset])
        elif not vars(settings).get(flags[0], True):
            settings.refuse(flags[0], f"with --dataset={dataset}")
    if settings.dataset not in ("csv", "npz"):
        _refuse_idle(settings, _TABLE_FLAGS, ["csv", "npz"])
    if settings.dataset not in _PATHS:
        _refuse_idle(settings, _SHARES, _PATHS)
    kinds = {
        "conditional": [name for name, entry in DATASETS.items() if entry.has_classes],
        "num_bits": [name for name, entry in DATASETS.items() if entry.has_pixels],
        "horizontal_flips": [name for name, entry in DATASETS.items() if entry.is_image],
    }
    for flag, fitting in kinds.items():
        if settings.dataset not in fitting:
            _refuse_idle(settings, [flag], fitting)


def check_shares(settings):
    """Raises `UsageError` if validation and test rows leave none for training."""
    if (both := settings.validation_share + settings.test_share) >= 1.0:
        raise UsageError(
            f"Expected `validation_share` and `test_share` below 1 together; got {both}."
        )


def check_run(settings):
    """Raises `UsageError` if strategy, `run_dir` or `init_from` cannot work together."""
    check_strategy(settings)
    check_run_dir(settings)
    start, own = (os.path.realpath(getattr(settings, n)) for n in ("init_from", "run_dir"))
    if settings.init_from and start == own:
        settings.refuse(
            "init_from", "to be another folder than `run_dir`, whose run goes on"
        )


def check_strategy(settings):
    """Raises `UsageError` for `jit_compile` with several replicas."""
    if settings.jit_compile and settings.strategy != "none":
        raise UsageError(
            "Expected no `jit_compile` with a `strategy`; give --nojit_compile."
        )


def check_run_dir(settings):
    """Raises `UsageError` unless `settings.run_dir` is or can become a writable folder."""
    if not settings.run_dir:
        settings.refuse("run_dir", "to name a folder")
    path = pathlib.Path(settings.run_dir).absolute()
    # The nearest folder above it that exists.
    while not path.exists() and path != path.parent:
        path = path.parent
    if not path.is_dir():
        raise UsageError(
            f"Expected `run_dir` to be a folder; got {settings.run_dir!r}, where {path} is "
            "no folder."
        )
    if not os.access(path, os.W_OK | os.X_OK):
        raise UsageError(
            f"Expected `run_dir` to be writable; got {settings.run_dir!r}, where {path} is "
            "not."
        )


def check_activation(name):
    """Raises `UsageError` unless `name` is an activation of Keras that maps each unit."""
    try:
        tfp_flows.MaskedMLP(1, (), ordering=[1], activation=name)
    except (TypeError, ValueError) as error:  # no activation, or one with arguments
        raise UsageError(
            f"Expected `activation` to be an elementwise one of Keras; got {name!r}."
        ) from error


def check_encoding(name):
    """Raises `UsageError` unless `name` is an encoding that keeps ASCII's bytes."""
    try:
        has_ascii = "0,\n".encode(name) == b"0,\n"
    except (LookupError, UnicodeError):
        has_ascii = False
    if not has_ascii:
        raise UsageError(
            "Expected `encoding` to be known to Python and an extension of ASCII, such as "
            f"utf-8 or latin-1; got {name!r}."
        )


def _refuse_idle(settings, names, datasets):
    """Refuses flags that the data set would ignore; some classes lack some flags."""
    needed = " or ".join(f"--dataset={name}" for name in datasets)
    for name in settings.non_default(names):
        raise UsageError(
            f"Expected `{name}` with {needed} only; got it with "
            f"--dataset={settings.dataset}."
        )
