"""What a share of a broad Gaussian bounds, and what it costs."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from random_weights import randomize
from subject import close

import tfp_flows as tff
from tfp_flows.distributions.log_add_exp import log_add_exp

pytestmark = pytest.mark.usefixtures("all_op_by_op")

SHARE = 0.01


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    return (rng.normal(size=(300, 2)) @ [[1.0, 2.0], [0.0, 3.0]] + [5.0, 0.0]).astype("f")


@pytest.fixture(scope="module")
def mixture(rows):
    maf = tff.MAF(2, num_steps=2, hidden_units=(8,), heavy_tails=False, seed=0)
    flow = randomize(maf)
    mixture = tff.Defensive(tff.FlowDistribution(tff.standard_normal(2), flow), SHARE)
    mixture.initialize(rows)
    return mixture


def test_density_is_the_weighted_sum(mixture, rows):
    flow = mixture.distribution.prob(rows)
    gaussian = mixture.gaussian.prob(rows)
    expected = (1.0 - SHARE) * flow + SHARE * gaussian
    close(tf.exp(mixture.log_prob(rows)), expected, 1e-5)


def test_gaussian_is_that_of_the_rows(mixture, rows):
    close(mixture.gaussian.mean(), rows.mean(axis=0), 1e-4)
    covariance = np.cov(rows.T, bias=True)
    close(mixture.gaussian.covariance(), covariance * (1.0 + 1e-4 * np.eye(2)), 1e-3)


@pytest.mark.parametrize("far", [1e2, 1e4, 1e6])
def test_no_row_is_further_below_the_gaussian_than_the_share_allows(mixture, far):
    x = np.float32(far) * np.array([[1.0, 0.0], [0.0, -1.0], [-1.0, 1.0]], np.float32)
    gaussian = mixture.gaussian.log_prob(x).numpy()
    rounding = 1e-6 * np.abs(gaussian)
    assert (mixture.log_prob(x) - gaussian >= math.log(SHARE) - rounding).numpy().all()


def test_draws_have_the_share(mixture):
    x = mixture.sample(20_000, seed=1)
    np.testing.assert_array_equal(x, mixture.sample(20_000, seed=1))
    y, log_prob = mixture.sample_and_log_prob(5, seed=2)
    close(log_prob, mixture.log_prob(y), 1e-5)
    # The share is the weighted mean of the parts' shares, within four standard errors.
    is_near = tf.reduce_mean(tf.cast(tf.norm(x, axis=-1) < 8.0, tf.float32))
    parts = mixture.distribution.sample(20_000, seed=3), mixture.gaussian.sample(20_000)
    shares = [np.mean(np.linalg.norm(part, axis=-1) < 8.0) for part in parts]
    expected = (1.0 - SHARE) * shares[0] + SHARE * shares[1]
    assert abs(float(is_near) - expected) < 4.0 * math.sqrt(0.5 / 20_000)


@pytest.mark.filterwarnings("ignore:Columns")
def test_constant_columns_and_few_rows_keep_it_finite():
    ones = np.ones([2, 3], np.float32)
    flow = tff.FlowDistribution(tff.standard_normal(3), tff.MAF(3, standardize=False))
    mixture = tff.Defensive(flow)
    mixture.initialize(ones)
    assert np.isfinite(mixture.log_prob(ones)).all()


def test_outliers_do_not_drive_its_training(mixture):
    far = np.array([[0.0, -100.0]], np.float32)  # which the Gaussian explains better
    with tf.GradientTape() as tape:
        log_prob = mixture.log_prob(far)
    assert log_prob > mixture.distribution.log_prob(far) + 100.0
    gradients = tape.gradient(log_prob, mixture.trainable_variables)
    assert max(np.abs(g).max() for g in gradients) < 1e-3


def test_it_trains_conditionally_and_loads(rows, tmp_path):
    context = rows[:, :1]
    flow = tff.MAF(2, num_steps=1, hidden_units=(8,), context_size=1, seed=0)
    base = tff.standard_normal(2)
    model = tff.DensityEstimator(tff.Defensive(tff.FlowDistribution(base, flow)))
    model.compile(keras.optimizers.Adam(1e-2), jit_compile=False)
    quick = {"epochs": 3, "batch_size": 256, "verbose": 0}
    losses = model.fit((rows, context), **quick).history["loss"]
    assert losses[-1] < losses[0]
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras").distribution
    expected = model.distribution.log_prob(rows, context=context)
    np.testing.assert_array_equal(loaded.log_prob(rows, context=context), expected)
    assert loaded.sample(4, seed=0, context=context[:5]).shape == [4, 5, 2]


def test_events_that_are_no_vectors_are_refused():
    squeeze = tff.MultiScale([tff.Squeeze((2, 2, 1))], (2, 2, 1))
    with pytest.raises(ValueError, match="vectors of a known size"):
        tff.Defensive(tff.FlowDistribution(tff.standard_normal(4), squeeze))


def test_densities_of_zero_add_to_zero_with_a_gradient():
    a = tf.Variable([-np.inf, 0.0, -np.inf])
    with tf.GradientTape() as tape:
        total = log_add_exp(a, tf.constant([-np.inf, 0.0, -1.0]))
    close(tf.exp(total), [0.0, 2.0, np.exp(-1.0)], 1e-5)
    assert np.isfinite(tape.gradient(total, a)).all()


def test_infinite_rows_have_no_density_and_nan_is_nan(mixture):
    rows = np.float32([[np.inf, 0.0], [0.0, -np.inf], [np.inf, -np.inf], [np.nan, np.inf]])
    np.testing.assert_array_equal(mixture.log_prob(rows), [-np.inf] * 3 + [np.nan])
