"""The papers' flows, one file each.

`options.py` has the arguments that all of them take, `steps.py` the recipes that they
share.
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
