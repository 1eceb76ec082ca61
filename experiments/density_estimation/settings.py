"""Everything that determines a run of `density_estimation`, with its defaults."""

import dataclasses

from experiments.command_line import usage
from experiments.command_line.flag_settings import FlagSettings
from experiments.command_line.flag_settings import field as _field


@dataclasses.dataclass(frozen=True)
class Settings(FlagSettings):
    """One run; each field is also the flag of that name, and its text the flag's help."""

    dataset: str = _field("two_moons", "Data set to fit.")
    flow: str = _field("real_nvp", "Flow to fit.")
    base: str = _field("normal", "Base distribution, at the latent end.")
    data_dir: str = _field(
        "",
        "Folder of the data that come with no package; a download goes there too. By "
        "default, tfp_flows in the user's cache.",
    )
    conditional: bool = _field(
        False, "Whether rows that have a class, as digits, are modelled given it."
    )
    num_bits: int = _field(8, "Bits that are kept of the 8 of each pixel.")
    horizontal_flips: bool = _field(
        False, "Whether half of the training images, drawn anew each epoch, are mirrored."
    )
    images_path: str = _field(
        "", "Folder of pictures, or .npz file of bytes, of --dataset=images."
    )
    image_size: int = _field(
        0, "Height and width of the pictures; 0: those of the first one."
    )
    image_fit: str = _field(
        "refuse", "What is done with pictures of another size: refuse, resize or crop."
    )
    csv_path: str = _field("", "Table of --dataset=csv: numbers, with or without a header.")
    npz_path: str = _field("", "NumPy file of --dataset=npz.")
    npz_key: str = _field("", "Array in it, where there are several.")
    context_columns: tuple[str, ...] = _field(
        (),
        "Columns of csv or npz, by name or index, that condition the others; a name with a "
        "comma is quoted, as in a csv file.",
    )
    drop_constant_columns: bool = _field(
        False, "Whether constant columns of csv or npz are left out, not refused."
    )
    validation_share: float = _field(0.1, "Share of the rows of csv, npz or images.")
    test_share: float = _field(0.1, "Share of the rows of csv, npz or images.")
    run_dir: str = _field("runs/density_estimation", "Folder that the run writes into.")
    init_from: str = _field(
        "",
        "Folder of a finished run of the same architecture and columns, whose weights and "
        "statistics of data training starts from.",
    )
    num_steps: int = _field(8, "Number of steps of the flow; of glow, of each level.")
    num_levels: int = _field(2, "Number of levels of glow and real_nvp_image.")
    hidden_channels: int = _field(
        32,
        "Width, in channels, of the hidden layers of glow's and real_nvp_image's networks.",
    )
    num_blocks: int = _field(2, "Residual blocks of each network of real_nvp_image.")
    standardize: bool = _field(
        True, "Whether flows on vectors standardise the variables by the training rows."
    )
    hidden_units: tuple[int, ...] = _field(
        (64, 64), "Widths, in units, of the hidden layers of each conditioner."
    )
    scale: str = _field(
        "soft_bounded",
        "How an affine step makes scales of its conditioner's output; soft_bounded keeps "
        "them within exp(-2) and exp(2), exp does not bound them.",
    )
    activation: str = _field("relu", "Keras name of the conditioners' activation.")
    residual: bool = _field(False, "Whether the conditioners are residual.")
    batch_norm: bool = _field(
        False,
        "Whether batch norm follows each step; evaluated with the statistics of the "
        "whole training set, which costs one more pass of it per epoch.",
    )
    act_norm: bool = _field(False, "Whether act norm follows each step.")
    lu_mixing: bool = _field(False, "Whether a learned linear map follows each step.")
    recompute: bool = _field(
        False,
        "Whether training recomputes activations, so that its memory hardly grows with "
        "the number of steps.",
    )
    direct: bool = _field(
        False,
        "Whether autoregressive conditioners also connect inputs to outputs directly.",
    )
    random_orderings: bool = _field(
        False, "Whether each step of MAF draws its order of the variables, or reverses it."
    )
    ordering: str = _field(
        "default",
        "Order of the variables in binary_made and mixture_made; by default natural with "
        "one mask, and drawn for each of several. random is drawn from --seed.",
    )
    num_masks: int = _field(
        1,
        "Masks of binary_made and mixture_made: a training step takes the next, the "
        "probability is the mean over all.",
    )
    num_components: int = _field(10, "Components of each mixture of Gaussians.")
    batch_size: int = _field(256, "Rows per training step.")
    epochs: int = _field(100, "Passes over the training rows, at most.")
    max_minutes: float = _field(
        0.0, "Training time in minutes after which no further epoch starts; 0: no limit."
    )
    patience: int = _field(
        20,
        "Epochs without a better validation log-likelihood before training stops; the "
        "weights of the best epoch are kept.",
    )
    learning_rate: float = _field(3e-3, "Adam's step size at the start.")
    cosine_decay: bool = _field(
        True, "Whether the step size falls to 0 along a cosine over all `epochs`."
    )
    gradient_clip_norm: float = _field(
        5.0, "Norm, over all weights, that a gradient is scaled down to; 0: none."
    )
    weight_decay: float = _field(
        0.0,
        "Share of each weight, times the step size, taken off per training step, apart "
        "from the gradient (AdamW).",
    )
    ema_momentum: float = _field(
        0.0, "Momentum, per training step, of averaged weights to evaluate; 0: none."
    )
    fresh_noise: bool = _field(
        True, "Whether integer data get new dequantisation noise in each epoch."
    )
    strategy: str = _field(
        "none",
        "none: one device; mirrored: each batch is divided among the GPUs of the machine, "
        "or its logical CPUs; multi_worker: among the machines that TF_CONFIG names.",
    )
    steps_per_execution: int = _field(16, "Training steps per call of TensorFlow.")
    jit_compile: bool = _field(False, "Whether XLA compiles the training step.")
    seed: int = _field(0, "Integer: initial weights, shuffling, noise and samples.")
    data_seed: int = _field(0, "Integer: toy data, dequantisation and splits.")
    max_validation_rows: int = _field(
        0, "Validation rows, the first ones, that are looked at after each epoch; 0: all."
    )
    evaluation_batch_size: int = _field(4096, "Rows per step of evaluation.")
    num_samples: int = _field(5000, "Number of samples in the pictures.")
    tensorboard: bool = _field(False, "Whether to write TensorBoard logs as well.")
    pictures_every: int = _field(
        10, "Epochs between two pictures in the TensorBoard logs; 0: no pictures."
    )
    checkpoint_every: int = _field(1, "Epochs between two checkpoints.")
    progress: int = _field(
        -1,
        "0: silent; 1: a bar; 2: a line an epoch; -1: a bar on a terminal, elsewhere a "
        "line a minute.",
    )

    def __post_init__(self):
        super().__post_init__()
        usage.check(self)

    def data_arguments(self):
        """Returns what `load_dataset` needs beyond the name."""
        names = ("data_dir", "conditional", "csv_path", "npz_path", "npz_key")
        names += ("context_columns", "drop_constant_columns")
        names += ("validation_share", "test_share", "num_bits")
        names += ("images_path", "image_size", "image_fit")
        return {"seed": self.data_seed} | {name: getattr(self, name) for name in names}
