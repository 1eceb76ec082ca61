"""Keras layers that condition the bijectors.

Read `conditioner` first, then `mlp`, `masked_mlp` (MADE) with `orderings`, and
`forward_substitution`, which samples it.
"""

from tfp_flows.networks.causal_transformer import CausalTransformer
from tfp_flows.networks.conditioner import Conditioner
from tfp_flows.networks.conv_net import ConvNet
from tfp_flows.networks.deep_set import DeepSet
from tfp_flows.networks.masked_mlp import MaskedMLP
from tfp_flows.networks.mlp import MLP
from tfp_flows.networks.order_agnostic_mlp import OrderAgnosticMLP
from tfp_flows.networks.orderings import natural_ordering
from tfp_flows.networks.orderings import random_ordering
from tfp_flows.networks.orderings import reversed_ordering
from tfp_flows.networks.res_net import ResNet

__all__ = [
    "CausalTransformer",
    "Conditioner",
    "ConvNet",
    "DeepSet",
    "MLP",
    "MaskedMLP",
    "OrderAgnosticMLP",
    "ResNet",
    "natural_ordering",
    "random_ordering",
    "reversed_ordering",
]
