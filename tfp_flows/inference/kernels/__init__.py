"""Markov chains through flows: kernels for `tfp.mcmc.sample_chain`.

Read `posterior_kernels` first, which samples a target through the flow of its posterior, by
`independent_proposals` and by `alternating` kernels.
"""

from tfp_flows.inference.kernels.alternating import AlternatingKernel
from tfp_flows.inference.kernels.independent_proposals import independent_proposals
from tfp_flows.inference.kernels.posterior_kernels import LatentKernel
from tfp_flows.inference.kernels.posterior_kernels import adaptive_nuts
from tfp_flows.inference.kernels.posterior_kernels import flow_proposal_kernel
from tfp_flows.inference.kernels.posterior_kernels import neutra_kernel

__all__ = [
    "AlternatingKernel",
    "LatentKernel",
    "adaptive_nuts",
    "flow_proposal_kernel",
    "independent_proposals",
    "neutra_kernel",
]
