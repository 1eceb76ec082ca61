"""Distributions: flows over bases, and autoregressive distributions without a flow.

Read in this order:

```none
flow_distribution   a base and a flow, by the change of variables
bases               what flows start from: normal, logistic, uniform on circles
autoregressive      p(x_i given x before i), by a network with masks
made                MADE of bits, of categories, and of real numbers
mask_ensemble       one network under each of its masks
conditionals        their families of one variable
dequantized         integers by a density
end_bins            noise for their first and last bins
bits_per_dimension  log-densities in the unit of images
defensive           a Gaussian beside a flow, against outliers
mixture             a weighted mean of several
reordered           the variables in another order
latent_space        temperature, interpolation, directions of latents
univariate          distribution functions and quantiles of one variable
moments             moments and divergences by TFP's rules
draws               shapes and seeds of draws
log_add_exp         logarithms of sums of densities
distribution_wrapper base classes
distribution_checks checks of bases, rows and indices
```
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
