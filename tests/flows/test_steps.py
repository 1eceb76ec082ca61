"""The recipes of steps take all that a flow is given."""

import inspect

import pytest

import tfp_flows as tff
from tfp_flows.flows import steps

OF_THE_CHAIN = {"standardize_context", "recompute", "name"}
COUPLINGS = {steps.coupling_steps}
AUTOREGRESSIVE = {steps.autoregressive_steps, steps.autoregressive_step}
RECIPES = {
    tff.NICE: COUPLINGS,
    tff.RealNVP: COUPLINGS,
    tff.MAF: AUTOREGRESSIVE,
    tff.IAF: AUTOREGRESSIVE,
    tff.MADE: {steps.autoregressive_step, steps.standardizing},
}


def names(function):
    return inspect.signature(function).parameters.keys()


@pytest.mark.parametrize("flow", RECIPES)
def test_no_argument_of_a_flow_is_ignored(flow):
    taken = set().union(*(names(recipe) for recipe in RECIPES[flow]))
    assert names(flow) - taken <= OF_THE_CHAIN
