"""Slices of the batch axes: as of TFP's distributions, with the weights shared."""

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
BASES = {
    "independent": lambda: tfd.Independent(tfd.Normal(LOC, np.float64(1.0)), 1),
    "multivariate": lambda: tfd.MultivariateNormalDiag(LOC, np.ones(3)),
    "variable": lambda: tfd.MultivariateNormalDiag(tf.Variable(LOC), np.ones(3)),
}


def batched(base, **options):
    flow = tff.RealNVP(3, num_steps=2, hidden_units=(4,), seed=0, dtype=D, **options)
    return tff.FlowDistribution(BASES[base](), randomize(flow))


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("context", [{}, {"context": CONTEXT}])
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


def test_a_slice_has_the_weights_of_now_and_can_be_copied():
    whole = batched("independent")
    part = whole[1]
    weight = whole.trainable_variables[0]
    weight.assign_add(tf.ones(weight.shape, D))
    expected = whole.log_prob(X)[1]
    for same in (part, copy.copy(part), copy.deepcopy(part)):
        close(same.log_prob(X), expected)
    close(pickle.loads(pickle.dumps(part)).log_prob(X), expected)


@pytest.mark.parametrize("slices", [0, (0, 0), slice(2), tf.newaxis])
@pytest.mark.parametrize(
    "build",
    [
        lambda: tff.BinaryMADE(3, hidden_units=(4,)),
        lambda: tff.flow_posterior(3, num_steps=1, hidden_units=(4,)),
    ],
)
def test_what_has_no_batch_axes_is_not_sliced(build, slices):
    distribution = build()
    with pytest.raises(ValueError, match=r"no indices of `.*`, which has no batch axes"):
        distribution[slices]
    assert distribution[...] is distribution


def test_more_indices_than_axes_are_refused():
    with pytest.raises(
        ValueError, match=r"at most 1 indices.*batch shape is \(4,\); got 2"
    ):
        batched("independent")[0, 0]


def test_parameters_are_named_as_those_of_tfp():
    named = tff.FlowDistribution.parameter_properties()
    assert set(named) == set(tfd.TransformedDistribution.parameter_properties())
