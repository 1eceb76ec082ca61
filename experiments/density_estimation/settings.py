"""Everything that determines a density estimation, with its defaults."""

import dataclasses

from experiments.command_line.flag_settings import UsageError, field
from experiments.command_line.training_settings import TrainingSettings, check_encoding
from experiments.density_estimation import models


@dataclasses.dataclass(frozen=True)
class Settings(TrainingSettings):
    """One run; each field is also the flag of that name, and its text the flag's help."""

    PROGRAM = "density"
    run_dir: str = TrainingSettings.changed("run_dir", "runs/density_estimation")
    flow: str = field(
        models.AUTO,
        "Flow to fit; auto: the density of `tfp_flows.fit_density`, a mixture of "
        "conditional splines and a flow, with networks and training chosen by the numbers "
        "of rows and columns. Interrupted, its fit starts again from --seed.",
        one_of=(models.AUTO, *models.FLOWS),
    )
    base: str = field("normal", "Base distribution.", one_of=models.BASES)
    conditional: bool = field(False, "Whether the class of a row is the context.")
    horizontal_flips: bool = field(
        False, "Whether each epoch mirrors a random half of the training images."
    )
    csv_path: str = field("", "Table of --dataset=csv: numbers, with or without a header.")
    decimal: str = field(".", "Decimal mark of the numbers in csv.", one_of=(".", ","))
    encoding: str = field("utf-8", "Text encoding of csv.")
    npz_path: str = field("", "NumPy file of --dataset=npz.")
    npz_key: str = field("", "Name of the array, if the file has several.")
    context_columns: tuple[str, ...] = field(
        (),
        "Names or indices of the columns of csv or npz that are the context; quote a name "
        "with a comma.",
    )
    drop_constant_columns: bool = field(
        False, "Whether constant columns of csv or npz are dropped, not refused."
    )
    num_steps: int = field(8, "Steps of the flow; for glow, of each level.", at_least=1)
    num_levels: int = field(2, "Number of levels of glow and real_nvp_image.", at_least=1)
    hidden_channels: int = field(
        32, "Channels of the hidden layers of glow and real_nvp_image.", at_least=1
    )
    num_blocks: int = field(
        2,
        "Residual blocks of each network of real_nvp_image; steps of tarflow.",
        at_least=1,
    )
    patch_size: int = field(
        2, "Height and width of the patches that are tokens of tarflow.", at_least=1
    )
    num_layers: int = field(2, "Layers of each network of tarflow.", at_least=1)
    num_units: int = field(64, "Width of each network of tarflow.", at_least=1)
    num_heads: int = field(4, "Attention heads of each layer of tarflow.", at_least=1)
    guidance: float = field(
        0.0,
        "Weight of the guidance of tarflow's samples by class; a tenth of the training "
        "rows then has no class. The density and the saved model have no guidance.",
        at_least=0,
    )
    normal_scores: bool = field(
        False,
        "Whether a flow on images first makes each pixel normal, by the frequencies of its "
        "bins.",
    )
    standardize: bool = field(
        True,
        "Whether flows on vectors, and tarflow, standardise the variables by the training "
        "rows.",
    )
    num_quantiles: int = field(
        0,
        "Quantiles by which flows on vectors first make each variable normal; 0 for none. "
        "For hundreds of thousands of rows whose columns have steps or gaps.",
        at_least=0,
    )
    decorrelate: bool = field(
        True, "Whether standardising also decorrelates: the flow starts as a Gaussian."
    )
    heavy_tails: bool = field(
        True, "Whether the base of a standardising flow on vectors has heavier tails."
    )
    hidden_units: tuple[int, ...] = field(
        (64, 64), "Widths of the hidden layers of each conditioner.", at_least=1
    )
    transformer: str = field(
        "affine",
        "Elementwise map of each variable in the steps of real_nvp, made and maf.",
        one_of=models.TRANSFORMERS,
    )
    learned_tails: bool = field(
        False, "Whether the flow ends, at the data, in a map with learned tail weights."
    )
    scale: str = field(
        "soft_bounded",
        "Map from the conditioner's output to the scale of an affine step; soft_bounded "
        "keeps it within exp(-2) and exp(2), exp does not bound it.",
        one_of=models.SCALES,
    )
    activation: str = field(
        "",
        "Keras name of the conditioners' activation; by default tanh in flows on vectors, "
        "elu in iaf with --nostandardize, relu in binary_made and mixture_made.",
    )
    residual: bool = field(False, "Whether the conditioners are residual.")
    batch_norm: bool = field(
        False,
        "Whether batch norm follows each step; its statistics, of all training rows, cost "
        "one more pass per epoch.",
    )
    act_norm: bool = field(False, "Whether act norm follows each step.")
    lu_mixing: bool = field(False, "Whether a learned linear map follows each step.")
    recompute: bool = field(
        False,
        "Whether training recomputes activations instead of keeping them, which saves "
        "memory.",
    )
    network_dtype: str = field(
        "float32",
        "Dtype in which networks compute; weights and elementwise maps stay in float32.",
        one_of=("float32", "mixed_bfloat16"),
    )
    direct: bool = field(
        False, "Whether autoregressive conditioners have direct input-output weights."
    )
    random_orderings: bool = field(
        False, "Whether each step of MAF has a random ordering, not the reversed one."
    )
    ordering: str = field(
        "default",
        "Ordering of the variables in binary_made and mixture_made; default: natural with "
        "one mask, random with several; random depends on --seed.",
        one_of=models.ORDERINGS,
    )
    num_masks: int = field(
        1,
        "Masks of binary_made and mixture_made; training steps use them in turn, and the "
        "probability is the mean over all.",
        at_least=1,
    )
    num_components: int = field(10, "Components of each Gaussian mixture.", at_least=1)
    num_bins: int = field(8, "Bins of each spline of nsf and nsf_coupling.", at_least=2)
    bound: float = field(
        3.0, "Splines act within this distance from 0, in standard deviations.", above=0.0
    )
    dropout: float = field(0.0, "Dropout rate of the hidden units.", at_least=0.0)
    weight_prior: bool = field(
        True,
        "Whether network weights of flows on vectors have normal priors, wider with more "
        "training rows; none from 2**14 rows on.",
    )
    defensive_share: float = field(
        0.0,
        "Mixture weight of a Gaussian of the training rows; no row then is more than "
        "-log(weight) nats below its density there (6.9 for 0.001); 0: no Gaussian.",
        at_least=0,
        below=1,
    )
    fresh_noise: bool = field(True, "Whether each epoch draws new dequantisation noise.")
    max_validation_rows: int = field(
        0, "Validate on the first rows only, at most this many; 0: on all.", at_least=0
    )
    # The two-sample test divides them, so at least 2.
    num_samples: int = field(5000, "Number of samples in the pictures.", at_least=2)

    def __post_init__(self):
        super().__post_init__()
        check_encoding(self.encoding)
        if self.batch_norm and self.act_norm:
            raise UsageError("Expected one of `batch_norm` and `act_norm`; got both.")
        if self.guidance and not (self.conditional and self.flow == "tarflow"):
            self.refuse("guidance", "with --flow=tarflow and --conditional only")
        if self.guidance and self.defensive_share:
            self.refuse("guidance", "without --defensive_share")
        if self.transformer != "affine" and self.scale != "soft_bounded":
            self.refuse("scale", "with --transformer=affine only")

    @property
    def how_to_go_on(self):
        """Describes what the same command does after an interruption."""
        if self.flow == models.AUTO:
            return "start again from the same seed"
        return "go on from the last finished epoch"
