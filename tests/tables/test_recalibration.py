"""Recalibrated pools: their weights against the definition, and both signs of them."""

import numpy as np
import pytest
import tensorflow as tf
from random_weights import randomize

import tfp_flows as tff
from tfp_flows.tables.recalibration import recalibrate

_COUNT, _MEMBERS = 40, 3


@pytest.fixture(scope="module", autouse=True)
def _all_op_by_op():
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture(scope="module")
def fitted():
    """A density of three numbers, whose members disagree, and its rows."""
    rng = np.random.default_rng(0)
    frame = {
        "angle": rng.uniform(0.0, 24.0, _COUNT),
        "count": rng.poisson(3.0, _COUNT),
        "size": rng.normal(size=_COUNT),
    }
    columns = tff.describe_columns(frame)
    columns.change("angle", kind="periodic", low=0, high=24)
    columns.change("count", kind="integer", low=0)
    table = tff.TableDensity(
        columns, num_members=_MEMBERS, num_bins=4, hidden_units=(8,), seed=0
    )
    table.fit(frame, epochs=1, validation_frame=frame, batch_size=_COUNT)
    randomize(table.distribution, stddev=0.3)
    return table, frame


def test_weights_are_those_of_the_variance_of_what_is_left_out(fitted):
    table, frame = fitted
    rows = table.distribution
    x, _ = table.encode(frame)
    left_out = np.arange(_COUNT)[:, None] % _MEMBERS == np.arange(_MEMBERS)
    recalibrate(rows, x, None, left_out)
    found = rows.parameters["recalibration"]
    assert found[0] == 0.0  # of the circle
    features = rows.features_of_context(tf.constant(x), None)
    each, _ = rows.numbers.evaluate(tf.constant(x), features)
    below, up_to = (np.asarray(t, np.float64)[..., 1:] for t in (each.below, each.up_to))
    # Distribution functions of 20,001 points of each bin, in place of a formula.
    share = np.linspace(0.0, 1.0, 20_001)[:, None, None, None]
    u = below + share * (up_to - below)
    squares = ((u - 0.5) ** 2).mean(axis=0)[left_out].mean(axis=0)
    spread = u.var(axis=2).mean(axis=(0, 1))
    measured = 30.0 * (1.0 / 12.0 - squares + spread)
    prior, precision = 0.3 * (1.0 - 1.0 / _MEMBERS), _COUNT / 5.0 * 0.1**2
    expected = (prior + precision * measured) / (1.0 + precision)
    np.testing.assert_allclose(found[1:], expected, rtol=1e-3)


@pytest.mark.parametrize("weight", [-0.8, 0.8])
def test_what_is_drawn_has_the_density(fitted, weight):
    rows = fitted[0].distribution
    rows.recalibrate([0.0, weight, weight])
    drawn = rows.sample(3000, seed=1).numpy()
    # Given what came before, the last number's own distribution function is uniform.
    features = rows.features_of_context(tf.constant(drawn), None)
    each, _ = rows.numbers.evaluate(tf.constant(drawn), features)
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
