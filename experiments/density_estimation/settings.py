"""Everything that determines a density estimation, with its defaults."""

import dataclasses

from experiments.command_line.flag_settings import UsageError
from experiments.command_line.flag_settings import changed
from experiments.command_line.flag_settings import field
from experiments.command_line.training_settings import TrainingSettings
from experiments.command_line.training_settings import check_encoding
from experiments.density_estimation import models


@dataclasses.dataclass(frozen=True)
class Settings(TrainingSettings):
    """One run; each field is also the flag of that name, and its text the flag's help."""

    PROGRAM = "density"
    run_dir: str = changed(TrainingSettings, "run_dir", "runs/density_estimation")
    flow: str = field("real_nvp", "Flow to fit.", one_of=models.FLOWS)
    base: str = field(
        "normal", "Base distribution, at the latent end.", one_of=models.BASES
    )
    conditional: bool = field(
        False, "Whether rows that have a class, as digits, are modelled given it."
    )
    horizontal_flips: bool = field(
        False, "Whether half of the training images, drawn anew each epoch, are mirrored."
    )
    csv_path: str = field("", "Table of --dataset=csv: numbers, with or without a header.")
    decimal: str = field(".", "Decimal mark of the numbers in csv.", one_of=".,")
    encoding: str = field("utf-8", "Encoding of the text of csv.")
    npz_path: str = field("", "NumPy file of --dataset=npz.")
    npz_key: str = field("", "Array in it, where there are several.")
    context_columns: tuple[str, ...] = field(
        (),
        "Columns of csv or npz, by name or index, that condition the others; a name with a "
        "comma is quoted, as in a csv file.",
    )
    drop_constant_columns: bool = field(
        False, "Whether constant columns of csv or npz are left out, not refused."
    )
    num_steps: int = field(
        8, "Number of steps of the flow; of glow, of each level.", at_least=1
    )
    num_levels: int = field(2, "Number of levels of glow and real_nvp_image.", at_least=1)
    hidden_channels: int = field(
        32,
        "Width, in channels, of the hidden layers of glow's and real_nvp_image's networks.",
        at_least=1,
    )
    num_blocks: int = field(
        2, "Residual blocks of each network of real_nvp_image.", at_least=1
    )
    standardize: bool = field(
        True, "Whether flows on vectors standardise the variables by the training rows."
    )
    decorrelate: bool = field(
        True, "Whether that takes out their correlations, too: the start is a Gaussian's."
    )
    heavy_tails: bool = field(
        True,
        "Whether standardising flows on vectors give their base heavier tails, so that few "
        "rows of tests lie far out.",
    )
    hidden_units: tuple[int, ...] = field(
        (64, 64), "Widths, in units, of the hidden layers of each conditioner.", at_least=1
    )
    transformer: str = field(
        "affine",
        "Elementwise map of each variable in the steps of real_nvp, made and maf.",
        one_of=models.TRANSFORMERS,
    )
    learned_tails: bool = field(
        False,
        "Whether a map with a learned weight of each tail comes first, at the data end.",
    )
    scale: str = field(
        "soft_bounded",
        "How an affine step makes scales of its conditioner's output; soft_bounded keeps "
        "them within exp(-2) and exp(2), exp does not bound them.",
        one_of=models.SCALES,
    )
    activation: str = field(
        "",
        "Keras name of the conditioners' activation; by default tanh in flows on vectors, "
        "elu in iaf without --standardize, relu in binary_made and mixture_made.",
    )
    residual: bool = field(False, "Whether the conditioners are residual.")
    batch_norm: bool = field(
        False,
        "Whether batch norm follows each step; evaluated with the statistics of the "
        "whole training set, which costs one more pass of it per epoch.",
    )
    act_norm: bool = field(False, "Whether act norm follows each step.")
    lu_mixing: bool = field(False, "Whether a learned linear map follows each step.")
    recompute: bool = field(
        False,
        "Whether training recomputes activations, so that its memory hardly grows with "
        "the number of steps.",
    )
    network_dtype: str = field(
        "float32",
        "What networks of flows compute in; their weights and maps are of float32.",
        one_of=("float32", "mixed_bfloat16"),
    )
    direct: bool = field(
        False,
        "Whether autoregressive conditioners also connect inputs to outputs directly.",
    )
    random_orderings: bool = field(
        False, "Whether each step of MAF draws its order of the variables, or reverses it."
    )
    ordering: str = field(
        "default",
        "Order of the variables in binary_made and mixture_made; by default natural with "
        "one mask, and drawn for each of several. random is drawn from --seed.",
        one_of=models.ORDERINGS,
    )
    num_masks: int = field(
        1,
        "Masks of binary_made and mixture_made: a training step takes the next, the "
        "probability is the mean over all.",
        at_least=1,
    )
    num_components: int = field(10, "Components of each mixture of Gaussians.", at_least=1)
    num_bins: int = field(8, "Bins of each spline of nsf and nsf_coupling.", at_least=2)
    bound: float = field(
        3.0, "Splines act within this distance from 0, in standard deviations.", above=0.0
    )
    dropout: float = field(
        0.0, "Share of the hidden units that a training step drops.", at_least=0.0
    )
    weight_prior: bool = field(
        True,
        "Whether weights of networks in flows on vectors have normal priors, the wider the "
        "more training rows there are; of 2**14 and more none.",
    )
    defensive_share: float = field(
        0.0,
        "Share of a Gaussian of the training rows that is mixed in, so that no row lies "
        "more than -log(share) nats below its density there, as 6.9 for 0.001; 0: none.",
        at_least=0,
        below=1,
    )
    fresh_noise: bool = field(
        True, "Whether integer data get new dequantisation noise in each epoch."
    )
    max_validation_rows: int = field(
        0,
        "Validation rows, the first ones, that are looked at after each epoch; 0: all.",
        at_least=0,
    )
    num_samples: int = field(
        5000,
        "Number of samples in the pictures.",
        at_least=2,  # which the two-sample test divides
    )

    def __post_init__(self):
        super().__post_init__()
        check_encoding(self.encoding)
        if self.batch_norm and self.act_norm:
            raise UsageError("Expected one of `batch_norm` and `act_norm`; got both.")
        if self.transformer != "affine" and self.scale != "soft_bounded":
            self.refuse("scale", "with --transformer=affine only")
