"""Amortised posteriors of simulators, beside reference draws of a benchmark."""

from experiments.simulation_inference.experiment import cli
from experiments.simulation_inference.experiment import run
