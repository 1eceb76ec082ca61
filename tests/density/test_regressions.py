"""Mixtures of linear regressions."""

import numpy as np
import pytest
from scipy import stats

import tfp_flows
from tfp_flows.density.baselines import fit_gaussian
from tfp_flows.density.data import Data
from tfp_flows.density.regressions import fit_regressions
from tfp_flows.training.density_estimator import DensityEstimator

SLOPES = np.array([[1.0, 0.0], [0.5, 1.0], [0.0, -2.0]])


def drawn(errors, seed=0):
    """Rows in other units, given contexts in other units, with errors of unit scale."""
    context = np.random.default_rng(seed).normal(size=(len(errors), 3))
    y = (context @ SLOPES + errors) * [1.0, 1e3] + [50.0, 0.0]
    return Data(y, 5.0 + context * [1.0, 10.0, 0.1])


def scores(fitted, data):
    return fitted.log_prob(data.x, context=data.context).numpy()


def errors_of_two_sizes(count, seed):
    """Errors of which a tenth is ten times as large, and their log-densities."""
    rng = np.random.default_rng(seed)
    errors = rng.normal(size=(count, 2))
    errors[rng.uniform(size=count) < 0.1] *= 10.0
    log_probs = [stats.norm(scale=s).logpdf(errors).sum(axis=1) for s in (1.0, 10.0)]
    return errors, np.logaddexp(np.log(0.9) + log_probs[0], np.log(0.1) + log_probs[1])


def test_errors_of_two_sizes_are_near_to_the_truth():
    train = drawn(errors_of_two_sizes(500, 1)[0])
    errors, log_prob = errors_of_two_sizes(4_000, 2)
    test = drawn(errors, 3)
    fitted = scores(fit_regressions(train, "float64", 0), test).mean()
    one = scores(fit_gaussian(train, "float64"), test).mean()
    truth = (log_prob - np.log(1e3)).mean()
    assert truth - fitted < 0.06 < 0.5 < truth - one


def test_errors_about_two_lines_are_found():
    rng = np.random.default_rng(0)
    about = np.where(rng.uniform(size=(600, 1)) < 0.3, [2.0, -2.0], [-2.0, 2.0])
    train = drawn(about + 0.2 * rng.normal(size=(600, 2)))
    fitted = fit_regressions(train, "float64", 0)
    gain = scores(fitted, train) - scores(fit_gaussian(train, "float64"), train)
    assert gain.mean() > 1.0
    y = fitted.sample(4_000, seed=1, context=np.full([1, 3], 5.0)).numpy()[:, 0]
    # At the mean of the contexts, a share of 0.3 is at 2, the rest at -2.
    assert np.mean(y[:, 0] > 50.0) == pytest.approx(0.3, abs=0.07)
    assert np.abs(np.abs(y[:, 0] - 50.0) - 2.0).mean() < 0.3


def test_gaussian_errors_lose_little_by_the_choice():
    rng = np.random.default_rng(0)
    train, test = (drawn(rng.normal(size=(n, 2)), n) for n in (300, 4_000))
    lost = scores(fit_gaussian(train, "float64"), test)
    lost = lost - scores(fit_regressions(train, "float64", 0), test)
    assert lost.mean() < 0.02


@pytest.mark.parametrize("count", [20, 60])
def test_few_rows_have_one_regression(count):
    data = drawn(np.random.default_rng(0).normal(size=(count, 2)))
    fitted = fit_regressions(data, "float32", 0)
    assert scores(fitted, data) == pytest.approx(
        scores(fit_gaussian(data, "float32"), data)
    )


def test_repeated_and_collinear_rows_do_not_collapse():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 3, size=(400, 1)).astype(np.float64)
    data = Data(np.concatenate([x, 2.0 * x], axis=1), rng.normal(size=(400, 2)))
    assert np.isfinite(scores(fit_regressions(data, "float64", 0), data)).all()


def test_files_keep_the_mixture(tmp_path):
    data = drawn(errors_of_two_sizes(500, 1)[0])
    fitted = fit_regressions(data, "float64", 0)
    assert len(fitted.components) > 1
    DensityEstimator(fitted).save(tmp_path / "mixture.keras")
    again = tfp_flows.load(tmp_path / "mixture.keras").distribution
    assert scores(again, data) == pytest.approx(scores(fitted, data))
