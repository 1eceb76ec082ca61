"""Invertible maths: TFP bijectors, without networks.

Read `coupling` and `masks` first, then `autoregressive` and `flow_chain`; `standardize`,
`heavy_tails`, `preprocessing` and `normal_scores` map data, `squeeze` and `multi_scale`
images. `check_bijector` tests one of your own.
"""

from tfp_flows.bijectors.act_norm import ActNorm
from tfp_flows.bijectors.autoregressive import InverseAutoregressive
from tfp_flows.bijectors.autoregressive import MaskedAutoregressive
from tfp_flows.bijectors.batch_norm import BatchNorm
from tfp_flows.bijectors.check_bijector import BijectorReport
from tfp_flows.bijectors.check_bijector import check_bijector
from tfp_flows.bijectors.coupling import Coupling
from tfp_flows.bijectors.elementwise import Elementwise
from tfp_flows.bijectors.flow_chain import FlowChain
from tfp_flows.bijectors.heavy_tails import HeavyTails
from tfp_flows.bijectors.invert import Invert
from tfp_flows.bijectors.linear import InvertibleConv1x1
from tfp_flows.bijectors.linear import InvertibleLinear
from tfp_flows.bijectors.multi_scale import MultiScale
from tfp_flows.bijectors.normal_scores import NormalScores
from tfp_flows.bijectors.partial import Partial
from tfp_flows.bijectors.permutation import Permutation
from tfp_flows.bijectors.permutation import random_permutation
from tfp_flows.bijectors.permutation import reverse_permutation
from tfp_flows.bijectors.preprocessing import Bounds
from tfp_flows.bijectors.preprocessing import Logit
from tfp_flows.bijectors.squeeze import Squeeze
from tfp_flows.bijectors.standardize import Decorrelate
from tfp_flows.bijectors.standardize import Standardize
from tfp_flows.bijectors.standardize import Whiten
from tfp_flows.bijectors.tfp_bijector import TFPBijector

__all__ = [
    "ActNorm",
    "BatchNorm",
    "BijectorReport",
    "Bounds",
    "Coupling",
    "Decorrelate",
    "Elementwise",
    "FlowChain",
    "HeavyTails",
    "InverseAutoregressive",
    "Invert",
    "InvertibleConv1x1",
    "InvertibleLinear",
    "Logit",
    "MaskedAutoregressive",
    "MultiScale",
    "NormalScores",
    "Partial",
    "Permutation",
    "Squeeze",
    "Standardize",
    "TFPBijector",
    "Whiten",
    "check_bijector",
    "random_permutation",
    "reverse_permutation",
]
