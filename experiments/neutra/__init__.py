"""NUTS through a trained flow (NeuTra) beside plain NUTS."""

from experiments.neutra.experiment import cli
from experiments.neutra.experiment import run
