"""Bases: the law of their draws, beside SciPy's, and its being the same in every mode."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows as tff

BASES = {
    "normal": (tff.standard_normal, scipy.stats.norm),
    "logistic": (tff.standard_logistic, scipy.stats.logistic),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", BASES)
def test_draws_follow_the_law_to_its_tails(name, dtype):
    constructor, law = BASES[name]
    x = constructor(2, dtype=dtype).sample(200_000, seed=[0, 7]).numpy().ravel()
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


@pytest.mark.parametrize("name", BASES)
def test_scores_as_the_stock_distribution_does(name):
    constructor, law = BASES[name]
    x = np.linspace(-30.0, 30.0, 12).reshape(4, 3)
    expected = law.logpdf(x).sum(axis=1)
    np.testing.assert_allclose(constructor(3, dtype="float64").log_prob(x), expected)


def test_stock_divergence_takes_the_normal_base():
    base = tff.standard_normal(2)
    stock = tfp.distributions.Independent(tfp.distributions.Normal([1.0, 0.0], 1.0), 1)
    assert stock.kl_divergence(base).numpy() == pytest.approx(0.5)
