"""Everything that determines a run of `posterior_inference`, with its defaults."""

import dataclasses

from experiments.command_line import training_settings
from experiments.command_line.flag_settings import FlagSettings
from experiments.command_line.flag_settings import field
from experiments.density_estimation.models import SCALES
from experiments.posterior_inference.methods import METHODS
from experiments.posterior_inference.methods import SURROGATES
from experiments.posterior_inference.models import POSTERIORS
from experiments.posterior_inference.posteriordb import choices
from experiments.runs.workers import STRATEGIES

ALL = "all"


@dataclasses.dataclass(frozen=True)
class PosteriorSettings(FlagSettings):
    """One run; each field is also the flag of that name, and its text the flag's help."""

    PROGRAM = "posterior"

    target: str = field(
        "eight_schools",
        "Model, or density; all: one after another.",
        one_of=[*choices(), ALL],
    )
    posterior: str = field(
        "iaf", "Surrogate posterior; all: one after another.", one_of=[*POSTERIORS, ALL]
    )
    method: str = field(
        "",
        "How draws are made; all: one way after another; empty: from the --posterior.",
        one_of=["", *METHODS, ALL],
    )
    data_dir: str = field(
        "", "Folder with the files of posteriordb, or with a folder posteriordb of them."
    )
    reference: str = field(
        "own",
        "What to compare with: own, the draws that come with the data, else exact ones of "
        "a target without data, else nuts; nuts; or none.",
        one_of=["own", "nuts", "none"],
    )
    run_dir: str = field("runs/posterior_inference", "Folder that the run writes into.")
    whiten: bool = field(True, "Whether flows start at the target's Laplace approximation.")
    num_steps: int = field(
        0, "Number of steps of a flow; 0: 4 of iaf, 6 of real_nvp.", at_least=0
    )
    hidden_units: tuple[int, ...] = field(
        (32, 32), "Widths, in units, of the hidden layers of each conditioner.", at_least=1
    )
    activation: str = field("tanh", "Keras name of the conditioners' activation.")
    direct: bool = field(
        False, "Whether the networks of iaf also connect inputs to outputs directly."
    )
    scale: str = field(
        "own",
        "How a step of a flow makes scales of its network's output; own: iaf by a gate, "
        "real_nvp by soft_bounded.",
        one_of=["own", *SCALES],
    )
    training_steps: int = field(3000, "Steps of Adam.", at_least=1)
    sample_size: int = field(
        256, "Draws of the posterior, or groups, in a step.", at_least=1
    )
    importance_sample_size: int = field(
        1,
        "Draws in a group; more than 1 trains on the importance-weighted bound.",
        at_least=1,
    )
    sticking_the_landing: bool = field(
        False,
        "Whether gradients leave out the part that is noise alone: better at the end, but "
        "dearer with iaf, and in need of smaller steps.",
    )
    learning_rate: float = field(
        1e-2, "Adam's step size, which falls to 0 along a cosine.", above=0
    )
    gradient_clip_norm: float = field(
        10.0, "Norm, over all weights, that a gradient is scaled down to.", above=0
    )
    jit_compile: bool = field(True, "Whether XLA compiles the training step.")
    num_draws: int = field(
        20000, "Draws that the posterior is judged by; of a chain, too.", at_least=1
    )
    num_chains: int = field(
        8, "Chains of the reference, which share `num_draws`.", at_least=1
    )
    num_adaptation_steps: int = field(
        500, "Steps of each chain that are not counted.", at_least=1
    )
    nuts_chains: int = field(4, "Chains of the methods nuts and neutra.", at_least=1)
    nuts_draws: int = field(1000, "Draws of each of them.", at_least=1)
    nuts_adaptation_steps: int = field(
        1000, "Their steps that are not counted as draws.", at_least=1
    )
    strategy: str = field(
        "none",
        "none: one device; mirrored: the draws of each step of a --posterior are divided "
        "among the GPUs of the machine, or its logical CPUs; multi_worker: among the "
        "machines that TF_CONFIG names. Both need --nojit_compile.",
        one_of=STRATEGIES,
    )
    max_minutes: float = field(
        0.0, "Budget of the method fit_posterior; 0: its own.", at_least=0.0
    )
    seed: int = field(
        0, "Integer: initial weights, training, draws and chains.", at_least=0
    )

    def __post_init__(self):
        super().__post_init__()
        training_settings.check_run_dir(self)
        training_settings.check_strategy(self)
        if self.strategy != "none" and self.method not in ("", *SURROGATES):
            self.refuse("method", "to be that of a posterior, with a `strategy`")

    @property
    def name_of_method(self):
        """The method, or else the surrogate posterior."""
        return self.method or self.posterior
