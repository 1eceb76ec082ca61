"""Flows with their defaults, on a real table: better than a Gaussian, on every row."""

import keras
import numpy as np
import pytest
import tensorflow_probability as tfp
from sklearn import datasets

import tfp_flows as tff

FLOWS = {
    "real_nvp": tff.RealNVP,
    "maf": tff.MAF,
    "made": tff.MADE,
    "nice": tff.NICE,
    "iaf": lambda size, **options: tff.IAF(size, standardize=True, **options),
    "spline": tff.NeuralSplineFlow,
    "spline_coupling": lambda size, **options: tff.NeuralSplineFlow(
        size, coupling=True, **options
    ),
}


def rows_of(name, split):
    """Returns training and test rows of one of scikit-learn's tables."""
    rows = getattr(datasets, f"load_{name}")().data
    rows = rows[np.random.default_rng(split).permutation(len(rows))]
    count = len(rows) // 5
    return rows[count:], rows[:count]


def gaussian(rows):
    covariance = np.cov(rows, rowvar=False, bias=True)
    return tfp.distributions.MultivariateNormalTriL(
        rows.mean(axis=0), np.linalg.cholesky(covariance)
    )


def gap_to_gaussian(flow, training, test):
    """By a flow with its defaults and early stopping."""
    flow = flow(training.shape[1], seed=0)
    dist = tff.FlowDistribution(tff.standard_normal(training.shape[1]), flow)
    model = tff.DensityEstimator(dist)
    model.compile(keras.optimizers.Adam(1e-3))
    keras.utils.set_random_seed(0)
    stop = keras.callbacks.EarlyStopping(patience=10, restore_best_weights=True)
    given = {"validation_split": 0.1, "callbacks": [stop], "verbose": 0}
    model.fit(training, epochs=100, batch_size=64, **given)
    return dist.log_prob(test).numpy() - gaussian(training).log_prob(test)


@pytest.mark.slow
@pytest.mark.parametrize("table", ["breast_cancer", "diabetes"])
@pytest.mark.parametrize("name", FLOWS)
def test_no_row_lies_far_below_its_gaussian_density(name, table):
    training, test = rows_of(table, split=0)
    gap = gap_to_gaussian(FLOWS[name], training, test)
    assert np.mean(gap) > 0.0
    assert np.min(gap) > -20.0


@pytest.mark.slow
def test_a_table_of_one_distribution_is_not_overfitted():
    """Where the Gaussian is the truth, a flow loses little to it."""
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(10, 10))
    training, test = (rng.normal(size=(n, 10)) @ mixing for n in (300, 1000))
    gap = gap_to_gaussian(tff.RealNVP, training, test)
    assert np.mean(gap) > -0.3
    assert np.min(gap) > -10.0
