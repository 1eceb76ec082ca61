"""Settings that every experiment on data shares: the data, the training, the folder."""

import dataclasses

from experiments.command_line import refusals
from experiments.command_line.flag_settings import FlagSettings
from experiments.command_line.flag_settings import field
from experiments.data import DATASETS
from experiments.data import Request
from experiments.data import own_images
from experiments.runs.workers import STRATEGIES

__all__ = ["TrainingSettings"]


@dataclasses.dataclass(frozen=True)
class TrainingSettings(FlagSettings):
    """One run; each field is also the flag of that name, and its text the flag's help."""

    MAY_GROW = ("epochs",)

    dataset: str = field("two_moons", "Data set to fit.", one_of=DATASETS)
    data_dir: str = field(
        "",
        "Folder of the data that come with no package; a download goes there too. By "
        "default, tfp_flows in the user's cache.",
    )
    num_bits: int = field(
        8, "Bits that are kept of the 8 of each pixel.", at_least=1, at_most=8
    )
    images_path: str = field(
        "", "Folder of pictures, or .npz file of bytes, of --dataset=images."
    )
    image_size: int = field(
        0, "Height and width of the pictures; 0: those of the first one.", at_least=0
    )
    image_fit: str = field(
        "refuse",
        "What is done with pictures of another size: refuse, resize or crop.",
        one_of=own_images.FITS,
    )
    validation_share: float = field(
        0.1, "Share of the rows of csv, npz or images.", above=0, below=1
    )
    test_share: float = field(
        0.1, "Share of the rows of csv, npz or images.", above=0, below=1
    )
    run_dir: str = field("runs/run", "Folder that the run writes into.")
    init_from: str = field(
        "",
        "Folder of a finished run of the same architecture and columns, whose weights and "
        "statistics of data training starts from.",
    )
    batch_size: int = field(256, "Rows per training step.", at_least=1)
    epochs: int = field(100, "Passes over the training rows, at most.", at_least=1)
    max_minutes: float = field(
        0.0,
        "Training time in minutes after which no further epoch starts; 0: no limit.",
        at_least=0,
    )
    patience: int = field(
        20,
        "Epochs without a better validation log-likelihood, or bound on it, before "
        "training stops; the weights of the best epoch are kept.",
        at_least=0,
    )
    learning_rate: float = field(3e-3, "Adam's greatest step size.", above=0)
    warmup_steps: int = field(
        0,
        "Training steps in which the step size rises along a line to `learning_rate`; 0: "
        "it starts there.",
        at_least=0,
    )
    cosine_decay: bool = field(
        True,
        "Whether the step size then falls to 0 along a cosine, until the end of `epochs`.",
    )
    gradient_clip_norm: float = field(
        5.0,
        "Norm, over all weights, that a gradient is scaled down to; 0: none.",
        at_least=0,
    )
    weight_decay: float = field(
        0.0,
        "Share of each weight, times the step size, taken off per training step, apart "
        "from the gradient (AdamW).",
        at_least=0,
    )
    ema_momentum: float = field(
        0.0,
        "Momentum, per training step, of averaged weights to evaluate; 0: none.",
        at_least=0,
        below=1,
    )
    strategy: str = field(
        "none",
        "none: one device; mirrored: each batch is divided among the GPUs of the machine, "
        "or its logical CPUs; multi_worker: among the machines that TF_CONFIG names.",
        one_of=STRATEGIES,
    )
    steps_per_execution: int = field(
        16, "Training steps per call of TensorFlow.", at_least=1
    )
    jit_compile: bool = field(False, "Whether XLA compiles the training step.")
    seed: int = field(
        0, "Integer: initial weights, shuffling, noise, draws and samples.", at_least=0
    )
    data_seed: int = field(
        0, "Integer: toy data, dequantisation, binarisation and splits.", at_least=0
    )
    evaluation_batch_size: int = field(4096, "Rows per step of evaluation.", at_least=1)
    tensorboard: bool = field(False, "Whether to write TensorBoard logs as well.")
    pictures_every: int = field(
        10,
        "Epochs between two pictures in the TensorBoard logs; 0: no pictures.",
        at_least=0,
    )
    checkpoint_every: int = field(1, "Epochs between two checkpoints.", at_least=1)
    progress: int = field(
        -1,
        "0: silent; 1: a bar; 2: a line an epoch; -1: a bar on a terminal, elsewhere a "
        "line a minute.",
        at_least=-1,
        at_most=2,
    )

    def __post_init__(self):
        super().__post_init__()
        refusals.check_data(self)
        refusals.check_run(self)

    def data_arguments(self):
        """Returns what `load_dataset` needs beyond the name."""
        names = {f.name for f in dataclasses.fields(Request)} & vars(self).keys()
        return {name: getattr(self, name) for name in names} | {"seed": self.data_seed}
