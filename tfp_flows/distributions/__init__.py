"""Distributions: what flows become, and autoregressive ones that need no flow."""

from tfp_flows.distributions import conditionals
from tfp_flows.distributions.autoregressive_distribution import AutoregressiveDistribution
from tfp_flows.distributions.bases import standard_logistic
from tfp_flows.distributions.bases import standard_normal
from tfp_flows.distributions.binary_made import BinaryMADE
from tfp_flows.distributions.categorical_made import CategoricalMADE
from tfp_flows.distributions.circular_base import circular_base
from tfp_flows.distributions.defensive import Defensive
from tfp_flows.distributions.fitted_posterior import FittedPosterior
from tfp_flows.distributions.flow_distribution import FlowDistribution
from tfp_flows.distributions.flow_posterior import FlowPosterior
from tfp_flows.distributions.flow_posterior import flow_posterior
from tfp_flows.distributions.pareto_smoothing import pareto_smooth
from tfp_flows.distributions.posterior_report import PosteriorReport
from tfp_flows.distributions.mixture_made import MixtureMADE
from tfp_flows.distributions.bits_per_dimension import BitsPerDimension
from tfp_flows.distributions.bits_per_dimension import bits_per_dimension
from tfp_flows.distributions.dequantized import Dequantized
from tfp_flows.distributions.bins import reduce_bits
from tfp_flows.distributions.latent_space import at_temperature
from tfp_flows.distributions.latent_space import attribute_direction
from tfp_flows.distributions.latent_space import interpolate
from tfp_flows.distributions.latent_space import move_along
from tfp_flows.distributions.to_arviz import to_arviz
