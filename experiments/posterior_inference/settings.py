"""Everything that determines a run of `posterior_inference`, with its defaults."""

import dataclasses

from experiments.command_line import training_settings
from experiments.command_line.flag_settings import FlagSettings, field
from experiments.density_estimation.models import SCALES
from experiments.posterior_inference.methods import METHODS, SURROGATES
from experiments.posterior_inference.surrogates import POSTERIORS
from experiments.posterior_inference.target_names import choices
from experiments.runs.workers import STRATEGIES

ALL = "all"


@dataclasses.dataclass(frozen=True)
class PosteriorSettings(FlagSettings):
    """One run; each field is also the flag of that name, and its text the flag's help."""

    PROGRAM = "posterior"

    target: str = field(
        "eight_schools", "Model or density; all: each in turn.", one_of=[*choices(), ALL]
    )
    posterior: str = field(
        "iaf", "Surrogate posterior; all: each in turn.", one_of=[*POSTERIORS, ALL]
    )
    method: str = field(
        "",
        "Method of sampling; all: each in turn; empty: the --posterior.",
        one_of=["", *METHODS, ALL],
    )
    data_dir: str = field(
        "", "Folder with the files of posteriordb, or with a subfolder posteriordb."
    )
    reference: str = field(
        "own",
        "Reference draws; own: those of the data file, else exact draws of a target "
        "without data, else those of nuts.",
        one_of=["own", "nuts", "none"],
    )
    run_dir: str = field("runs/posterior_inference", "Folder that the run writes into.")
    whiten: bool = field(True, "Whether flows start at the target's Laplace approximation.")
    num_steps: int = field(0, "Steps of a flow; 0: 4 of iaf, 6 of real_nvp.", at_least=0)
    hidden_units: tuple[int, ...] = field(
        (32, 32), "Widths of the hidden layers of each conditioner.", at_least=1
    )
    activation: str = field("tanh", "Keras name of the conditioners' activation.")
    direct: bool = field(
        False, "Whether the networks of iaf have direct input-output weights."
    )
    scale: str = field(
        "own",
        "Map from a network's output to the scale of a step; own: a gate in iaf, "
        "soft_bounded in real_nvp.",
        one_of=["own", *SCALES],
    )
    training_steps: int = field(3000, "Steps of Adam.", at_least=1)
    sample_size: int = field(256, "Draws, or groups of draws, per step.", at_least=1)
    importance_sample_size: int = field(
        1, "Draws per group; above 1: the importance-weighted bound.", at_least=1
    )
    sticking_the_landing: bool = field(
        False,
        "Whether gradients omit the score term of the posterior: less noise at the end, "
        "but slower with iaf, and smaller steps are needed.",
    )
    learning_rate: float = field(
        1e-2, "Adam's step size, which falls to 0 along a cosine.", above=0
    )
    gradient_clip_norm: float = field(
        10.0, "Maximum norm of the gradient of all weights.", above=0
    )
    jit_compile: bool = field(True, "Whether XLA compiles the training step.")
    num_draws: int = field(
        20000, "Draws for the evaluation, and the reference.", at_least=2
    )
    num_chains: int = field(8, "Chains of the reference; share `num_draws`.", at_least=1)
    num_adaptation_steps: int = field(500, "Adaptation steps of each chain.", at_least=1)
    nuts_chains: int = field(4, "Chains of the methods nuts and neutra.", at_least=1)
    nuts_draws: int = field(1000, "Draws of each of these chains.", at_least=1)
    nuts_adaptation_steps: int = field(1000, "Adaptation steps of each.", at_least=1)
    strategy: str = field(
        "none",
        "none: one device; mirrored: divides the draws of a training step among the "
        "machine's GPUs, or its logical CPUs; multi_worker: divides them among the "
        "machines that TF_CONFIG names. Both need --nojit_compile.",
        one_of=STRATEGIES,
    )
    max_minutes: float = field(
        0.0, "Time limit of the method fit_posterior; 0: its default.", at_least=0.0
    )
    seed: int = field(0, "Seed of weights, training, draws and chains.", at_least=0)

    def __post_init__(self):
        super().__post_init__()
        training_settings.check_run_dir(self)
        training_settings.check_strategy(self)
        if self.strategy != "none" and self.method not in ("", *SURROGATES):
            self.refuse("method", "to be a surrogate posterior, with a `strategy`")

    @property
    def name_of_method(self):
        """The method, or else the surrogate posterior."""
        return self.method or self.posterior

    @property
    def training_gradients(self):
        """Evaluations of the target's gradient in the training of a surrogate."""
        draws = self.sample_size * self.importance_sample_size
        return self.training_steps * draws
