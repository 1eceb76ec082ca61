"""Elementwise maps that a conditioner parameterises.

Read in this order:

```none
transformer         the protocol
affine              a shift, and a scale with a bound
gated               the gate of IAF
spline              monotone rational-quadratic splines, on an interval or a circle
mixture_cdf         the distribution function of a mixture of logistics
smooth              smooth maps with inverses in closed form
tail                from light to heavy tails
per_variable        a different one for each variable
```
"""

from tfp_flows.transformers.affine import Affine
from tfp_flows.transformers.affine import Shift
from tfp_flows.transformers.affine import bounded_glow_scale
from tfp_flows.transformers.affine import exp_scale
from tfp_flows.transformers.affine import glow_scale
from tfp_flows.transformers.affine import sigmoid_scale
from tfp_flows.transformers.affine import soft_bounded_scale
from tfp_flows.transformers.affine import softplus_scale
from tfp_flows.transformers.gated import Gated
from tfp_flows.transformers.mixture_cdf import MixtureCDF
from tfp_flows.transformers.per_variable import PerVariable
from tfp_flows.transformers.smooth import CubicConjugation
from tfp_flows.transformers.smooth import CubicRational
from tfp_flows.transformers.smooth import SinhConjugation
from tfp_flows.transformers.spline import CircularSpline
from tfp_flows.transformers.spline import RationalQuadraticSpline
from tfp_flows.transformers.tail import Tail
from tfp_flows.transformers.transformer import Transformer

__all__ = [
    "Affine",
    "CircularSpline",
    "CubicConjugation",
    "CubicRational",
    "Gated",
    "MixtureCDF",
    "PerVariable",
    "RationalQuadraticSpline",
    "Shift",
    "SinhConjugation",
    "Tail",
    "Transformer",
    "bounded_glow_scale",
    "exp_scale",
    "glow_scale",
    "sigmoid_scale",
    "soft_bounded_scale",
    "softplus_scale",
]
