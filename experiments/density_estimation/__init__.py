"""The fit of a flow to a data set by maximum likelihood."""

from experiments.density_estimation.experiment import cli
from experiments.density_estimation.experiment import run
