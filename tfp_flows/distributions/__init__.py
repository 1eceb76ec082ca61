"""Distributions: flows over bases, and autoregressive distributions without a flow.

Read `flow_distribution` and `bases` first, then `autoregressive` (networks with masks),
`made` (the papers' distributions) and `conditionals` (their families of one variable). The
wrappers follow: `dequantized` and `bits_per_dimension` for integers, `defensive` for
outliers, `mixture` of several, `reordered` for another order of the variables.
`latent_space` works on the latents of data.
"""

from tfp_flows.distributions import conditionals
from tfp_flows.distributions.autoregressive import AutoregressiveDistribution
from tfp_flows.distributions.bases import circular_base
from tfp_flows.distributions.bases import standard_logistic
from tfp_flows.distributions.bases import standard_normal
from tfp_flows.distributions.bits_per_dimension import BitsPerDimension
from tfp_flows.distributions.bits_per_dimension import bits_per_dimension
from tfp_flows.distributions.defensive import Defensive
from tfp_flows.distributions.dequantized import Dequantized
from tfp_flows.distributions.dequantized import reduce_bits
from tfp_flows.distributions.flow_distribution import FlowDistribution
from tfp_flows.distributions.latent_space import at_temperature
from tfp_flows.distributions.latent_space import attribute_direction
from tfp_flows.distributions.latent_space import interpolate
from tfp_flows.distributions.latent_space import move_along
from tfp_flows.distributions.made import BinaryMADE
from tfp_flows.distributions.made import CategoricalMADE
from tfp_flows.distributions.made import MixtureMADE
from tfp_flows.distributions.mixture import Mixture
from tfp_flows.distributions.reordered import Reordered

__all__ = [
    "AutoregressiveDistribution",
    "BinaryMADE",
    "BitsPerDimension",
    "CategoricalMADE",
    "Defensive",
    "Dequantized",
    "FlowDistribution",
    "Mixture",
    "MixtureMADE",
    "Reordered",
    "at_temperature",
    "attribute_direction",
    "bits_per_dimension",
    "circular_base",
    "conditionals",
    "interpolate",
    "move_along",
    "reduce_bits",
    "standard_logistic",
    "standard_normal",
]
