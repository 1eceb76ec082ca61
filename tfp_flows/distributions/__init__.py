"""Distributions: what flows become, and autoregressive ones that need no flow."""

from tfp_flows.distributions import conditionals
from tfp_flows.distributions.autoregressive_distribution import AutoregressiveDistribution
from tfp_flows.distributions.binary_made import BinaryMADE
from tfp_flows.distributions.flow_distribution import FlowDistribution
from tfp_flows.distributions.flow_distribution import standard_logistic
from tfp_flows.distributions.flow_distribution import standard_normal
from tfp_flows.distributions.mixture_made import MixtureMADE
