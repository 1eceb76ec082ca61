"""Keras models and callbacks to train distributions with."""

from tfp_flows.models import likelihoods
from tfp_flows.models import objectives
from tfp_flows.models import posteriors
from tfp_flows.models.callbacks import FullDataBatchStatistics
from tfp_flows.models.callbacks import StopOnNaN
from tfp_flows.models.fit_posterior import fit_posterior
from tfp_flows.models.density_estimator import DensityEstimator
from tfp_flows.models.export import export
from tfp_flows.models.kl_warm_up import KLWarmUp
from tfp_flows.models.loading import load
from tfp_flows.models.vae import VAE
from tfp_flows.models.variational_objectives import variational_loss
