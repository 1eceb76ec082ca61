"""Fits of models in every structure of a joint distribution, and uses of their results."""

import importlib.util
import pickle

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from structures import PINNED
from structures import log_prob

import tfp_flows as tff

SHAPES = {
    "target": {"scale": [], "places": [2]},
    "support": {"scale": tfp.bijectors.Exp(), "places": None},
    "target_log_prob_fn": log_prob,
}


def hamiltonian(log_prob):
    return tfp.mcmc.HamiltonianMonteCarlo(log_prob, 0.3, num_leapfrog_steps=2)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*PINNED, "shapes"])
def test_draws_have_the_structure_and_go_where_draws_of_posteriors_go(name):
    options = {"target": PINNED[name]} if name in PINNED else SHAPES
    posterior = tff.fit_posterior(**options, seed=0, max_gradients=300_000)
    assert posterior.report.verdict != "not reliable", str(posterior.report)
    for draws in (posterior.sample(5, seed=1), posterior.resample(5, seed=1)):
        tf.nest.assert_same_structure(posterior.event_shape, draws, False)
        assert sorted(tuple(p.shape) for p in tf.nest.flatten(draws)) == [(5,), (5, 2)]
    twin = pickle.loads(pickle.dumps(posterior))
    assert twin.report == posterior.report
    np.testing.assert_array_equal(twin.log_prob(draws), posterior.log_prob(draws))
    density = options.get("target_log_prob_fn") or PINNED[name].unnormalized_log_prob
    for make in (tff.neutra_kernel, tff.flow_proposal_kernel):
        kernel = make(density, posterior, make_kernel=hamiltonian)
        chains = tfp.mcmc.sample_chain(3, draws, kernel=kernel, trace_fn=None, seed=(1, 2))
        assert sorted(p.shape.rank for p in tf.nest.flatten(chains)) == [2, 3]
        assert all(np.isfinite(p).all() for p in tf.nest.flatten(chains))
    if importlib.util.find_spec("arviz"):
        names = options if name in PINNED else {"names": ["places", "scale"]}
        data = tff.to_arviz(posterior, num_draws=50, seed=0, **names)
        assert data["posterior"]["places"].shape == (1, 50, 2)
