"""Distributions: what flows become, and autoregressive ones that need no flow."""

from tfp_flows.distributions import conditionals
from tfp_flows.distributions.autoregressive import AutoregressiveDistribution
from tfp_flows.distributions.bases import standard_logistic
from tfp_flows.distributions.bases import standard_normal
from tfp_flows.distributions.made import BinaryMADE
from tfp_flows.distributions.made import CategoricalMADE
from tfp_flows.distributions.bases import circular_base
from tfp_flows.distributions.defensive import Defensive
from tfp_flows.distributions.flow_distribution import FlowDistribution
from tfp_flows.distributions.made import MixtureMADE
from tfp_flows.distributions.bits_per_dimension import BitsPerDimension
from tfp_flows.distributions.bits_per_dimension import bits_per_dimension
from tfp_flows.distributions.dequantized import Dequantized
from tfp_flows.distributions.dequantized import reduce_bits
from tfp_flows.distributions.latent_space import at_temperature
from tfp_flows.distributions.latent_space import attribute_direction
from tfp_flows.distributions.latent_space import interpolate
from tfp_flows.distributions.latent_space import move_along
