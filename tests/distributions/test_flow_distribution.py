"""Flows over bases: no stale answers, stock bijectors, slices of batches."""

import copy
import pickle

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from random_weights import randomize
from subject import close

import tfp_flows as tff

tfd = tfp.distributions
D = tf.float64
X, CONTEXT = np.array([0.3, -1.0, 2.0]), np.array([0.5, -0.2])
LOC = np.arange(12.0).reshape(4, 3)


class Sinh(tfp.bijectors.Bijector):
    """A bijector as in TFP's guide, without a description of its parameters."""

    def __init__(self, scale=1.0):
        super().__init__(forward_min_event_ndims=0, name="sinh")
        self.scale = tf.constant(scale)

    def _forward(self, x):
        return self.scale * tf.sinh(x)

    def _inverse(self, y):
        return tf.asinh(y / self.scale)

    def _forward_log_det_jacobian(self, x):
        return tf.math.log(self.scale * tf.cosh(x))


def test_bijectors_that_do_not_describe_their_parameters_are_taken():
    y, scale = np.array([[0.5, -2.0], [1.0, 3.0]], np.float32), [2.0, 3.0]
    base = tff.standard_normal(2)
    x = np.arcsinh(y / scale)
    expected = base.log_prob(x) - np.log(scale * np.cosh(x)).sum(axis=1)
    for bijector in (Sinh(scale), tfp.bijectors.Invert(tfp.bijectors.Invert(Sinh(scale)))):
        found = tff.FlowDistribution(base, bijector).log_prob(y)
        np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert tff.check_bijector(Sinh(), y[:, 0]).passed
    for size in (1, 3):  # size 1 would broadcast
        with pytest.raises(ValueError, match="events that `sinh` maps"):
            tff.FlowDistribution(tff.standard_normal(size), Sinh(scale))


def batched(base=tfd.MultivariateNormalDiag, **options):
    flow = tff.RealNVP(3, num_steps=2, hidden_units=(4,), seed=0, dtype=D, **options)
    return tff.FlowDistribution(base(LOC, np.ones(3)), randomize(flow))


def independent(loc, scale):
    return tfd.Independent(tfd.Normal(loc, scale), 1)


def variable(loc, scale):
    return tfd.MultivariateNormalDiag(tf.Variable(loc), scale)


@pytest.mark.parametrize(
    ("base", "context"), [(independent, {}), (variable, {"context": CONTEXT})]
)
def test_slices_are_those_of_the_whole(base, context):
    whole = batched(base, context_size=2 if context else 0)
    log_prob = whole.log_prob(X, **context).numpy()
    for index in (0, -1, slice(1, 3), slice(None, None, 2), np.newaxis):
        part = whole[index]
        assert part.batch_shape == log_prob[index].shape
        close(part.log_prob(X, **context), log_prob[index])
        assert part.sample(5, **context).shape == (5, *log_prob[index].shape, 3)
        assert part.bijector is whole.bijector
    close(whole[..., :2].log_prob(X, **context), log_prob[:2])
    close(whole[::2][1].log_prob(X, **context), log_prob[2])
    with pytest.raises(ValueError, match=r"at most 1 indices.* is \(4,\); got 2"):
        whole[0, 0]


def test_a_slice_has_the_weights_of_now_and_can_be_copied():
    whole = batched()
    part = whole[1]
    weight = whole.trainable_variables[0]
    weight.assign_add(tf.ones(weight.shape, D))
    expected = whole.log_prob(X)[1]
    for same in (part, copy.copy(part), copy.deepcopy(part)):
        close(same.log_prob(X), expected)
    close(pickle.loads(pickle.dumps(part)).log_prob(X), expected)


def test_what_has_no_batch_axes_is_not_sliced():
    made = tff.BinaryMADE(3, hidden_units=(4,))
    for distribution in (made, tff.flow_posterior(3, num_steps=1, hidden_units=(4,))):
        for slices in (0, (0, 0), slice(2), tf.newaxis):
            with pytest.raises(ValueError, match=r"no indices of `.*`, which has no batch"):
                distribution[slices]
        assert distribution[...] is distribution
