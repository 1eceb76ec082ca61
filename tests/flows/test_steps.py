"""The recipes of steps take all that a flow is given."""

import inspect

import pytest

import tfp_flows as tff
from tfp_flows.flows import neural_spline_flow, real_nvp_image, steps
from tfp_flows.flows.steps import multi_scale_steps

# What constructors use themselves.
NAMED = {"standardize_context", "recompute", "name", "num_levels", "num_steps"}
NAMED |= {"hidden_channels", "learned_prior", "conditional_prior"}
AROUND = {steps.norm_and_mixing, steps.with_preprocessing}
COUPLINGS = {steps.coupling_steps, steps.coupling, *AROUND}
AUTOREGRESSIVE = {steps.autoregressive_steps, steps.autoregressive_step, *AROUND}
RECIPES = {
    tff.NICE: COUPLINGS,
    tff.RealNVP: COUPLINGS,
    tff.MAF: AUTOREGRESSIVE,
    tff.IAF: AUTOREGRESSIVE,
    tff.MADE: {steps.autoregressive_step, steps.with_preprocessing},
    tff.NeuralSplineFlow: {
        neural_spline_flow._spline_steps,
        neural_spline_flow._SplineColumns.coupling,
        steps.coupling,
        steps.with_preprocessing,
    },
    tff.Glow: {tff.flows.GlowStep, multi_scale_steps},
    tff.RealNVPImage: {
        real_nvp_image._coupling_and_norm,
        steps.coupling,
        multi_scale_steps,
    },
}


def names(function):
    return inspect.signature(function).parameters.keys()


@pytest.mark.parametrize("flow", RECIPES)
def test_a_flow_has_few_arguments_of_its_own_and_ignores_none(flow):
    taken = set().union(*(names(recipe) for recipe in RECIPES[flow]))
    assert names(flow) - taken <= NAMED
    own = names(inspect.unwrap(flow.__init__)) - {"self", "options"}
    assert len(own) <= 14


def test_signatures_and_configurations_list_the_shared_options():
    flow = tff.IAF(3, residual=True, seed=1)
    config = flow.get_config()
    assert config.keys() == names(tff.IAF)
    assert (config["residual"], config["standardize"], config["seed"]) == (True, False, 1)
    assert inspect.signature(tff.MAF).parameters["standardize"].default is True
