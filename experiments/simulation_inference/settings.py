"""Everything that determines a run of `simulation_inference`, with its defaults."""

import dataclasses

from experiments.command_line import training_settings
from experiments.command_line.flag_settings import FlagSettings, field
from experiments.simulation_inference.tasks import TASKS


@dataclasses.dataclass(frozen=True)
class SimulationSettings(FlagSettings):
    """One run; each field is also the flag of that name, and its text the flag's help."""

    PROGRAM = "simulation"

    task: str = field("two_moons", "Prior and simulator of the benchmark.", one_of=TASKS)
    model: str = field(
        "",
        "Your own model in place of a task, FILE.py:FUNCTION: a function without arguments "
        "that returns a prior and a simulator, which takes N draws and an integer `seed`, "
        "and returns N data. The file is run, and may import files beside it.",
    )
    num_simulations: int = field(10_000, "Number of simulations.", at_least=100)
    data_dir: str = field(
        "",
        "Folder with the benchmark's observations and reference draws, TASK.npz, or with a "
        "subfolder sbibm; empty: none are compared.",
    )
    num_observations: int = field(
        6, "Observations whose posteriors are compared.", at_least=1
    )
    num_draws: int = field(
        10_000, "Draws of each posterior that is compared.", at_least=100
    )
    max_minutes: float = field(0.0, "Time limit of the training; 0: none.", at_least=0.0)
    run_dir: str = field("runs/simulation_inference", "Folder that the run writes into.")
    seed: int = field(0, "Seed of simulations, weights and draws.", at_least=0)

    def __post_init__(self):
        super().__post_init__()
        training_settings.check_run_dir(self)
        if self.model and self.non_default(["task"]):
            self.refuse("task", "not to be given with a `model`")
        if self.model and self.data_dir:
            self.refuse("data_dir", "to be empty with a `model`, which has no reference")

    @property
    def name_of_model(self):
        """The task, or the user's model."""
        return self.model or self.task
