"""The fit of a surrogate posterior to a model, compared with long chains of NUTS."""

from experiments.posterior_inference.experiment import cli
from experiments.posterior_inference.experiment import run
