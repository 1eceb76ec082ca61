"""Bayesian posteriors: `fit_posterior` of one model and its data, with a verdict.

`fit` reads as the method: target -> modes -> initial flow -> training -> checks ->
verdict. Read the other files in the same order: `parts`, `target` and `support`, `modes`,
`reparametrisation`, which has the coordinates of a fit, `initial_flow`, `training`, then
`checks`.
`surrogate` has flows for your own variational loop, `losses` has its losses, and `kernels`
has Markov chains through a flow. The folder `amortized` has posteriors of any observation,
which are learned from simulations: `fit_amortized_posterior`.
"""

from tfp_flows.inference.amortized import AmortizedPosterior
from tfp_flows.inference.amortized import NeuralLikelihood
from tfp_flows.inference.amortized import fit_amortized_posterior
from tfp_flows.inference.amortized import fit_neural_likelihood
from tfp_flows.inference.arviz import to_arviz
from tfp_flows.core.check import Check
from tfp_flows.inference.checks.importance import pareto_smooth
from tfp_flows.inference.checks.verdict import PosteriorReport
from tfp_flows.inference.fit import fit_posterior
from tfp_flows.inference.fitted_posterior import FittedPosterior
from tfp_flows.inference.kernels import AlternatingKernel
from tfp_flows.inference.kernels import LatentKernel
from tfp_flows.inference.kernels import adaptive_nuts
from tfp_flows.inference.kernels import flow_proposal_kernel
from tfp_flows.inference.kernels import independent_proposals
from tfp_flows.inference.kernels import neutra_kernel
from tfp_flows.inference.losses import variational_loss
from tfp_flows.inference.surrogate import FlowPosterior
from tfp_flows.inference.surrogate import flow_posterior

__all__ = [
    "AlternatingKernel",
    "AmortizedPosterior",
    "Check",
    "FittedPosterior",
    "FlowPosterior",
    "LatentKernel",
    "NeuralLikelihood",
    "PosteriorReport",
    "adaptive_nuts",
    "fit_amortized_posterior",
    "fit_neural_likelihood",
    "fit_posterior",
    "flow_posterior",
    "flow_proposal_kernel",
    "independent_proposals",
    "neutra_kernel",
    "pareto_smooth",
    "to_arviz",
    "variational_loss",
]
