"""The papers' flows, one file each."""

from tfp_flows.flows.nice import NICE
from tfp_flows.flows.real_nvp import RealNVP
