"""Everything that determines a run of `neutra`, with defaults for the funnel."""

import dataclasses

from experiments.posterior_inference.posteriordb import choices
from experiments.posterior_inference.settings import PosteriorSettings

_changed = PosteriorSettings.changed


@dataclasses.dataclass(frozen=True)
class NeutraSettings(PosteriorSettings):
    """The settings of `posterior_inference`, with other defaults, for the funnel."""

    PROGRAM = "neutra"

    target: str = _changed("target", "funnel", "Model or density.", one_of=choices())
    posterior: str = _changed(
        "posterior",
        "iaf",
        "Flow to train and to sample through.",
        one_of=["iaf", "real_nvp"],
    )
    method: str = _changed("method", "", "Not used here.", one_of=[""])
    reference: str = _changed("reference", "none", "Not used here.", one_of=["none"])
    strategy: str = _changed("strategy", "none", "Not used here.", one_of=["none"])
    run_dir: str = _changed("run_dir", "runs/neutra")
    num_steps: int = _changed("num_steps", 2, "Number of steps of the flow.")
    # With these the flow can represent the funnel: its log-scales are linear in v.
    direct: bool = _changed("direct", True)
    whiten: bool = _changed("whiten", False)
    activation: str = _changed("activation", "elu")
    scale: str = _changed("scale", "exp")
    training_steps: int = _changed("training_steps", 4000)
    sample_size: int = _changed("sample_size", 512, "Draws of the flow per training step.")
    learning_rate: float = _changed("learning_rate", 3e-3)
    num_chains: int = _changed(
        "num_chains", 64, "Chains of each sampler; share `num_draws`."
    )
    num_draws: int = _changed("num_draws", 32000, "Draws of all chains together.")
