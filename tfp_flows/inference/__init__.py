"""Bayesian posteriors: `fit_posterior` of one model and its data, with a verdict.

Read in this order:

```none
fit                 fit_posterior: target -> modes -> initial flow -> training -> checks
parts               the parts of a draw: as arguments, by name, and as rows
target              the log-density on the unconstrained space
support             maps from there to the supports of the parameters
default_supports    those of single distributions of TFP
stan                Stan models as targets
modes               maxima, with their Gaussians
reparametrisation   the coordinates of a fit
initial_flow        the flow before training
training            of the flow, by gradients of the target
budget, checkpoint  bounds of time and gradients; resuming
checks              the verdict
fitted_posterior    the result
arviz               draws for ArviZ
surrogate           flows for your own variational loop
losses              its losses
kernels             Markov chains through a flow
amortized           posteriors of any observation, which are learned from simulations
```
"""

from tfp_flows.inference.amortized.fit import fit_amortized_posterior
from tfp_flows.inference.amortized.neural_likelihood import NeuralLikelihood
from tfp_flows.inference.amortized.neural_likelihood import fit_neural_likelihood
from tfp_flows.inference.amortized.posterior import AmortizedPosterior
from tfp_flows.inference.amortized.posterior import ConditionedPosterior
from tfp_flows.inference.arviz import to_arviz
from tfp_flows.core.check import Check
from tfp_flows.inference.checks.pareto import pareto_smooth
from tfp_flows.inference.checks.verdict import PosteriorReport
from tfp_flows.inference.fit import fit_posterior
from tfp_flows.inference.fitted_posterior import FittedPosterior
from tfp_flows.inference.kernels.alternating import AlternatingKernel
from tfp_flows.inference.kernels.independent_proposals import independent_proposals
from tfp_flows.inference.kernels.posterior_kernels import LatentKernel
from tfp_flows.inference.kernels.posterior_kernels import adaptive_nuts
from tfp_flows.inference.kernels.posterior_kernels import flow_proposal_kernel
from tfp_flows.inference.kernels.posterior_kernels import neutra_kernel
from tfp_flows.inference.losses import variational_loss
from tfp_flows.inference.surrogate import FlowPosterior
from tfp_flows.inference.surrogate import flow_posterior

__all__ = [
    "AlternatingKernel",
    "AmortizedPosterior",
    "Check",
    "ConditionedPosterior",
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
