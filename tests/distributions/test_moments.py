"""Moments and divergences: those that TFP has a rule for, and what is said of others."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from subject import close

import tfp_flows as tff

pytestmark = pytest.mark.usefixtures("all_op_by_op")

OF_ONE = ("mean", "stddev", "variance", "covariance", "mode", "entropy")
OF_TWO = ("kl_divergence", "cross_entropy")
SMALL = {"num_steps": 1, "hidden_units": (4,), "seed": 0}
WITHOUT = {
    "flow": lambda: tff.FlowDistribution(tff.standard_normal(2), tff.MAF(2, **SMALL)),
    "additive": lambda: tff.FlowDistribution(tff.standard_normal(2), tff.NICE(2, **SMALL)),
    "mixture": lambda: tff.MixtureMADE(2),
    "binary": lambda: tff.BinaryMADE(2),
    "posterior": lambda: tff.flow_posterior(2, **SMALL),
}


@pytest.mark.parametrize("name", WITHOUT)
def test_what_has_no_formula_is_to_be_estimated(name):
    distribution = WITHOUT[name]()
    for statistic in (*OF_ONE, *OF_TWO):
        others = [tff.standard_normal(2)] if statistic in OF_TWO else []
        with pytest.raises(NotImplementedError, match=f"`{statistic}`.* Estimate it: "):
            getattr(distribution, statistic)(*others)


def test_rules_of_tfp_where_the_jacobian_is_constant():
    flow = tff.FlowChain([tff.ActNorm(2, dtype=tf.float64)])
    distribution = tff.FlowDistribution(tff.standard_normal(2, dtype=tf.float64), flow)
    distribution.initialize(np.random.default_rng(0).normal(size=(50, 2)) * 3.0 + 1.0)
    draws, log_prob = distribution.sample_and_log_prob(40_000, seed=1)
    close(distribution.mean(), tf.reduce_mean(draws, axis=0), 0.05)
    close(distribution.entropy(), -tf.reduce_mean(log_prob), 0.02)
    close(distribution.prob(distribution.mode()), tf.exp(tf.reduce_max(log_prob)), 1e-3)


def test_moments_of_several_contexts_are_refused():
    flow = tff.FlowChain([tff.bijectors.Decorrelate(2, context_size=3)])
    distribution = tff.FlowDistribution(tff.standard_normal(2), flow)
    close(distribution.mean(context=np.zeros([3], np.float32)), np.zeros(2))
    for statistic in ("mean", "mode", "entropy"):
        with pytest.raises(ValueError, match=rf"one `context` in `{statistic}`.*\(5, 3\)"):
            getattr(distribution, statistic)(context=np.zeros([5, 3], np.float32))


def test_divergence_of_two_bases_alone_and_under_one_flow():
    first, flow = tff.standard_normal(2), tff.MAF(2, **SMALL)
    second = tfp.distributions.Independent(tfp.distributions.Normal([1.0, 0.0], 1.0), 1)
    a, b = (tff.FlowDistribution(base, flow) for base in (first, second))
    assert a.kl_divergence(b).numpy() == pytest.approx(0.5)
    assert second.kl_divergence(first).numpy() == pytest.approx(0.5)


def test_the_function_of_tfp_says_how_to_estimate_a_divergence():
    first, flow = tff.standard_normal(2), tff.MAF(2, **SMALL)
    dist = tff.FlowDistribution(first, flow)
    for other in (tff.FlowDistribution(first, tff.MAF(2, **SMALL)), first):
        with pytest.raises(NotImplementedError, match=r"`kl_divergence`.*Estimate it: "):
            tfp.distributions.kl_divergence(dist, other)
    moved = tfp.distributions.Independent(tfp.distributions.Normal([1.0, 0.0], 1.0), 1)
    stock = tfp.distributions.TransformedDistribution(moved, flow)
    assert tfp.distributions.kl_divergence(dist, stock).numpy() == pytest.approx(0.5)
