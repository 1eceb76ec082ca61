"""The papers' flows, one file each.

Read in this order:

```none
nice                additive couplings
real_nvp            affine couplings
real_nvp_image      the same on images, at several levels
glow                steps with learned mixings, at several levels
made                one autoregressive step
maf                 several of them
iaf                 the same steps, fast to sample
neural_spline_flow  splines in couplings or in autoregressive steps
tarflow, guided     autoregressive steps on tokens by transformers; guidance by a context
options             the arguments that all of them take
steps               the recipes that they share
```
"""

from tfp_flows.flows.glow import Glow
from tfp_flows.flows.glow import GlowStep
from tfp_flows.flows.guided import Guided
from tfp_flows.flows.iaf import IAF
from tfp_flows.flows.made import MADE
from tfp_flows.flows.maf import MAF
from tfp_flows.flows.neural_spline_flow import NeuralSplineFlow
from tfp_flows.flows.nice import NICE
from tfp_flows.flows.options import FlowOptions
from tfp_flows.flows.options import VectorFlowOptions
from tfp_flows.flows.real_nvp import RealNVP
from tfp_flows.flows.real_nvp_image import RealNVPImage
from tfp_flows.flows.tarflow import TarFlow

__all__ = [
    "FlowOptions",
    "Glow",
    "GlowStep",
    "Guided",
    "IAF",
    "MADE",
    "MAF",
    "NICE",
    "NeuralSplineFlow",
    "RealNVP",
    "RealNVPImage",
    "TarFlow",
    "VectorFlowOptions",
]
