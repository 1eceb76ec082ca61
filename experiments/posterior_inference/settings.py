"""Everything that determines a run of `posterior_inference`, with its defaults."""

import dataclasses
import math

from experiments.command_line.flag_settings import FlagSettings
from experiments.command_line.flag_settings import field
from experiments.command_line.usage import UsageError
from experiments.density_estimation.models import check_activation

__all__ = ["ALL", "PosteriorSettings"]

ALL = "all"

_AT_LEAST_ONE = ("training_steps", "sample_size", "importance_sample_size")
_AT_LEAST_ONE += ("num_draws", "num_chains", "num_adaptation_steps")


@dataclasses.dataclass(frozen=True)
class PosteriorSettings(FlagSettings):
    """One run; each field is also the flag of that name, and its text the flag's help."""

    target: str = field("eight_schools", "Model, or density; all: one after another.")
    posterior: str = field("iaf", "Surrogate posterior; all: one after another.")
    data_dir: str = field(
        "", "Folder with the files of posteriordb, for the regressions that need it."
    )
    reference: str = field(
        "own",
        "What to compare with: own, the draws that come with the data, else nuts; nuts; or "
        "none.",
    )
    run_dir: str = field("runs/posterior_inference", "Folder that the run writes into.")
    whiten: bool = field(True, "Whether flows start at the target's Laplace approximation.")
    num_steps: int = field(0, "Number of steps of a flow; 0: 4 of iaf, 6 of real_nvp.")
    hidden_units: tuple[int, ...] = field(
        (32, 32), "Widths, in units, of the hidden layers of each conditioner."
    )
    activation: str = field("tanh", "Keras name of the conditioners' activation.")
    direct: bool = field(
        False, "Whether the networks of iaf also connect inputs to outputs directly."
    )
    scale: str = field(
        "own",
        "How a step of a flow makes scales of its network's output; own: iaf by a gate, "
        "real_nvp by soft_bounded.",
    )
    training_steps: int = field(3000, "Steps of Adam.")
    sample_size: int = field(256, "Draws of the posterior, or groups, in a step.")
    importance_sample_size: int = field(
        1, "Draws in a group; more than 1 trains on the importance-weighted bound."
    )
    sticking_the_landing: bool = field(
        False,
        "Whether gradients leave out the part that is noise alone: better at the end, but "
        "dearer with iaf, and in need of smaller steps.",
    )
    learning_rate: float = field(1e-2, "Adam's step size, which falls to 0 along a cosine.")
    gradient_clip_norm: float = field(
        10.0, "Norm, over all weights, that a gradient is scaled down to."
    )
    jit_compile: bool = field(True, "Whether XLA compiles the training step.")
    num_draws: int = field(20000, "Draws that the posterior is judged by; of a chain, too.")
    num_chains: int = field(8, "Chains of the reference, which share `num_draws`.")
    num_adaptation_steps: int = field(500, "Steps of each chain that are not counted.")
    seed: int = field(0, "Integer: initial weights, training, draws and chains.")

    def __post_init__(self):
        super().__post_init__()
        for name in _AT_LEAST_ONE:
            if getattr(self, name) < 1:
                self._refuse(name, "of at least 1")
        for name in ("learning_rate", "gradient_clip_norm"):
            if not 0.0 < getattr(self, name) < math.inf:
                self._refuse(name, "above 0")
        if self.num_steps < 0:
            self._refuse("num_steps", "of at least 0")
        if self.reference not in ("own", "nuts", "none"):
            self._refuse("reference", "to be own, nuts or none")
        if not self.hidden_units or min(self.hidden_units) < 1:
            self._refuse("hidden_units", "to hold widths of at least 1")
        check_activation(self.activation)
        if self.seed < 0:
            self._refuse("seed", "of at least 0")
        if not self.run_dir:
            self._refuse("run_dir", "to name a folder")

    def _refuse(self, name, wanted):
        raise UsageError(f"Expected `{name}` {wanted}; got {getattr(self, name)!r}.")
