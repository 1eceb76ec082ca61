"""Markov chains through flows: kernels for `tfp.mcmc.sample_chain`."""

from tfp_flows.mcmc.alternating import AlternatingKernel
from tfp_flows.mcmc.independent_proposals import independent_proposals
from tfp_flows.mcmc.latent_kernel import LatentKernel
from tfp_flows.mcmc.posterior_kernels import adaptive_nuts
from tfp_flows.mcmc.posterior_kernels import flow_proposal_kernel
from tfp_flows.mcmc.posterior_kernels import neutra_kernel
