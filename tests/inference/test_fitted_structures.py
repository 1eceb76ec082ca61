"""Fits of models in every structure of a joint distribution, and uses of their results."""

import importlib.util
import pickle

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows as tff

tfb, tfd = tfp.bijectors, tfp.distributions


def scale(name="scale"):
    return tfd.Gamma(3.0, 1.0, name=name)


def places(scale, name="places"):
    return tfd.Sample(tfd.Normal(scale, 1.0), 2, name=name)


def observed(places, name="observed"):
    return tfd.Independent(tfd.Normal(places, 1.0), 1, name=name)


def coroutine():
    s = yield scale("scale")
    x = yield places(s, "places")
    yield observed(x, "observed")


Y = np.float32([1.0, -2.0])


def shapes():
    named = tfd.JointDistributionNamed({"scale": scale(), "places": places})
    return {
        "target": named.event_shape,
        "support": {"scale": tfb.Exp(), "places": None},
        "target_log_prob_fn": lambda scale, places: (
            named.log_prob(scale=scale, places=places) + observed(places).log_prob(Y)
        ),
    }


def pinned(joint, **parts):
    return {"target": joint.experimental_pin(**parts)}


MODELS = {
    "coroutine": lambda: pinned(
        tfd.JointDistributionCoroutineAutoBatched(coroutine), observed=Y
    ),
    "named": lambda: pinned(
        tfd.JointDistributionNamedAutoBatched(
            {"scale": scale(), "places": places, "observed": observed}
        ),
        observed=Y,
    ),
    "sequential": lambda: {
        "target": tfd.JointDistributionSequentialAutoBatched(
            [scale("scale"), places, observed]
        ).experimental_pin(None, None, Y)
    },
    "shapes": shapes,
}


def hamiltonian(log_prob):
    return tfp.mcmc.HamiltonianMonteCarlo(log_prob, 0.3, num_leapfrog_steps=2)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_draws_have_the_structure_and_go_where_draws_of_posteriors_go(name):
    options = MODELS[name]()
    posterior = tff.fit_posterior(**options, seed=0, max_gradients=300_000)
    assert posterior.report.verdict != "not reliable", str(posterior.report)
    target = options["target"]
    structure = getattr(target, "event_shape", target)
    for draws in (posterior.sample(5, seed=1), posterior.resample(5, seed=1)):
        tf.nest.assert_same_structure(structure, tf.nest.map_structure(id, draws), False)
        assert sorted(tuple(p.shape) for p in tf.nest.flatten(draws)) == [(5,), (5, 2)]
    twin = pickle.loads(pickle.dumps(posterior))
    assert twin.report == posterior.report
    np.testing.assert_array_equal(twin.log_prob(draws), posterior.log_prob(draws))
    log_prob = options.get("target_log_prob_fn") or target.unnormalized_log_prob
    for make in (tff.neutra_kernel, tff.flow_proposal_kernel):
        kernel = make(log_prob, posterior, make_kernel=hamiltonian)
        chains = tfp.mcmc.sample_chain(3, draws, kernel=kernel, trace_fn=None, seed=(1, 2))
        assert sorted(p.shape.rank for p in tf.nest.flatten(chains)) == [2, 3]
        assert all(np.isfinite(p).all() for p in tf.nest.flatten(chains))
    if importlib.util.find_spec("arviz"):
        names = {"names": ["places", "scale"]} if name == "shapes" else {"target": target}
        data = tff.to_arviz(posterior, num_draws=50, seed=0, **names)
        assert data["posterior"]["places"].shape == (1, 50, 2)
