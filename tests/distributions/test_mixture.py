"""Mixtures of distributions: densities, draws, contexts, dtypes, copies and refusals."""

import copy
import functools
import pickle

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from random_weights import randomize
from refusals import all_refused
from subject import close, differ

import tfp_flows as tff
from tfp_flows.distributions import Mixture

tfd = tfp.distributions
WEIGHTS = np.array([0.2, 0.3, 0.5])
ROWS = np.random.default_rng(0).normal(size=(50, 2))
CONTEXT = np.random.default_rng(1).normal(size=(50, 1))


def flow_of(seed=0, context_size=0, dtype="float32"):
    options = {"num_steps": 1, "hidden_units": (6,), "heavy_tails": False, "seed": seed}
    flow = tff.MAF(2, context_size=context_size, dtype=dtype, **options)
    flow = randomize(flow, seed, stddev=0.3)
    return tff.FlowDistribution(tff.standard_normal(2, dtype=dtype), flow)


@functools.cache
def mixture():
    """A stock distribution, and flows of float32 and float64; weights are normalised."""
    normal = tff.standard_normal(2)
    return Mixture([normal, flow_of(1), flow_of(2, dtype="float64")], 10.0 * WEIGHTS)


@functools.cache
def conditional():
    return Mixture([flow_of(k, context_size=1) for k in range(2)])


def test_density_is_the_weighted_sum():
    parts = mixture().components
    each = [p.prob(tf.cast(ROWS, p.dtype)).numpy().astype(float) for p in parts]
    log_prob = mixture().log_prob(ROWS)
    assert log_prob.dtype == mixture().dtype == tf.float64
    close(tf.exp(log_prob), WEIGHTS @ each, 1e-5)
    for rows in (ROWS.astype("f"), tf.constant(ROWS, tf.float32), ROWS.tolist()):
        close(mixture().log_prob(rows), log_prob, 1e-5)
    close(tf.function(mixture().log_prob)(tf.constant(ROWS)), log_prob, 1e-6)
    assert mixture().log_prob(np.array([[3, -2]])).shape == [1]
    far = mixture().log_prob([[1e39, 0.0]])  # beyond float32
    assert far < -1e30  # not NaN


def test_draws_have_the_shares_and_seeds():
    far = [tfp.distributions.MultivariateNormalDiag([at, 0.0]) for at in (-50.0, 0.0, 50.0)]
    apart = Mixture(far, WEIGHTS)
    x = apart.sample(10_000, seed=1).numpy()
    shares = [np.mean(np.abs(x[:, 0] - at) < 10.0) for at in (-50.0, 0.0, 50.0)]
    close(shares, WEIGHTS, 4.0 * 0.5 / 100.0)
    np.testing.assert_array_equal(x, apart.sample(10_000, seed=1))
    close(tf.function(lambda: apart.sample(10, seed=3))(), apart.sample(10, seed=3), 1e-6)
    assert differ(apart.sample(10, seed=1), apart.sample(10, seed=2))
    assert differ(apart.sample(10), apart.sample(10))
    by_xla = tf.function(lambda: apart.sample(10_000, seed=1), jit_compile=True)()
    close(np.sort(np.round(by_xla[:, 0] / 50.0)), np.sort(np.round(x[:, 0] / 50.0)))
    assert apart.sample(0).shape == (0, 2)
    rows, log_prob = apart.sample_and_log_prob((2, 3), seed=2)
    np.testing.assert_array_equal(log_prob, apart.log_prob(rows))


@pytest.mark.parametrize("shape", [(1,), (5, 1), (4, 5, 1)])
def test_contexts_have_any_batch_axes(shape):
    context = np.random.default_rng(2).normal(size=shape)  # float64 beside float32
    rows = conditional().sample(3, seed=0, context=context)
    assert rows.shape == (3, *shape[:-1], 2)
    each = [
        part.prob(rows, context=tf.constant(context, tf.float32))
        for part in conditional().components
    ]
    close(tf.exp(conditional().log_prob(rows, context=context)), sum(each) / 2.0, 1e-5)


def one_variable_flow(seed, dtype):
    flow = tff.NeuralSplineFlow(1, context_size=1, dtype=dtype, num_steps=1, seed=seed)
    base = tff.standard_normal(1, dtype=dtype)
    return tff.FlowDistribution(base, randomize(flow, seed, stddev=0.1))


def test_quantiles_of_one_variable_invert_its_distribution_function():
    tfd = tfp.distributions
    places, scales = [-2.0, 0.0, 4.0], [0.5, 1.0, 0.1]
    parts = [tfd.Sample(tfd.Normal(*each), 1) for each in zip(places, scales, strict=True)]
    levels = np.array([0.001, 0.2, 0.5, 0.99])
    y = Mixture(parts, WEIGHTS).quantile(levels)
    stock = tfd.MixtureSameFamily(
        tfd.Categorical(probs=WEIGHTS), tfd.Normal(np.float64(places), np.float64(scales))
    )
    close(stock.cdf(tf.cast(y[:, 0], tf.float64)), levels, 1e-5)
    close(Mixture(parts, WEIGHTS).cdf(y), levels, 1e-5)


@pytest.mark.slow
def test_quantiles_given_a_context_agree_with_the_density():
    given = Mixture([one_variable_flow(0, "float32"), one_variable_flow(1, "float64")])
    levels = np.tile([[0.1], [0.5], [0.9]], 4)
    context = CONTEXT[:4]
    y = given.quantile(levels, context=context)
    assert y.shape == (3, 4, 1)
    close(given.cdf(y, context=context), levels, 1e-5)
    low, high = y[0], y[2]
    points = low + (high - low) * np.linspace(0.0, 1.0, 20_001)[:, None, None]
    density = np.exp(given.log_prob(points, context=context))
    mass = np.trapezoid(density, points[..., 0], axis=0)
    close(mass, np.full(4, 0.8), 1e-3)


def test_several_variables_have_no_quantiles():
    for call in (lambda: mixture().quantile(0.5), lambda: mixture().cdf(ROWS)):
        with pytest.raises(NotImplementedError, match="one variable for"):
            call()


def test_all_weights_are_trained():
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(mixture().log_prob(ROWS, training=True))
    gradients = tape.gradient(loss, mixture().trainable_variables)
    assert len(gradients) == sum(len(p.trainable_variables) for p in mixture().components)
    assert all(np.abs(gradient).max() > 0.0 for gradient in gradients)


def test_initialize_reaches_every_component():
    raw = tff.MAF(2, num_steps=1, hidden_units=(6,))
    fresh = Mixture([tff.FlowDistribution(tff.standard_normal(2), raw), flow_of(2)])
    assert not fresh.is_initialized
    fresh.initialize(100.0 + ROWS)
    assert fresh.is_initialized
    assert np.mean(fresh.components[0].log_prob(tf.cast(100.0 + ROWS, "float32"))) > -4.0


@pytest.mark.parametrize("make", [mixture, conditional])
def test_copies_and_files_are_bit_equal(make, tmp_path):
    tff.DensityEstimator(make()).save(tmp_path / "mixture.keras")
    given = {"context": CONTEXT} if make is conditional else {}
    expected = make().log_prob(ROWS, **given)
    for again in (
        copy.deepcopy(make()),
        pickle.loads(pickle.dumps(make())),
        tff.load(tmp_path / "mixture.keras").distribution,
    ):
        np.testing.assert_array_equal(again.log_prob(ROWS, **given), expected)
        np.testing.assert_array_equal(again.weights, make().weights)


def normals(*sizes):
    return [tff.standard_normal(size) for size in sizes]


BAD_CALLS = [
    (lambda: Mixture([]), "at least one of `components` | 0"),
    (lambda: Mixture(normals(2)[0]), "`components`, a list | Normal"),
    (lambda: Mixture([tf.exp]), "`components[0]`, a distribution of rows"),
    (lambda: Mixture(normals(2, 3)), "`components` of vectors of one known size | 3"),
    (
        lambda: Mixture(
            [
                tff.standard_normal(1),
                tfp.distributions.MultivariateNormalDiag(np.zeros([2, 1])),
            ]
        ),
        "`components` without batch axes | [2]",
    ),
    (lambda: Mixture([flow_of(), flow_of(0, 1)]), "contexts of one width | [0, 1]"),
    (lambda: Mixture(normals(2, 2), [1.0]), "`weights` of 2 numbers | [1.0]"),
    (lambda: Mixture(normals(2, 2), [1.0, 0.0]), "`weights` of 2 numbers above 0"),
    (lambda: mixture().log_prob(ROWS[:, :1]), "`value` of shape [..., 2] | (50, 1)"),
    (lambda: mixture().log_prob([["a", "b"]]), "`value` of float64 numbers"),
    (
        lambda: mixture().log_prob(np.ma.masked_less(ROWS, 0.0)),
        "`value` without masked entries",
    ),
    (lambda: mixture().log_prob(ROWS, context=CONTEXT), "no `context` | (50, 1)"),
    (lambda: conditional().sample(context=[["a"]]), "`context` of float32 numbers"),
    (lambda: conditional().sample(context=ROWS), "`context` of shape [..., 1] | 2)"),
]


test_bad_calls_are_refused = all_refused(BAD_CALLS)


def moved_log_prob(mixture, x):
    """Log-densities after an exponential."""
    return mixture.log_prob(tf.math.log(x)) - tf.reduce_sum(tf.math.log(x), axis=-1)


def joint_log_prob(mixture, parts):
    noise = tfd.Independent(tfd.Normal(parts[0], 1.0), 1)
    return mixture.log_prob(parts[0]) + noise.log_prob(parts[1])


# Distributions around a mixture, and their log-densities.
STOCK = {
    "sample": (lambda d: tfd.Sample(d, 3), lambda d, x: tf.reduce_sum(d.log_prob(x), -1)),
    "independent": (lambda d: tfd.Independent(d, 0), lambda d, x: d.log_prob(x)),
    "transformed": (
        lambda d: tfd.TransformedDistribution(d, tfp.bijectors.Exp()),
        moved_log_prob,
    ),
    "base": (lambda d: tff.FlowDistribution(d, tfp.bijectors.Exp()), moved_log_prob),
    "joint": (
        lambda d: tfd.JointDistributionSequential(
            [d, lambda y: tfd.Independent(tfd.Normal(y, 1.0), 1)]
        ),
        joint_log_prob,
    ),
}


@pytest.mark.usefixtures("op_by_op")
@pytest.mark.parametrize(("make", "expected"), STOCK.values(), ids=STOCK)
def test_stock_distributions_take_it(make, expected):
    mixture = Mixture([flow_of(1), flow_of(2)])
    outer = make(mixture)
    x, log_prob = outer.experimental_sample_and_log_prob(4, seed=tf.constant([0, 1]))
    close(outer.log_prob(x), expected(mixture, x), 1e-4)
    close(log_prob, expected(mixture, x), 1e-4)


def test_it_is_a_prior_and_says_how_to_estimate_moments():
    bijector = mixture().experimental_default_event_space_bijector()
    close(bijector.forward(ROWS), ROWS, 0.0)
    close(mixture().prob(ROWS), tf.exp(mixture().log_prob(ROWS)), 1e-6)
    assert mixture()[...] is mixture() is mixture().copy()
    with pytest.raises(NotImplementedError, match="Estimate it: tf.reduce_mean"):
        mixture().mean()
