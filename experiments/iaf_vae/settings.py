"""Everything that determines a run of `iaf_vae`, with its defaults."""

import dataclasses

from experiments.command_line import usage
from experiments.command_line.flag_settings import FlagSettings
from experiments.command_line.flag_settings import field as setting

__all__ = ["VAESettings"]


@dataclasses.dataclass(frozen=True)
class VAESettings(FlagSettings):
    """One run; each field is also the flag of that name, and its text the flag's help."""

    dataset: str = setting(
        "digits",
        "Images to fit. Grey ones are drawn as zeros and ones anew in each epoch, unless "
        "the likelihood is of grey.",
    )
    data_dir: str = setting(
        "",
        "Folder of the data that come with no package; a download goes there too. By "
        "default, tfp_flows in the user's cache.",
    )
    num_bits: int = setting(8, "Bits that are kept of the 8 of each pixel.")
    images_path: str = setting(
        "", "Folder of pictures, or .npz file of bytes, of --dataset=images."
    )
    image_size: int = setting(
        0, "Height and width of the pictures; 0: those of the first one."
    )
    image_fit: str = setting(
        "refuse", "What is done with pictures of another size: refuse, resize or crop."
    )
    validation_share: float = setting(0.1, "Share of the rows of images.")
    test_share: float = setting(0.1, "Share of the rows of images.")
    run_dir: str = setting("runs/iaf_vae", "Folder that the run writes into.")
    init_from: str = setting(
        "",
        "Folder of a finished run of the same architecture, whose weights and "
        "statistics of data training starts from.",
    )
    posterior: str = setting(
        "iaf",
        "gaussian: independent latents; full: Gaussian with all correlations; iaf and "
        "real_nvp: that flow after independent latents, given a context by the encoder.",
    )
    prior: str = setting("normal", "Distribution of the latents; a flow is trained too.")
    likelihood: str = setting(
        "bernoulli",
        "bernoulli: zeros and ones; discretized_logistic: grey levels; gaussian: grey "
        "values, which are levels with new noise in each epoch.",
    )
    encoder: str = setting(
        "dense", "Networks of encoder and decoder: dense, or conv: residual convolutions."
    )
    latent_size: int = setting(16, "Number of latent variables.")
    hidden_units: tuple[int, ...] = setting(
        (128, 128),
        "Widths, in units, of the hidden layers of encoder and, in reverse, decoder; of "
        "conv, of the dense layers beside the convolutions.",
    )
    channels: tuple[int, ...] = setting(
        (16, 32, 32),
        "Widths, in channels, of conv's blocks, each of which halves the image.",
    )
    activation: str = setting("elu", "Keras name of all networks' activation.")
    num_flow_steps: int = setting(4, "Number of steps of the posterior's flow.")
    flow_hidden_units: tuple[int, ...] = setting(
        (64, 64), "Widths, in units, of the hidden layers of each of its steps."
    )
    flow_context_size: int = setting(
        32, "Outputs of the encoder that each step of the posterior's flow sees."
    )
    num_prior_steps: int = setting(2, "Number of steps of the prior's flow.")
    prior_hidden_units: tuple[int, ...] = setting(
        (64, 64), "Widths, in units, of the hidden layers of each of its steps."
    )
    free_bits: float = setting(
        0.0,
        "Nats a latent that the divergence from the prior may have for nothing. They are "
        "those of all latents together, as one group: one latent that carries them all "
        "leaves a dead one unprotected.",
    )
    warm_up_epochs: int = setting(
        1, "Epochs over which the divergence comes to count in full; 1: from the start."
    )
    bound: str = setting(
        "elbo", "elbo, or importance_weighted with --num_draws above 1: what is maximised."
    )
    num_draws: int = setting(1, "Draws of the latents a row and training step.")
    sticking_the_landing: bool = setting(
        False, "Whether gradients leave out the score of the posterior; not with iaf."
    )
    batch_size: int = setting(64, "Rows per training step.")
    epochs: int = setting(60, "Passes over the training rows, at most.")
    max_minutes: float = setting(
        0.0, "Training time in minutes after which no further epoch starts; 0: no limit."
    )
    patience: int = setting(
        30,
        "Epochs without a better validation bound before training stops; the weights of "
        "the best epoch are kept.",
    )
    learning_rate: float = setting(2e-3, "Adam's step size at the start.")
    cosine_decay: bool = setting(
        True, "Whether the step size falls to 0 along a cosine over all `epochs`."
    )
    gradient_clip_norm: float = setting(
        0.0, "Norm, over all weights, that a gradient is scaled down to; 0: none."
    )
    weight_decay: float = setting(
        0.0,
        "Share of each weight, times the step size, taken off per training step, apart "
        "from the gradient (AdamW).",
    )
    ema_momentum: float = setting(
        0.0, "Momentum, per training step, of averaged weights to evaluate; 0: none."
    )
    strategy: str = setting(
        "none",
        "none: one device; mirrored: each batch is divided among the GPUs of the machine, "
        "or its logical CPUs; multi_worker: among the machines that TF_CONFIG names.",
    )
    steps_per_execution: int = setting(16, "Training steps per call of TensorFlow.")
    jit_compile: bool = setting(False, "Whether XLA compiles the training step.")
    seed: int = setting(0, "Integer: initial weights, shuffling, draws and samples.")
    data_seed: int = setting(0, "Integer: zeros and ones of validation and test rows.")
    importance_samples: int = setting(
        512, "Draws a row that the test log-likelihood is estimated from."
    )
    log_likelihood_rows: int = setting(
        1000, "Test rows whose log-likelihood is estimated, drawn by --data_seed; 0: all."
    )
    evaluation_batch_size: int = setting(1000, "Rows per step of validation.")
    tensorboard: bool = setting(False, "Whether to write TensorBoard logs as well.")
    pictures_every: int = setting(
        10, "Epochs between two pictures in the TensorBoard logs; 0: no pictures."
    )
    checkpoint_every: int = setting(1, "Epochs between two checkpoints.")
    progress: int = setting(
        -1,
        "0: silent; 1: a bar; 2: a line an epoch; -1: a bar on a terminal, elsewhere a "
        "line a minute.",
    )

    def __post_init__(self):
        super().__post_init__()
        usage.check_numbers(self, at_least_one=_AT_LEAST_ONE, at_least_zero=_AT_LEAST_ZERO)
        for name in ("hidden_units", "channels", "flow_hidden_units", "prior_hidden_units"):
            usage.check_widths(self, name)
        if self.log_likelihood_rows == 1:
            raise usage.UsageError(
                "Expected `log_likelihood_rows` of 0, for all, or at least 2; got 1."
            )
        usage.check_data(self)
        usage.check_run(self)

    def data_arguments(self):
        """Returns what `load_dataset` needs beyond the name."""
        names = ("data_dir", "num_bits", "images_path", "image_size", "image_fit")
        names += ("validation_share", "test_share")
        return {"seed": self.data_seed} | {name: getattr(self, name) for name in names}


_AT_LEAST_ONE = (
    *("latent_size", "num_flow_steps", "flow_context_size", "num_prior_steps"),
    *("warm_up_epochs", "num_draws", "batch_size", "epochs", "steps_per_execution"),
    *("importance_samples", "evaluation_batch_size", "checkpoint_every"),
)
_AT_LEAST_ZERO = (
    *("free_bits", "max_minutes", "patience", "gradient_clip_norm", "weight_decay"),
    *("ema_momentum", "seed", "data_seed", "log_likelihood_rows", "pictures_every"),
    "image_size",
)
