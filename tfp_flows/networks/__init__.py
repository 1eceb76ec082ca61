"""Keras layers that condition the bijectors."""

from tfp_flows.networks.conditioner import Conditioner
from tfp_flows.networks.mlp import MLP
