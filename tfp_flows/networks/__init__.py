"""Keras layers that condition the bijectors.

Read in this order:

```none
conditioner         a network as the conditioner of a bijector
mlp                 dense layers, plain or residual
masked_mlp          MADE: dense layers with masks
orderings           degrees and orderings, which determine its masks
order_agnostic_mlp  one MADE under many masks
network_structure   which units see which
one_hot_mlp         MADE of categories
forward_substitution  samples of MADE, with the arithmetic of one pass
packed_weights      many kernels and biases as parts of one variable
conv_net, res_net   convolutions for images, of Glow and RealNVP
act_norm_network    their base class, with act norms that data set
masked_conv_net     masked convolutions of maps, for an IAF of images
causal_transformer  causal attention over tokens (TarFlow)
deep_set            networks of sets of rows
context_network     base classes: variables and a context
circular_inputs     angles as cosines and sines
built_network       a first call of a user's network
layer_arguments     widths, activations, dropout and seeds
```
"""

from tfp_flows.networks.causal_transformer import CausalTransformer
from tfp_flows.networks.conditioner import Conditioner
from tfp_flows.networks.conv_net import ConvNet
from tfp_flows.networks.deep_set import DeepSet
from tfp_flows.networks.masked_conv_net import MaskedConvNet
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
    "MaskedConvNet",
    "MaskedMLP",
    "OrderAgnosticMLP",
    "ResNet",
    "natural_ordering",
    "random_ordering",
    "reversed_ordering",
]
