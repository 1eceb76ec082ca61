"""Distributions that flows become."""

from tfp_flows.distributions.flow_distribution import FlowDistribution
from tfp_flows.distributions.flow_distribution import standard_logistic
from tfp_flows.distributions.flow_distribution import standard_normal
