"""Everything that determines the fit of a VAE, with its defaults."""

import dataclasses

from experiments.command_line.flag_settings import field
from experiments.command_line.training_settings import TrainingSettings
from experiments.data import DATASETS, own_table
from experiments.iaf_vae import models

_changed = TrainingSettings.changed


@dataclasses.dataclass(frozen=True)
class VAESettings(TrainingSettings):
    """One run; each field is also the flag of that name, and its text the flag's help."""

    PROGRAM = "vae"
    dataset: str = _changed(
        "dataset",
        "digits",
        "Images to fit. For the Bernoulli likelihood, each epoch draws zeros and ones with "
        "the grey values as probabilities.",
        one_of=DATASETS.keys() - own_table.ENTRIES.keys(),
    )
    run_dir: str = _changed("run_dir", "runs/iaf_vae")
    posterior: str = field(
        "iaf",
        "gaussian: independent Gaussian; full: Gaussian with a full covariance; iaf, "
        "real_nvp and spline_couplings: this flow on an independent Gaussian, with a "
        "context from the encoder.",
        one_of=models.POSTERIORS,
    )
    prior: str = field(
        "normal", "Prior of the latents; a flow is trained.", one_of=models.PRIORS
    )
    likelihood: str = field(
        "bernoulli",
        "bernoulli: zeros and ones; discretized_logistic: grey levels; gaussian: grey "
        "levels with new noise in each epoch.",
        one_of=models.LIKELIHOODS,
    )
    encoder: str = field(
        "dense",
        "Networks of encoder and decoder: dense; conv: residual convolutions; ladder: the "
        "same with latents in many layers, whose posterior is gaussian or iaf.",
        one_of=models.ENCODERS,
    )
    latent_size: int = field(
        16,
        "Number of latent variables; with ladder, channels of the latents of a layer.",
        at_least=1,
    )
    hidden_units: tuple[int, ...] = field(
        (128, 128),
        "Widths of the encoder's hidden layers, in reverse of the decoder's; with conv, of "
        "the dense layers.",
        at_least=1,
    )
    patch_size: int = field(
        2,
        "Side, in pixels, of the squares that conv and ladder take as channels.",
        at_least=1,
    )
    channels: tuple[int, ...] = field(
        (16, 32, 32),
        "Channels of the layers of conv and ladder at each size: that of the patches, and "
        "each half of the one before.",
        at_least=1,
    )
    num_blocks: int = field(
        1,
        "Residual blocks of conv, or layers of latents of ladder, at each size.",
        at_least=0,
    )
    activation: str = field("elu", "Keras name of all networks' activation.")
    dropout: float = field(
        0.0,
        "Fraction of hidden units of encoder and decoder dropped in training.",
        at_least=0,
        below=1,
    )
    num_flow_steps: int = field(4, "Steps of the posterior's flow.", at_least=1)
    flow_hidden_units: tuple[int, ...] = field(
        (64, 64),
        "Widths of the hidden layers of each of these steps; with ladder, channels of "
        "masked convolutions.",
        at_least=1,
    )
    flow_context_size: int = field(
        32,
        "Size of the context that the encoder gives to these steps; with ladder, its "
        "channels.",
        at_least=1,
    )
    num_prior_steps: int = field(2, "Steps of the prior's flow.", at_least=1)
    prior_hidden_units: tuple[int, ...] = field(
        (64, 64), "Widths of the hidden layers of each of these steps.", at_least=1
    )
    free_bits: float = field(
        0.0,
        "KL divergence, in nats per latent, without a penalty. It is counted over all "
        "latents together, with ladder over those of each layer.",
        at_least=0,
    )
    warm_up_epochs: int = field(
        1, "Epochs in which the weight of the KL divergence rises to 1.", at_least=1
    )
    bound: str = field(
        "elbo",
        "Training objective; importance_weighted needs --num_draws above 1.",
        one_of=models.BOUNDS,
    )
    num_draws: int = field(1, "Latent draws per row and training step.", at_least=1)
    sticking_the_landing: bool = field(
        False, "Whether gradients omit the score term of the posterior; not with iaf."
    )
    batch_size: int = _changed("batch_size", 64)
    epochs: int = _changed("epochs", 60)
    patience: int = _changed("patience", 30)
    learning_rate: float = _changed("learning_rate", 2e-3)
    gradient_clip_norm: float = _changed("gradient_clip_norm", 0.0)
    importance_samples: int = field(
        512, "Importance samples per row for the test log-likelihood.", at_least=1
    )
    log_likelihood_rows: int = field(
        1000, "Random test rows for the log-likelihood; 0: all.", at_least=0
    )
    evaluation_batch_size: int = _changed("evaluation_batch_size", 1000)

    def __post_init__(self):
        super().__post_init__()
        if self.log_likelihood_rows == 1:
            self.refuse("log_likelihood_rows", "of 0, for all, or at least 2")
