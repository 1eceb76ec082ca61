"""Numbers of data, or their logarithms."""

import numpy as np
import pytest

from tfp_flows.inference.amortized.data_form import DataForm
from tfp_flows.inference.amortized.features import Scale, fit_features
from tfp_flows.inference.amortized.pairs import Pairs


def features_of(x, theta, summary=None):
    return fit_features(
        summary,
        DataForm.from_batch(x, is_missing_allowed=True),
        Pairs(theta, x),
        simulations=Pairs(theta, x),
        exchangeable=None,
        seed=0,
        max_minutes=None,
        verbose=0,
    )


def simulated(count, noise):
    rng = np.random.default_rng(0)
    theta = rng.normal(size=(count, 2))
    return theta, theta @ [[1.0, 1.0, 2.0], [1.0, -1.0, 0.0]] + noise * rng.normal(
        size=(count, 3)
    )


@pytest.mark.parametrize("count", [100, 6_000])
def test_positive_numbers_with_relative_errors_are_taken_by_logarithms(count):
    theta, x = simulated(count, 0.1)
    x = np.exp(2.0 * x)
    x[:, 2] -= 1.0  # some are negative
    features = features_of(x, theta)
    np.testing.assert_array_equal(features.scale.shift, [0.0, 0.0, np.nan])
    slopes, left, *_ = np.linalg.lstsq(features(x)[:, :2], theta, rcond=None)
    assert left.mean() / count < 0.05


def test_positive_numbers_with_equal_errors_stay_as_they_are():
    theta, x = simulated(2_000, 0.1)
    assert np.isnan(features_of(x + 20.0, theta).scale.shift).all()


@pytest.mark.parametrize("share_missing", [0.0, 0.3])
def test_moments_of_missing_numbers_are_seen_if_they_explain_the_parameters(share_missing):
    rng = np.random.default_rng(0)
    theta = rng.normal(size=(2_000, 2))
    noise = rng.normal(size=(2_000, 8))
    x = theta[:, :1] + np.exp(theta[:, 1:]) * noise
    x = np.where(rng.random(noise.shape) < share_missing, np.nan, x)
    summary = features_of(x, theta).summary
    assert (summary is not None) == (share_missing > 0.0)
    about_noise = features_of(np.where(np.isnan(x), x, noise), theta)
    assert about_noise.summary is None  # moments explain nothing


def test_counts_may_be_zero():
    theta, x = simulated(2_000, 0.1)
    x = np.random.default_rng(1).poisson(np.exp(x)).astype(np.float64)
    features = features_of(x, theta)
    np.testing.assert_array_equal(features.scale.shift, 1.0)
    assert np.isfinite(features(np.zeros(3))).all()


def test_sets_of_equal_counts_leave_the_scale_of_other_deviations():
    rng = np.random.default_rng(0)
    rate = rng.lognormal(1.0, 1.0, size=2_000)
    x = rng.poisson(rate[:, None], size=(2_000, 8)).astype(np.float64)
    x[::4] = 0.0
    deviations = features_of(x, rate[:, None], "set")(x)[:, -1]
    is_equal = np.ptp(x, axis=1) == 0.0
    assert deviations[is_equal].max() < deviations[~is_equal].min()
    assert np.abs(deviations).max() < 7.0
    assert deviations[~is_equal].std() > 0.3


def test_missing_cells_and_numbers_below_zero_have_features():
    theta, x = simulated(2_000, 0.1)
    x = np.exp(2.0 * x)
    x[::7, 0] = np.nan
    features = features_of(x, theta)
    np.testing.assert_array_equal(features.scale.shift[:3], 0.0)
    zero, negative, least = features(np.array([[0.0], [-5.0], [1e-3]]) * np.ones(3))[:, :3]
    np.testing.assert_array_equal(zero, negative)
    assert np.isfinite(zero).all()
    assert (zero < least).all()
    assert features(x[0])[0] == 0.0  # a missing cell


def test_a_scale_of_an_earlier_file_has_no_logarithms():
    scale = Scale(np.zeros(2), np.ones(2), np.zeros(2, bool))
    np.testing.assert_array_equal(scale.compressed(np.array([[1.0, -1.0]])), [[1.0, -1.0]])
