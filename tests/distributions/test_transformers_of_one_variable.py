"""Conditional densities of one variable, by every transformer of the line."""

import numpy as np
import pytest
import tensorflow as tf
from random_weights import randomize
from subject import close
from transformer_cases import CASES

import tfp_flows as tff

ON_THE_LINE = [name for name, case in CASES.items() if case.build().is_monotone]
TINY = {"hidden_units": (4,), "activation": "tanh", "dtype": "float64", "seed": 0}
FLOWS = {
    name: lambda name=name: tff.MAF(
        1, num_steps=1, context_size=2, transformer=CASES[name].build(), **TINY
    )
    for name in ON_THE_LINE
} | {
    "nsf": lambda: tff.NeuralSplineFlow(1, num_steps=2, context_size=2, **TINY),
    "made": lambda: tff.MADE(1, context_size=2, **TINY),
    "iaf": lambda: tff.IAF(1, num_steps=2, context_size=2, **TINY),
}


@pytest.mark.slow_ids("affine_*", "cubic_*", "curved", "made", "shift")
@pytest.mark.parametrize("name", FLOWS)
@pytest.mark.usefixtures("op_by_op")
def test_distribution_functions_and_quantiles_of_every_context(name):
    flow = randomize(FLOWS[name](), stddev=0.3)
    density = tff.FlowDistribution(tff.standard_normal(1, dtype="float64"), flow)
    context = np.random.default_rng(0).normal(size=(3, 1, 4, 2))
    p = np.array([0.01, 0.2, 0.5, 0.8, 0.99])[:, None]
    y = density.quantile(p, context=context)
    assert y.shape == (3, 5, 4, 1)
    assert (np.diff(y[..., 0], axis=1) > 0.0).all()
    with tf.GradientTape() as tape:
        tape.watch(y)
        cdf = density.cdf(y, context=context)
    close(cdf, np.broadcast_to(p, [3, 5, 4]), 1e-8)
    close(tape.gradient(cdf, y)[..., 0], density.prob(y, context=context), 1e-7)
    close(density.survival_function(y, context=context), 1.0 - cdf)
    # Each context has its own.
    one = density.quantile(0.2, context=context[2, 0, 3])
    close(one, y[2, 1, 3], 1e-8)
    assert np.ptp(y[:, 1]) > 1e-3  # not the median, which an odd map leaves alone
