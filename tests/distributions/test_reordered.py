"""Distributions whose variables stand in another order."""

import copy

import numpy as np
import pytest
import tensorflow as tf
from refusals import all_refused
from tensorflow_probability import distributions as tfd

import tfp_flows as tff
from tfp_flows.distributions import Reordered

ORDER = [2, 0, 1]


def test_variables_change_their_places():
    normal = tfd.MultivariateNormalDiag([1.0, 2.0, 3.0], [0.1, 0.2, 0.3])
    reordered = Reordered(normal, ORDER)
    rows, log_prob = reordered.sample_and_log_prob([4_000], seed=0)
    np.testing.assert_allclose(rows.numpy().mean(0), [2.0, 3.0, 1.0], atol=0.02)
    np.testing.assert_allclose(rows.numpy().std(0), [0.2, 0.3, 0.1], atol=0.02)
    np.testing.assert_allclose(log_prob, normal.log_prob(rows.numpy()[:, ORDER]))


@pytest.mark.usefixtures("op_by_op")
def test_it_trains_and_copies_with_a_context():
    flow = tff.MAF(3, context_size=2, num_steps=1, hidden_units=(8,), seed=0)
    inner = tff.FlowDistribution(tff.standard_normal(3), flow)
    reordered = Reordered(inner, ORDER)
    rng = np.random.default_rng(0)
    x, context = rng.normal(size=(64, 3)) + [100.0, 0.0, -100.0], rng.normal(size=(64, 2))
    model = tff.DensityEstimator(reordered)
    model.compile("adam")
    model.fit((x, context), verbose=0)
    value = x.astype("float32")
    given = tf.constant(context, tf.float32)
    expected = inner.log_prob(value[:, ORDER], context=given)
    np.testing.assert_allclose(reordered.log_prob(value, context=given), expected)
    assert (
        reordered.log_prob(value, context=given).numpy().mean() > -5.0
    )  # units are measured
    same = copy.deepcopy(reordered)
    np.testing.assert_array_equal(same.log_prob(value, context=given), expected)
    assert reordered.sample(5, seed=1, context=given[:2]).shape == [5, 2, 3]
    assert same.order == ORDER


test_bad_arguments_are_refused = all_refused(
    [
        (lambda: Reordered(tff.standard_normal(3), [0, 1]), "`permutation` | [0, 1]"),
        (lambda: Reordered(tfd.Normal(0.0, 1.0), [0]), "`distribution` | vectors"),
        (lambda: Reordered(3, [0]), "`distribution` | 3"),
    ]
)
