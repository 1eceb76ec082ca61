"""The density of a table with columns of any kind."""

from experiments.table_density.experiment import cli
from experiments.table_density.experiment import run
