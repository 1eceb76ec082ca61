"""Bases: the law of their draws, beside SciPy's, and its being the same in every mode."""

import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf

import tfp_flows as tff
from tfp_flows.core.normal_quantile import lower_normal_quantile
from tfp_flows.distributions import draws

BASES = {
    "normal": (tff.standard_normal, scipy.stats.norm),
    "logistic": (tff.standard_logistic, scipy.stats.logistic),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", BASES)
def test_draws_follow_the_law_to_its_tails(name, dtype):
    constructor, law = BASES[name]
    base = constructor(2, dtype=dtype)
    x = base.sample(200_000, seed=[0, 7]).numpy()
    np.testing.assert_allclose(base.log_prob(x), law.logpdf(x).sum(axis=1), rtol=1e-4)
    x = x.ravel()
    assert x.dtype == dtype
    assert scipy.stats.kstest(x, law.cdf).pvalue > 1e-3
    for tail in (law.sf(x), law.cdf(x)):
        for probability in (1e-3, 1e-4):
            expected = probability * len(x)
            assert abs(np.sum(tail < probability) - expected) < 4 * np.sqrt(expected)


@pytest.mark.parametrize("name", BASES)
def test_draws_of_one_seed_are_the_same_in_every_mode(name):
    base = BASES[name][0]([2, 3])

    def draw():
        return base.sample([4, 5], seed=[1, 2])

    eager = draw()
    assert eager.shape == [4, 5, 2, 3]
    for jit_compile in (False, True):
        compiled = tf.function(draw, jit_compile=jit_compile, autograph=False)()
        np.testing.assert_allclose(compiled, eager, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 2e-6), ("float64", 1e-13)])
def test_quantile_is_exact_down_to_the_smallest_tails(dtype, tolerance, jit_compile):
    p = np.concatenate([[0.5 * 2.0**-32, 0.5], np.geomspace(1e-10, 0.5, 10_001)[:-1]])
    p = p.astype(dtype)
    compiled = tf.function(lower_normal_quantile, jit_compile=jit_compile)
    expected = scipy.special.ndtri(p.astype(np.float64))
    np.testing.assert_allclose(
        compiled(tf.constant(p)), expected, rtol=tolerance, atol=1e-9
    )


@pytest.mark.parametrize("jit_compile", [False, True])
def test_noise_of_the_rarest_bits_is_finite(jit_compile, monkeypatch):
    bits = np.array([0, 1, 2**31 - 1, -(2**31), -1], np.int32)
    monkeypatch.setattr(draws, "_bits", lambda shape, seed: tf.constant(bits))
    draw = tf.function(
        lambda: draws.normal([5], (0, 0), tf.float32), jit_compile=jit_compile
    )
    np.testing.assert_allclose(draw(), [6.337958, 6.16643, 0.0, -6.337958, 0.0], atol=1e-5)
