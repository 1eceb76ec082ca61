"""Deep copies and pickles of posteriors, and of flows over bases with bounded variables."""

import copy
import functools
import pickle

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from random_weights import randomize
from subject import close

import tfp_flows as tff

tfb, tfd = tfp.bijectors, tfp.distributions
pytestmark = pytest.mark.usefixtures("op_by_op")
SMALL = {"num_steps": 1, "hidden_units": (4,), "seed": 0}


def pinned():
    @tfd.JointDistributionCoroutineAutoBatched
    def model():
        scale = yield tfd.HalfCauchy(0.0, 5.0, name="scale")
        yield tfd.Normal(0.0, scale, name="observed")

    return model.experimental_pin(observed=1.0)


def dependent():
    return tfd.JointDistributionSequential(
        [tfd.Uniform(-1.0, 1.0), lambda low: tfd.Uniform(low, 2.0)]
    )


def sequential():
    model = tfd.JointDistributionSequentialAutoBatched(
        [
            tfd.Normal(0.0, 1.0),
            tfd.Gamma(2.0, 1.0),
            lambda scale, mean: tfd.Normal(mean + tf.zeros(3), scale),
        ]
    )
    return model.experimental_pin(x=[1.0, 2.0, 3.0])


def unconstrained():
    @tfd.JointDistributionCoroutineAutoBatched
    def model():
        mean = yield tfd.Normal(0.0, 1.0, name="mean")
        effects = yield tfd.Sample(tfd.Normal(mean, 1.0), 3, name="effects")
        yield tfd.Independent(tfd.Normal(effects, 0.1), 1, name="observed")

    return model.experimental_pin(observed=[1.0, 2.0, 3.0])


def named():
    return tfd.JointDistributionNamed(
        {
            "slope": tfd.Sample(tfd.Normal(0.0, 1.0), 2),
            "share": tfd.Beta(2.0, 2.0),
            "count": lambda share: tfd.Gamma(2.0, share),
        }
    )


def prior():
    return tff.FlowDistribution(tff.standard_normal(2), tff.RealNVP(2, **SMALL))


JOINT = {"dependent": dependent}
PLAIN = {
    "pinned": pinned,
    "sequential": sequential,
    "unconstrained": unconstrained,
    "named": named,
    "gamma": lambda: tfd.Gamma(2.0, 1.0),
    "vector": lambda: tfd.MultivariateNormalDiag(tf.zeros(3), tf.ones(3)),
    "shapes": lambda: {"a": [], "b": [2]},
    "a flow": prior,
}


@functools.cache
def posterior_of(target):
    # Copies of a start are tried in `test_posterior_start`.
    target = (JOINT | PLAIN)[target]()
    return randomize(tff.flow_posterior(target, whiten=False, **SMALL))


def check_copy(posterior, same):
    draws = tf.nest.map_structure(lambda x: x.numpy(), posterior.sample(3, seed=1))
    expected = posterior.log_prob(draws).numpy()
    np.testing.assert_array_equal(same.log_prob(draws), expected)
    tf.nest.assert_same_structure(same.sample(), posterior.sample())
    assert not {id(v) for v in same.variables} & {id(v) for v in posterior.variables}
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(same.log_prob(draws))
    assert all(g is not None for g in tape.gradient(loss, same.trainable_variables))
    for weight in same.trainable_variables:
        weight.assign_add(tf.ones(weight.shape))
    np.testing.assert_array_equal(posterior.log_prob(draws), expected)


@pytest.mark.slow_ids(
    "dependent", "gamma", "named", "sequential", "shapes", "unconstrained", "vector"
)
@pytest.mark.parametrize("target", JOINT | PLAIN)
def test_a_deep_copy_has_weights_of_its_own(target):
    posterior = posterior_of(target)
    check_copy(posterior, copy.deepcopy(posterior))


@pytest.mark.slow_ids(
    "a flow", "gamma", "named", "pinned", "sequential", "unconstrained", "vector"
)
@pytest.mark.parametrize("target", PLAIN)
def test_pickles(target):
    posterior = posterior_of(target)
    check_copy(posterior, pickle.loads(pickle.dumps(posterior)))


@pytest.mark.parametrize("target", JOINT)
def test_where_supports_depend_on_parts_the_flow_is_pickled(target):
    posterior = posterior_of(target)
    with pytest.raises(
        ValueError, match=r"a support of `flow_posterior`.*Pickle `posterior"
    ):
        pickle.dumps(posterior)
    flow = pickle.loads(pickle.dumps(posterior.distribution))
    check_copy(posterior, tff.inference.FlowPosterior(flow, posterior.support))


@pytest.mark.parametrize("trainable", [True, False])
def test_copies_of_a_base_with_a_transformed_variable(trainable):
    bound = tfb.Chain([tfb.Shift(1e-3), tfb.Softplus()])
    scale = tfp.util.TransformedVariable([1.3, 0.7], bound, trainable=trainable)
    base = tfd.MultivariateNormalDiag(tf.Variable([1.0, 2.0]), scale)
    distribution = randomize(tff.FlowDistribution(base, tff.RealNVP(2, **SMALL)))
    for same in (copy.deepcopy(distribution), pickle.loads(pickle.dumps(distribution))):
        x = distribution.sample(3, seed=1).numpy()
        np.testing.assert_array_equal(same.log_prob(x), distribution.log_prob(x))
        assert len(same.trainable_variables) == len(distribution.trainable_variables)
        made = same.distribution.parameters["scale_diag"]
        assert isinstance(made, tfp.util.TransformedVariable)
        close(made, scale, 1e-6)
