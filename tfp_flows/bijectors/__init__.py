"""Invertible maths: TFP bijectors, without networks.

Read in this order:

```none
coupling            y = x where masked, else transformed by a conditioner (NICE, RealNVP)
masks, partition    the masks of couplings, and an event divided by one
autoregressive      y_i given y before i (MAF), or x before i (IAF)
flow_chain          several steps, one after another
scan                a scan over steps that differ only in their weights, traced once
check_conditioner   whether conditioner and transformer of a step fit each other
linear, permutation  learned and fixed mixings of variables (Glow)
positionwise        maps of the last axis that are the same at every position
act_norm            a scale and a shift of each channel, set by rows (Glow)
batch_norm          the same by the moments of batches (RealNVP)
standardize         location, scale and correlations of the rows
gaussianize         each variable normal, by quantiles of the rows
heavy_tails         heavier tails between the steps and the base
elementwise         a map of each variable with learned parameters
preprocessing       bounded data on the whole line, by logits
normal_scores       each pixel normal, by the frequencies of its bins
squeeze             pixels to channels
multi_scale         channels that leave after each level (RealNVP)
partial, invert     a flow of some variables; its inverse
tfp_bijector        any bijector of TFP as a step
check_bijector      tests a bijector of your own
```
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
from tfp_flows.bijectors.gaussianize import Gaussianize
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
    "Gaussianize",
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
