"""Distribution functions and quantiles, beside integrals of the density."""

import functools

import numpy as np
import pytest
import scipy.integrate
import tensorflow as tf
import tensorflow_probability as tfp
from random_weights import randomize
from subject import close

import tfp_flows as tff

tfb, tfd = tfp.bijectors, tfp.distributions
D = tf.float64
SMALL = {"hidden_units": (4,), "seed": 0, "dtype": D}
FUNCTIONS = ("cdf", "log_cdf", "survival_function", "log_survival_function")


def maf(**options):
    return randomize(tff.MAF(1, num_steps=1, **SMALL, **options))


def light(**options):
    """A MAF for bases other than a normal one, of which `HeavyTails` makes far too much."""
    return maf(heavy_tails=False, **options)


def mixture(**options):
    return randomize(tff.MixtureMADE(1, 3, **SMALL, **options), stddev=0.5)


def over(bijector, base=None):
    return tff.FlowDistribution(base or tff.standard_normal(1, dtype=D), bijector)


def minus():
    return tfb.Scale(np.float64(-2.0))


CASES = {
    "flow": lambda: over(maf()),
    "conditional flow": lambda: over(maf(context_size=2)),
    "falling": lambda: over(tff.FlowChain([minus(), maf()])),
    "on an interval": lambda: over(tff.FlowChain([tff.Logit(0.05, dtype=D), maf()])),
    "on a half-line": lambda: over(tff.Bounds([0.0], [np.inf], dtype=D)),
    "of a stock bijector": lambda: over(tfb.Exp()),
    "without axes": lambda: over(
        tfb.Chain([tfb.Exp(), minus()]), tfd.Normal(tf.zeros([], D), 1)
    ),
    "of a pixel": lambda: over(minus(), tff.standard_normal((1, 1, 1), dtype=D)),
    "over a sample": lambda: over(light(), tfd.Sample(tfd.Logistic(tf.zeros([], D), 1), 1)),
    "over a multivariate normal": lambda: over(
        light(),
        tfd.MultivariateNormalDiag(tf.ones(1, D), tf.fill([1], tf.constant(2.0, D))),
    ),
    "over a falling flow": lambda: over(light(), over(minus())),
    "tempered": lambda: tff.at_temperature(over(maf()), 0.5),
    "mixture": mixture,
    "mixture of masks": lambda: mixture(num_masks=2),
    "conditional mixture": lambda: mixture(context_size=2),
    "flow over a mixture": lambda: over(light(context_size=2), mixture(context_size=2)),
    "falling over a mixture": lambda: over(minus(), mixture(context_size=2)),
    "posterior": lambda: randomize(
        tff.flow_posterior([], num_steps=1, support=tfb.Exp(), **SMALL)
    ),
}


@functools.cache
def built(name):
    return CASES[name]()


def context_of(distribution, *batch_shape):
    if not distribution.context_size:
        return {}
    return {"context": np.random.default_rng(0).normal(size=(*batch_shape, 2))}


@pytest.mark.slow_ids(
    "falling over a mixture",
    "flow over a mixture",
    "mixture of masks",
    "over a falling flow",
    "over a multivariate normal",
    "over a sample",
    "tempered",
)
@pytest.mark.parametrize("name", CASES)
def test_integrals_of_the_density(name):
    distribution = built(name)
    event, context = distribution.event_shape, context_of(distribution)
    y = np.sort(np.ravel(distribution.sample(4, seed=1, **context)))
    values = y.reshape([4, *event])

    def density(x):
        return distribution.prob(np.reshape(x, [-1, *event]), **context).numpy()

    grid, step = np.linspace(y[0], y[-1], 20_001, retstep=True)
    areas = scipy.integrate.cumulative_simpson(density(grid), dx=step, initial=0.0)
    cdf = distribution.cdf(values, **context)
    assert cdf.shape == (4,)
    assert np.all(np.diff(cdf) > 0.0)
    close(cdf - cdf[0], np.interp(y, grid, areas), 1e-6)
    close(distribution.survival_function(values, **context), 1.0 - cdf)
    close(tf.exp(distribution.log_cdf(values, **context)), cdf)
    close(
        tf.exp(distribution.log_survival_function(values, **context)),
        distribution.survival_function(values, **context),
    )
    close(distribution.quantile(cdf, **context), values, 1e-8)


@pytest.mark.slow_ids(
    "falling over a mixture",
    "flow over a mixture",
    "mixture of masks",
    "over a falling flow",
    "over a multivariate normal",
    "over a sample",
    "tempered",
)
@pytest.mark.parametrize("name", CASES)
def test_all_is_below_far_up_and_none_far_down(name):
    distribution = built(name)
    context = context_of(distribution)
    for value, expected in ((-1e9, 0.0), (1e9, 1.0)):
        value = np.full(distribution.event_shape, value)
        # Heavy tails, with random weights, have 3e-9 beyond.
        close(distribution.cdf(value, **context), expected, 1e-8)
        close(distribution.survival_function(value, **context), 1.0 - expected, 1e-8)


@pytest.mark.parametrize("name", ["conditional flow", "conditional mixture"])
def test_one_answer_a_context(name):
    distribution = built(name)
    context = context_of(distribution, 5)
    values = np.linspace(-1.0, 1.0, 5)[:, None]
    cdf = distribution.cdf(values, **context)
    each = [
        distribution.cdf(value, context=row)
        for value, row in zip(values, context["context"], strict=True)
    ]
    close(cdf, each)
    assert distribution.quantile(0.3, **context).shape == (5, 1)


def test_gradient_of_a_distribution_function_is_the_density():
    distribution = built("falling")
    y = tf.constant([[-30.0], [0.3], [30.0]], D)
    with tf.GradientTape() as tape:
        tape.watch(y)
        cdf = distribution.cdf(y)
    close(tape.gradient(cdf, y)[:, 0], distribution.prob(y))


@pytest.mark.parametrize("num_masks", [1, 2])
def test_moments_of_a_mixture(num_masks):
    distribution = mixture(num_masks=num_masks)
    draws = distribution.sample(40_000, seed=1)
    close(distribution.mean(), np.mean(draws, axis=0), 0.03)
    close(distribution.stddev(), np.std(draws, axis=0), 0.03)


@functools.cache
def built_and_drawn(build):
    distribution = build()
    return distribution, distribution.sample()


@pytest.mark.parametrize("function", [*FUNCTIONS, "quantile"])
@pytest.mark.parametrize(
    "build",
    [
        lambda: tff.FlowDistribution(tff.standard_normal(2), tff.MAF(2, num_steps=1)),
        lambda: tff.MixtureMADE(2),
        lambda: tff.BinaryMADE(2),
        lambda: tff.flow_posterior({"a": [], "b": []}, num_steps=1),
    ],
)
def test_several_variables_are_refused(build, function):
    distribution, draw = built_and_drawn(build)
    value = 0.5 if function == "quantile" else draw
    with pytest.raises(NotImplementedError, match=r"one variable.*draws"):
        getattr(distribution, function)(value)
