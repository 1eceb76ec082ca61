"""`Standardize` and `Whiten`: statistics, warnings and refusals."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp
from subject import close

import tfp_flows as tff

pytestmark = pytest.mark.usefixtures("all_op_by_op")

ROWS = (np.random.default_rng(0).normal(size=(400, 3)) * [1, 5, 0.1] + [0, 20, -3]).astype(
    np.float32
)
MEAN, FACTOR = [3.0, -1.0], [[2.0, 0.0], [-1.0, 0.5]]


def test_standardize_has_the_statistics_of_the_data():
    standardize = tff.Standardize(3)
    standardize.initialize(ROWS)
    z, log_det = standardize.inverse_and_log_det(ROWS)
    mean, scale = ROWS.mean(axis=0, dtype=np.float64), ROWS.std(axis=0, dtype=np.float64)
    close(z, (ROWS - mean) / scale, 1e-4)
    close(log_det, np.full(400, -np.log(scale).sum()), 1e-5)
    assert not standardize.trainable_variables


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("constant", [0.1, 1e9 / 3.0, 7])
def test_constant_columns_keep_a_scale_of_one_with_a_warning(constant, dtype):
    data = np.stack([ROWS[:, 0], np.full(400, constant)], axis=-1).astype(dtype)
    weight = np.random.default_rng(0).uniform(size=400)
    for options in ({}, {"sample_weight": weight}):
        standardize = tff.Standardize(2, dtype=dtype)
        with pytest.warns(UserWarning, match=r"Columns \[1\].*constant"):
            standardize.initialize(data, **options)
        z, log_det = standardize.inverse_and_log_det(data)
        np.testing.assert_allclose(z[:, 1], 0.0, atol=1e-6)
        assert np.abs(log_det).max() < 1.0  # a scale of 1e-15 would have 34


def test_booleans_are_numbers():
    standardize = tff.Standardize(2)
    standardize.initialize(ROWS[:, :2] > 0.0)
    assert np.isfinite(standardize.inverse_and_log_det(ROWS[:, :2])[0]).all()


def on_normal(bijector, size):
    return tff.FlowDistribution(tff.standard_normal(size, dtype=tf.float64), bijector)


def test_whitened_is_the_normal_of_mean_and_covariance_whatever_the_data():
    whiten = tff.bijectors.Whiten(2, dtype=tf.float64)
    x = np.random.default_rng(0).normal(size=(5, 2))
    whiten.initialize(10.0 * x)
    np.testing.assert_array_equal(whiten.forward(x), x)
    whiten.assign(MEAN, FACTOR)
    assert not whiten.trainable_variables
    oracle = tfp.distributions.MultivariateNormalTriL(np.array(MEAN), np.array(FACTOR))
    close(on_normal(whiten, 2).log_prob(x), oracle.log_prob(x))


def gaussian(rows):
    factor = np.linalg.cholesky(np.cov(rows, rowvar=False, bias=True))
    return tfp.distributions.MultivariateNormalTriL(rows.mean(axis=0), factor)


def correlated(count, size=3, seed=0):
    rng = np.random.default_rng(seed)
    return 5.0 + rng.normal(size=(count, size)) @ (np.eye(size) + rng.normal(size=size))


def test_decorrelate_makes_the_gaussian_of_the_rows_of_a_standard_normal():
    rows = correlated(400)
    decorrelate = tff.Decorrelate(3, dtype=tf.float64)
    assert not decorrelate.trainable_variables
    for given in (rows, 2.0 * rows):  # set once only
        decorrelate.initialize(given)
        found = on_normal(decorrelate, 3).log_prob(rows)
        close(found, gaussian(rows).log_prob(rows), 1e-5)


@pytest.mark.parametrize("rows", ["few", "collinear", "constant", "one"])
@pytest.mark.filterwarnings("ignore:Columns")
def test_rows_without_a_covariance_do_no_harm(rows):
    full = correlated(300, 6).astype(np.float32)
    sums, sevens = full[:, :1] + full[:, 1:2], np.full([300, 1], 7.0, np.float32)
    given = {
        "few": full[:5],
        "collinear": np.concatenate([full, sums], axis=1),
        "constant": np.concatenate([full, sevens], axis=1),
        "one": full[:1],
    }[rows]
    decorrelate = tff.Decorrelate(given.shape[1])
    decorrelate.initialize(given)
    z, log_det = decorrelate.inverse_and_log_det(given)
    assert np.isfinite(log_det).all()
    assert np.abs(z).max() < 50.0
    x = np.random.default_rng(0).normal(size=(20, given.shape[1])).astype(np.float32)
    close(decorrelate.inverse(decorrelate.forward(x)), x, 5e-2)


def regression(count, num_contexts=3, seed=0):
    """Rows that depend linearly on contexts, with correlated residuals."""
    rng = np.random.default_rng(seed)
    context = rng.normal(size=(count, num_contexts)) * 5.0 + 2.0
    fixed = np.random.default_rng(9)
    slopes, mixing = fixed.normal(size=(2, 3, 3))
    noise = rng.normal(size=(count, 3)) @ mixing
    return context[:, :3] @ slopes + noise + 5.0, context


def least_squares(rows, context):
    """Log-densities of rows under the linear regression with Gaussian residuals."""
    features = np.concatenate([context, np.ones([len(context), 1])], axis=1)
    residuals = rows - features @ np.linalg.lstsq(features, rows, rcond=None)[0]
    covariance = residuals.T @ residuals / len(rows)
    return scipy.stats.multivariate_normal(np.zeros(3), covariance).logpdf(residuals)


def test_with_a_context_it_makes_the_linear_regression():
    rows, context = regression(2_000)
    decorrelate = tff.Decorrelate(3, context_size=3, dtype=tf.float64)
    decorrelate.initialize(rows, context=context)
    found = on_normal(decorrelate, 3).log_prob(rows, context=context)
    close(found, least_squares(rows, context), 2e-2)
    twice = tff.Decorrelate(3, context_size=3, dtype=tf.float64)
    index = np.repeat(np.arange(2_000), 2)
    weight = np.full(4_000, 0.5)
    twice.initialize(rows[index], context=context[index], sample_weight=weight)
    close(
        twice.inverse(rows, context=context),
        decorrelate.inverse(rows, context=context),
        5e-3,
    )
    # Outliers of contexts are clipped.
    far = decorrelate.inverse(rows[:1], context=np.full([1, 3], 1e30))
    assert np.abs(far).max() < 1e4


def test_slopes_of_many_contexts_and_few_rows_are_shrunk():
    rows, context = regression(60, num_contexts=40)
    others, their_context = regression(2_000, num_contexts=40, seed=3)
    decorrelate = tff.Decorrelate(3, context_size=40, dtype=tf.float64)
    decorrelate.initialize(rows, context=context)
    own = np.mean(on_normal(decorrelate, 3).log_prob(others, context=their_context))
    assert own > np.mean(gaussian(others).log_prob(others))
    noise = np.random.default_rng(5).normal(size=(60, 40))
    decorrelate = tff.Decorrelate(3, context_size=40, dtype=tf.float64)
    decorrelate.initialize(rows, context=noise)
    assert np.abs(decorrelate._slopes).max() < 0.2 * np.std(rows)


def test_inverted_it_standardises_given_the_context_too():
    rows, context = regression(500)
    inverted = tff.Invert(tff.Decorrelate(3, context_size=3, dtype=tf.float64))
    inverted.initialize(rows, context=context)
    z = inverted.inverse(rows, context=context)
    close(np.mean(z, axis=0), np.zeros(3), 1e-6)
    close(np.cov(z, rowvar=False, bias=True), np.eye(3), 2e-2)


def test_few_rows_shrink_correlations_and_many_do_not():
    many = correlated(4000, 30, seed=1)
    gains = []
    for rows in (many[:60], many):
        decorrelate = tff.Decorrelate(30, dtype=tf.float64)
        decorrelate.initialize(rows)
        gain = on_normal(decorrelate, 30).log_prob(many) - gaussian(rows).log_prob(many)
        gains.append(np.mean(gain))
    assert gains[0] > 1.0
    assert gains[1] == pytest.approx(0.0, abs=1e-3)


@pytest.mark.parametrize("constructor", [tff.Standardize, tff.Decorrelate])
def test_rows_at_the_end_of_floats_cost_their_distance_and_stay_within(constructor):
    bijector = constructor(3)
    bijector.initialize(ROWS)
    far = np.full([3, 3], [0.0, 20.0, -3.0], np.float32)
    far[1:, 2] = 1e34, 1e37  # beyond 1e34 deviations of 0.1
    z, log_det = bijector.inverse_and_log_det(far)
    assert np.abs(z).max() < 1e32
    np.testing.assert_allclose(z[1], z[2], rtol=1e-5)
    assert float(log_det[1] - log_det[2]) == pytest.approx(np.log(1e3), rel=1e-4)
    exact = constructor(3, dtype="float64")
    exact.initialize(ROWS)
    np.testing.assert_allclose(log_det[0], exact.inverse_and_log_det(far)[1][0], rtol=1e-5)


def test_latents_given_a_context_have_the_weighted_mean_zero():
    rng = np.random.default_rng(0)
    context, weight = rng.normal(size=(60, 20)), rng.choice([0.2, 5.0], 60)
    rows = context[:, :2] + rng.normal(size=(60, 2))
    decorrelate = tff.bijectors.Decorrelate(2, context_size=20)
    decorrelate.initialize(rows, context=context, sample_weight=weight)
    z = decorrelate.inverse(rows.astype("f"), context=context.astype("f"))
    close(np.average(z, axis=0, weights=weight), np.zeros(2), 0.05)
