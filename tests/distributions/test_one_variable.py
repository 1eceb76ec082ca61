"""Distribution functions and quantiles against integrals of the density."""

import functools

import numpy as np
import pytest
import scipy.integrate
import tensorflow as tf
import tensorflow_probability as tfp
from random_weights import randomize
from subject import close
from transformer_cases import CASES as TRANSFORMERS

import tfp_flows as tff

pytestmark = pytest.mark.usefixtures("all_op_by_op")

tfb, tfd = tfp.bijectors, tfp.distributions
D = tf.float64
SMALL = {"hidden_units": (4,), "seed": 0, "dtype": D}


def maf(**options):
    return randomize(tff.MAF(1, num_steps=1, **SMALL, **options))


def light(**options):
    """A MAF without heavy tails, for bases whose own tails are heavy."""
    return maf(heavy_tails=False, **options)


def mixture(size=1, **options):
    return randomize(tff.MixtureMADE(size, 3, **SMALL, **options), stddev=0.5)


def normal(shape):
    return tff.standard_normal(shape, dtype=D)


def over(bijector, base=None):
    return tff.FlowDistribution(base or normal(1), bijector)


def minus():
    return tfb.Scale(np.float64(-2.0))


CASES = {
    "flow": lambda: over(maf()),
    "conditional flow": lambda: over(maf(context_size=2)),
    "falling": lambda: over(tff.FlowChain([minus(), maf()])),
    "on an interval": lambda: over(tff.FlowChain([tff.Logit(0.05, dtype=D), maf()])),
    "of a stock bijector": lambda: over(tfb.Exp()),
    "without axes": lambda: over(
        tfb.Chain([tfb.Exp(), minus()]), tfd.Normal(tf.zeros([], D), 1)
    ),
    "of a pixel": lambda: over(minus(), normal((1, 1, 1))),
    "over a sample": lambda: over(light(), tfd.Sample(tfd.Logistic(tf.zeros([], D), 1), 1)),
    "over a falling flow": lambda: over(light(), over(minus())),
    "tempered": lambda: tff.at_temperature(over(maf()), 0.5),
    "mixture of masks": lambda: mixture(num_masks=2),
    "conditional mixture": lambda: mixture(context_size=2),
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
    "falling over*", "mixture of masks", "over a *", "tempered", "without axes"
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
    survival = distribution.survival_function(values, **context)
    close(survival, 1.0 - cdf)
    close(tf.exp(distribution.log_cdf(values, **context)), cdf)
    close(tf.exp(distribution.log_survival_function(values, **context)), survival)
    close(distribution.quantile(cdf, **context), values, 1e-8)
    for value, expected in ((-1e9, 0.0), (1e9, 1.0)):
        value = np.full(event, value)
        # Heavy tails with random weights have a mass of 3e-9 beyond.
        close(distribution.cdf(value, **context), expected, 1e-8)
        close(distribution.survival_function(value, **context), 1.0 - expected, 1e-8)


def test_one_answer_a_context():
    distribution = built("conditional mixture")
    context = context_of(distribution, 5)["context"]
    values = np.linspace(-1.0, 1.0, 5)[:, None]
    rows = zip(values, context, strict=True)
    each = [distribution.cdf(value, context=row) for value, row in rows]
    close(distribution.cdf(values, context=context), each)
    assert distribution.quantile(0.3, context=context).shape == (5, 1)


@pytest.mark.parametrize("num_masks", [1, 2])
def test_moments_of_a_mixture(num_masks):
    distribution = mixture(num_masks=num_masks)
    draws = distribution.sample(40_000, seed=1)
    close(distribution.mean(), np.mean(draws, axis=0), 0.03)
    close(distribution.stddev(), np.std(draws, axis=0), 0.03)


@pytest.mark.parametrize(
    "build", [lambda: over(minus(), normal(2)), lambda: mixture(size=2)]
)
def test_several_variables_are_refused(build):
    distribution = build()
    draw = distribution.sample()
    for function in ("cdf", "log_cdf", "survival_function", "log_survival_function"):
        with pytest.raises(NotImplementedError, match=r"one variable.*draws"):
            getattr(distribution, function)(draw)
    with pytest.raises(NotImplementedError, match=r"one variable.*draws"):
        distribution.quantile(0.5)


TINY = {"activation": "tanh", "context_size": 2, **SMALL}
FLOWS = {
    "nsf": lambda: tff.NeuralSplineFlow(1, num_steps=2, **TINY),
    "iaf": lambda: tff.IAF(1, num_steps=2, **TINY),
}
ON_THE_LINE = [name for name, case in TRANSFORMERS.items() if case.build().is_monotone]


@pytest.mark.slow_ids("affine_*", "cubic_*", "curved", "shift")
@pytest.mark.parametrize("name", [*ON_THE_LINE, *FLOWS])
def test_distribution_functions_by_every_transformer_and_context(name):
    transformer = {} if name in FLOWS else {"transformer": TRANSFORMERS[name].build()}
    flow = FLOWS.get(name, lambda: tff.MAF(1, num_steps=1, **transformer, **TINY))()
    density = over(randomize(flow, stddev=0.3))
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
    # Each context has its own quantile.
    close(density.quantile(0.2, context=context[2, 0, 3]), y[2, 1, 3], 1e-8)
    assert np.ptp(y[:, 1]) > 1e-3  # not the median, which odd maps do not move


@pytest.mark.parametrize(
    ("name", "context"), [("flow", np.zeros([4, 2])), ("conditional flow", None)]
)
def test_unwanted_and_missing_contexts_are_refused(name, context):
    for function in ("cdf", "log_survival_function", "quantile"):
        with pytest.raises(ValueError, match="Expected (no )?`context`"):
            getattr(built(name), function)(np.full([4, 1], 0.5), context=context)


def test_values_of_another_width_are_refused():
    distribution = tff.MixtureMADE(1, 2, hidden_units=(4,), seed=0)
    for method in (distribution.cdf, distribution.survival_function, distribution.log_cdf):
        with pytest.raises(ValueError, match=r"`value` of shape \[\.\.\., 1\]"):
            method([0.0, 5.0, 5.0])
