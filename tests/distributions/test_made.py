"""MADE: mixtures as TFP has them, codes of categories, bits, and empty batches."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from distribution_cases import CATEGORICAL, built
from random_weights import randomize
from subject import close, differ

import tfp_flows as tff
from tfp_flows.distributions import conditionals

pytestmark = pytest.mark.usefixtures("op_by_op")

tfd = tfp.distributions
TINY = {"hidden_units": (4,), "seed": 0}
SMALL = {"hidden_units": (8, 8), "activation": "tanh", "seed": 1, "dtype": "float64"}


def test_density_integrates_to_one():
    options = {"num_masks": 2, "context_size": 2, **SMALL}
    distribution = randomize(tff.MixtureMADE(2, 3, **options), stddev=0.3)
    x, width = np.linspace(-14.0, 14.0, 561, retstep=True)
    points = np.stack(np.meshgrid(x, x), axis=-1)
    total = np.sum(np.exp(distribution.log_prob(points, context=np.ones(2)))) * width**2
    assert total == pytest.approx(1.0, abs=1e-3)


def test_conditionals_are_those_of_tfp():
    rng = np.random.default_rng(0)
    mixture = conditionals.GaussianMixture(4)
    x, parameters = rng.normal(size=(5, 2)), rng.normal(size=(5, 12, 2))
    logits, shift, s = np.split(parameters, 3, axis=1)
    start = tfd.Normal(np.float64(0.0), 1.0).quantile((np.arange(4) + 0.5) / 4).numpy()
    log_scale = 0.5 * np.log(1.0 - np.var(start)) + 7.0 * np.tanh(s / 7.0)
    components = tfd.Normal(
        np.moveaxis(shift + start[:, None], 1, 2), np.moveaxis(np.exp(log_scale), 1, 2)
    )
    weights = tfd.Categorical(logits=np.moveaxis(logits, 1, 2))
    expected = tfd.MixtureSameFamily(weights, components).log_prob(x)
    close(mixture.log_prob(tf.constant(x), tf.constant(parameters)), expected, 1e-9)


def test_far_points_and_wild_parameters_stay_finite():
    made = randomize(tff.MixtureMADE(3, 4, hidden_units=(8,), seed=1), stddev=30.0)
    x = np.array([[1e3, -1e3, 0.0], [0.0, 1e5, 1e-5]], np.float32)
    with tf.GradientTape() as tape:
        log_prob = made.log_prob(x)
    assert np.isfinite(log_prob).all()
    for gradient in tape.gradient(log_prob, made.trainable_variables):
        assert np.isfinite(gradient).all()
    assert np.isfinite(made.sample(100, seed=1)).all()


@pytest.mark.parametrize(("from_base", "from_flow"), [(2, 2), (2, 0), (0, 2)])
def test_base_is_given_the_context_if_it_takes_one(from_base, from_flow):
    base = tff.MixtureMADE(3, 2, context_size=from_base, **SMALL)
    maf = tff.MAF(3, num_steps=2, context_size=from_flow, heavy_tails=False, **SMALL)
    distribution = tff.FlowDistribution(randomize(base), randomize(maf))
    assert distribution.context_size == 2
    context = np.random.default_rng(0).normal(size=(4, 2))
    y, log_prob = distribution.sample_and_log_prob(5, seed=1, context=context)
    assert (y.shape, log_prob.shape) == ((5, 4, 3), (5, 4))
    close(distribution.log_prob(y.numpy(), context=context), log_prob, 1e-8)
    assert differ(distribution.log_prob(y, context=context + 1.0), log_prob)
    with pytest.raises(ValueError, match="`context`.*got None"):
        distribution.log_prob(y)


def test_mask_cycle_of_a_base_is_trained():
    base = tff.MixtureMADE(2, 2, num_masks=2, **SMALL)
    distribution = tff.FlowDistribution(base, tff.ActNorm(2, dtype="float64"))
    distribution.initialize(np.random.default_rng(0).normal(size=(5, 2)))
    for training in (True, False):
        distribution.log_prob(np.ones([5, 2]), training=training)
    assert int(base._ensemble._num_steps) == 1


def test_codes_are_integers_or_floating_point_numbers():
    case, made = CATEGORICAL["categorical"], built("categorical")
    x = case.points((5,))
    expected = made.log_prob(x)
    for dtype in (np.int32, np.int64, np.uint8):
        close(made.log_prob(x.astype(dtype)), expected)
        close(made.log_prob(tf.constant(x.astype(dtype))), expected)
    close(made.log_prob(x.astype(np.float32)), expected)
    imputed = made.impute(tf.constant(x, tf.int32), np.ones(4, bool), seed=0)
    np.testing.assert_array_equal(imputed, x)


@pytest.mark.parametrize("code", [-1.0, 0.5, 2.0, 4.0, np.inf, np.nan])
def test_other_codes_have_probability_zero(code):
    # The second variable has two values, others up to five.
    log_prob = built("categorical").log_prob([[1.0, code, 0.0, 4.0]])
    assert np.isnan(log_prob[0]) if np.isnan(code) else log_prob[0] == -np.inf


def test_what_is_no_bit_is_impossible():
    made = tff.BinaryMADE(2, hidden_units=(4,))
    log_prob = made.log_prob(np.array([[0.0, 1.0], [0.5, 1.0], [2.0, 0.0]], np.float32))
    np.testing.assert_allclose(log_prob, [-2.0 * np.log(2.0), -np.inf, -np.inf])


@pytest.mark.slow
def test_the_order_of_values_does_not_matter_to_the_network():
    """If the code were a number, a linear map could not single out the middle value."""
    rng = np.random.default_rng(0)
    first = rng.integers(3, size=2000)
    rows = np.stack([first, (first == 1) ^ (rng.random(2000) < 0.05)], axis=1)
    made = tff.CategoricalMADE([3, 2], hidden_units=(), direct=True, seed=0)
    model = tff.DensityEstimator(made)
    model.compile(keras.optimizers.Adam(0.05))
    model.fit(rows, epochs=15, batch_size=250, verbose=0)
    entropy = np.log(3) - 0.95 * np.log(0.95) - 0.05 * np.log(0.05)
    assert abs(float(-np.mean(made.log_prob(rows))) - entropy) < 0.03


def test_completions_have_the_frequencies_of_the_conditional():
    case, made = CATEGORICAL["categorical"], built("categorical")
    observed, given = np.array([False, True, False, True]), np.array([2.0, 1.0, 0.0, 3.0])
    count = 6000
    rows = np.where(observed, given, np.nan) * np.ones([count, 1])
    completed = made.impute(rows, observed, seed=3).numpy()
    points = case.all_points()
    conditional = np.exp(made.log_prob(points)) * (points == given)[:, observed].all(axis=1)
    frequencies = np.bincount(case.cells(completed), minlength=len(points)) / count
    assert np.abs(frequencies - conditional / conditional.sum()).max() < 0.02


def test_rows_may_have_missing_variables_of_their_own():
    made = built("categorical")
    x = np.array([[3.0, 1.0, 2.0, 4.0]]).repeat(400, axis=0)
    observed = np.arange(1600).reshape(400, 4) % 3 > 0
    completed = made.impute(x, observed, seed=0).numpy()
    np.testing.assert_array_equal(completed[observed], x[observed])
    assert differ(completed[~observed], x[~observed])
    same = made.impute(x, np.ones([400, 1], bool) * observed[0], num_candidates=8, seed=5)
    expected = made.impute(x, observed[0], num_candidates=8, seed=5)
    np.testing.assert_array_equal(same, expected)
    with pytest.raises(ValueError, match=r"`observed` of shape \[4\] or \[400, 4\]"):
        made.impute(x, observed[:5])


def test_every_mask_draws_for_every_context():
    options = {"num_masks": 4, "context_size": 1, **SMALL}
    made = randomize(tff.BinaryMADE(2, ordering=[1, 2], **options), stddev=1.0)
    points = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    contexts, count = np.arange(4.0)[:, None], 4000
    draws = made.sample(count, context=contexts, seed=1).numpy()
    expected = np.exp(made.log_prob(points[:, None], context=contexts))
    found = np.all(draws[:, None] == points[:, None], axis=-1).mean(axis=0)
    assert np.abs(found - expected).max() < 0.04
    rows = made.sample(context=np.tile(contexts, [count, 1]), seed=1).numpy()
    np.testing.assert_array_equal(rows.reshape(draws.shape), draws)


def shapes(answers):
    return [tuple(answer.shape) for answer in tf.nest.flatten(answers)]


MADE = {
    "binary of masks": lambda: tff.BinaryMADE(4, num_masks=3, **TINY),
    "binary of one ordering": lambda: tff.BinaryMADE(
        4, num_masks=2, ordering=[4, 3, 2, 1], **TINY
    ),
    "mixture": lambda: tff.MixtureMADE(4, 2, **TINY),
}


@pytest.mark.slow_ids("binary*")
@pytest.mark.parametrize("name", MADE)
def test_no_draws_no_rows_to_complete_and_none_in_a_graph(name):
    distribution = MADE[name]()
    assert shapes(distribution.sample(0, seed=1)) == [(0, 4)]
    drawn = distribution.sample_and_log_prob([2, 0, 3], seed=1)
    assert shapes(drawn) == [(2, 0, 3, 4), (2, 0, 3)]
    assert shapes(distribution.log_prob(np.zeros([2, 0, 4]))) == [(2, 0)]
    observed = np.array([False, True, False, True])
    assert shapes(distribution.impute(np.zeros([0, 4]), observed, seed=1)) == [(0, 4)]
    draw = tf.function(lambda count: distribution.sample(count, seed=1))
    assert shapes(draw(tf.constant(0))) == [(0, 4)]
    np.testing.assert_array_equal(draw(tf.constant(3)), distribution.sample(3, seed=1))
