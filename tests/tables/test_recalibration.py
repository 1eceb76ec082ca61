"""Recalibrated pools: their weights against the definition, and both signs of them."""

import numpy as np
import pytest
import tensorflow as tf
from random_weights import randomize

from tfp_flows.tables.distribution import TableDistribution
from tfp_flows.tables.number_maps import NumberSpec
from tfp_flows.tables.training import recalibrate

_COUNT, _MEMBERS = 40, 3


@pytest.fixture(autouse=True)
def _all_op_by_op(op_by_op):
    pass


@pytest.fixture(scope="module")
def rows():
    """An angle, a count and a number, of members that disagree."""
    numbers = [
        NumberSpec("circle", high=24.0),
        NumberSpec("softplus", high=2.0, is_integer=True),
        NumberSpec("line"),
    ]
    options = {"num_members": _MEMBERS, "num_bins": 4, "hidden_units": (8,)}
    made = TableDistribution([], numbers, **options, seed=0)
    randomize(made, stddev=0.3)
    return made


def test_weights_are_those_of_the_variance_of_what_is_left_out(rows):
    rng = np.random.default_rng(0)
    columns = (rng.uniform(0, 24, _COUNT), rng.poisson(3, _COUNT), rng.normal(size=_COUNT))
    x = np.stack(columns, axis=1)
    left_out = np.arange(_COUNT)[:, None] % _MEMBERS == np.arange(_MEMBERS)
    recalibrate(rows, x, None, left_out)
    found = rows.parameters["recalibration"]
    assert found[0] == 0.0  # of the circle
    features = rows.features_of_context(tf.constant(x), None)
    each, _ = rows.evaluate_numbers(tf.constant(x), features)
    below, up_to = (np.asarray(t, np.float64)[..., 1:] for t in (each.below, each.up_to))
    # Distribution functions of 2,001 points of each bin, in place of a formula.
    share = np.linspace(0.0, 1.0, 2_001)[:, None, None, None]
    u = below + share * (up_to - below)
    squares = ((u - 0.5) ** 2).mean(axis=0)[left_out].mean(axis=0)
    spread = u.var(axis=2).mean(axis=(0, 1))
    measured = 30.0 * (1.0 / 12.0 - squares + spread)
    prior, precision = 0.3 * (1.0 - 1.0 / _MEMBERS), _COUNT / 5.0 * 0.1**2
    expected = (prior + precision * measured) / (1.0 + precision)
    np.testing.assert_allclose(found[1:], expected, rtol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("weight", [-0.8, 0.8])
def test_what_is_drawn_has_the_density(rows, weight):
    rows.recalibrate([0.0, weight, weight])
    drawn = rows.sample(3000, seed=1).numpy()
    # Given what came before, the last number's own distribution function is uniform.
    features = rows.features_of_context(tf.constant(drawn), None)
    each, _ = rows.evaluate_numbers(tf.constant(drawn), features)
    p = np.asarray(each.up_to, np.float64)[..., 2].mean(axis=1)
    u = np.sort((1.0 - weight) * p + weight * p**2 * (3.0 - 2.0 * p))
    level = (np.arange(3000) + 0.5) / 3000
    assert np.abs(u - level).max() < 1.63 / np.sqrt(3000)  # Kolmogorov, one in a hundred
    assert np.abs(np.sort(p) - level).max() > 1.63 / np.sqrt(3000)
    # However far out, no density is less than a share of the mean's.
    far = drawn[:20] + [0.0, 40.0, 1e3]
    recalibrated = rows.log_prob(far).numpy()
    rows.recalibrate([0.0, 0.0, 0.0])
    least = 2.0 * np.log1p(-weight)
    np.testing.assert_allclose(recalibrated - rows.log_prob(far).numpy(), least, rtol=1e-3)
