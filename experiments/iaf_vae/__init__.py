"""The fit of a variational autoencoder, whose posterior may be a flow, to images."""

from experiments.iaf_vae.experiment import cli
from experiments.iaf_vae.experiment import run
