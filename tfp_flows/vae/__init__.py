"""Variational autoencoders whose posterior and prior may be flows.

Read `model` first, then `posteriors` (the encoder's side), `likelihoods` (the decoder's
side), `objectives`, `kl_warm_up`, `conv_networks`, and `ladder`.
"""

from tfp_flows.vae import likelihoods
from tfp_flows.vae import objectives
from tfp_flows.vae import posteriors
from tfp_flows.vae.conv_networks import ConvDecoder
from tfp_flows.vae.conv_networks import ConvEncoder
from tfp_flows.vae.kl_warm_up import KLWarmUp
from tfp_flows.vae.ladder import LadderVAE
from tfp_flows.vae.model import VAE

__all__ = [
    "ConvDecoder",
    "ConvEncoder",
    "KLWarmUp",
    "LadderVAE",
    "VAE",
    "likelihoods",
    "objectives",
    "posteriors",
]
