"""`Standardize` and `Whiten`: statistics, warnings and refusals."""

import warnings

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from subject import close

import tfp_flows as tff

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


def test_constant_columns_keep_their_scale_with_a_warning():
    standardize = tff.Standardize(2)
    data = np.stack([ROWS[:, 0], np.full(400, 0.1)], axis=-1).astype(np.float32)
    with pytest.warns(UserWarning, match=r"Columns \[1\].*constant"):
        standardize.initialize(data)
    z = standardize.inverse_and_log_det(data)[0].numpy()
    np.testing.assert_allclose(z[:, 1], 0.0, atol=1e-6)


def test_standard_normal_becomes_the_normal_of_mean_and_covariance():
    whiten = tff.bijectors.Whiten(2, dtype=tf.float64)
    whiten.assign(MEAN, FACTOR)
    assert not whiten.trainable_variables
    flow = tff.FlowDistribution(tff.standard_normal(2, dtype=tf.float64), whiten)
    mean, factor = (np.array(value, np.float64) for value in (MEAN, FACTOR))
    oracle = tfp.distributions.MultivariateNormalTriL(mean, factor)
    x = np.random.default_rng(0).normal(size=(5, 2))
    close(flow.log_prob(x), oracle.log_prob(x))


def test_is_the_identity_until_assigned_and_no_data_change_it():
    whiten = tff.bijectors.Whiten(2)
    x = np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)
    whiten.initialize(10.0 * x)
    np.testing.assert_array_equal(whiten.forward(x), x)


@pytest.mark.parametrize(
    ("mean", "factor", "message"),
    [
        ([1.0], FACTOR, r"`mean` of shape \[2\]; got \[1\.\]"),
        ([1.0, np.nan], FACTOR, "finite `mean`"),
        (MEAN, np.eye(3), r"`factor` of shape \[2, 2\]"),
        (MEAN, [[1.0, 0.5], [0.0, 1.0]], "lower triangular"),
        (MEAN, [[1.0, 0.0], [0.0, 0.0]], "positive diagonal"),
        (MEAN, [[1.0, 0.0], [np.inf, 1.0]], "finite `factor`"),
    ],
)
def test_refusals(mean, factor, message):
    with pytest.raises(ValueError, match=message):
        tff.bijectors.Whiten(2).assign(mean, factor)


def correlated(count, size=3, seed=0):
    rng = np.random.default_rng(seed)
    return 5.0 + rng.normal(size=(count, size)) @ (np.eye(size) + rng.normal(size=size))


def test_decorrelate_makes_the_gaussian_of_the_rows_of_a_standard_normal():
    rows = correlated(400)
    decorrelate = tff.Decorrelate(3, dtype=tf.float64)
    assert not decorrelate.trainable_variables
    decorrelate.initialize(rows)
    flow = tff.FlowDistribution(tff.standard_normal(3, dtype=tf.float64), decorrelate)
    covariance = np.cov(rows, rowvar=False, bias=True)
    oracle = tfp.distributions.MultivariateNormalFullCovariance(rows.mean(0), covariance)
    close(flow.log_prob(rows), oracle.log_prob(rows), 1e-5)
    decorrelate.initialize(2.0 * rows)  # once only
    close(flow.log_prob(rows), oracle.log_prob(rows), 1e-5)


def test_decorrelate_can_be_set_at_its_latent_end():
    rows = correlated(400).astype(np.float32)
    inverted = tff.Invert(tff.Decorrelate(3))
    inverted.initialize(rows)
    z = inverted.inverse(rows).numpy()
    np.testing.assert_allclose(np.cov(z, rowvar=False, bias=True), np.eye(3), atol=1e-3)


@pytest.mark.parametrize("rows", ["few", "collinear", "constant", "one"])
def test_rows_without_a_covariance_do_no_harm(rows):
    rng = np.random.default_rng(0)
    full = correlated(300, 6).astype(np.float32)
    given = {
        "few": full[:5],
        "collinear": np.concatenate([full, full[:, :1] + full[:, 1:2]], axis=1),
        "constant": np.concatenate([full, np.full([300, 1], 7.0, np.float32)], axis=1),
        "one": full[:1],
    }[rows]
    decorrelate = tff.Decorrelate(given.shape[1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        decorrelate.initialize(given)
    z, log_det = decorrelate.inverse_and_log_det(given)
    assert np.isfinite(z).all()
    assert np.isfinite(log_det).all()
    assert np.abs(z).max() < 50.0
    x = rng.normal(size=(20, given.shape[1])).astype(np.float32)
    close(decorrelate.inverse(decorrelate.forward(x)), x, 5e-2)


def test_few_rows_shrink_correlations_and_many_do_not():
    truth, few = correlated(4000, 30, seed=1), correlated(4000, 30, seed=1)[:60]
    held_out = {}
    for name, rows in {"few": few, "many": truth}.items():
        flow = tff.Decorrelate(30, dtype=tf.float64)
        flow.initialize(rows)
        density = tff.FlowDistribution(tff.standard_normal(30, dtype=tf.float64), flow)
        held_out[name] = float(tf.reduce_mean(density.log_prob(truth)))
        covariance = np.cov(rows, rowvar=False, bias=True)
        plain = tfp.distributions.MultivariateNormalTriL(
            rows.mean(0), np.linalg.cholesky(covariance)
        )
        held_out[f"plain {name}"] = float(tf.reduce_mean(plain.log_prob(truth)))
    assert held_out["few"] > held_out["plain few"] + 1.0
    assert held_out["many"] == pytest.approx(held_out["plain many"], abs=1e-3)


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
