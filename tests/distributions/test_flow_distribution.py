import copy
import pickle

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from random_weights import perturb
from random_weights import randomize
from subject import close
from subject import differ

import tfp_flows as tff

tfd = tfp.distributions


def test_bases_are_what_their_names_say():
    x = np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)
    normal = tfd.MultivariateNormalDiag(tf.zeros(2), tf.ones(2))
    close(tff.standard_normal(2).log_prob(x), normal.log_prob(x), 1e-5)
    logistic = -np.sum(np.log1p(np.exp(x)) + np.log1p(np.exp(-x)), axis=-1)
    close(tff.standard_logistic([2]).log_prob(x), logistic, 1e-5)
    assert tff.standard_normal((4, 4, 1), dtype=tf.float64).event_shape == (4, 4, 1)


def test_base_of_scalars_is_refused():
    with pytest.raises(ValueError, match="events have 1 axes"):
        tff.FlowDistribution(tfd.Normal(0.0, 1.0), tff.NICE(2))


def test_stock_distribution_remembers_nothing_between_calls():
    flow = randomize(tff.RealNVP(2, num_steps=2, hidden_units=(4,), seed=0))
    stock = tfd.TransformedDistribution(tff.standard_normal(2), flow)
    x = tf.constant([[1.0, 2.0], [0.5, -1.0]])
    y, _ = stock.experimental_sample_and_log_prob(3, seed=1)
    first, from_sample = stock.log_prob(x), stock.log_prob(y)
    perturb(flow)
    close(stock.log_prob(x), stock.log_prob(x.numpy()), 1e-6)
    close(stock.log_prob(y), stock.log_prob(y.numpy()), 1e-6)
    assert differ(stock.log_prob(x), first)
    assert differ(stock.log_prob(y), from_sample)


def test_reported_loss_of_eager_steps_on_one_tensor_is_the_true_one(banana):
    distribution = tff.FlowDistribution(
        tff.standard_normal(2), tff.RealNVP(2, num_steps=2, hidden_units=(8,), seed=0)
    )
    x = tf.constant(banana)
    for _ in range(20):
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(distribution.log_prob(x))
        weights = distribution.trainable_variables
        for weight, gradient in zip(weights, tape.gradient(loss, weights), strict=True):
            weight.assign_sub(0.05 * gradient)
    reported = -tf.reduce_mean(distribution.log_prob(x))
    close(reported, -tf.reduce_mean(distribution.log_prob(banana.copy())), 1e-6)


def trainable_base():
    loc = tf.Variable([0.1, 0.0, -0.1], name="loc")
    return tfd.MultivariateNormalTriL(loc, tf.linalg.diag([1.0, 2.0, 0.5]))


COPIED = {
    "context": (lambda: tff.standard_normal(3), {"context_size": 2, "act_norm": True}),
    "trainable base": (trainable_base, {}),
    "conditional base": (lambda: tff.MixtureMADE(3, 2, context_size=2), {}),
}


@pytest.mark.parametrize("name", COPIED)
@pytest.mark.parametrize(
    "duplicate", [copy.deepcopy, lambda d: pickle.loads(pickle.dumps(d))]
)
@pytest.mark.usefixtures("op_by_op")
def test_deep_copies_and_pickles_have_weights_of_their_own(name, duplicate):
    base, options = COPIED[name]
    flow = tff.RealNVP(3, num_steps=2, hidden_units=(4,), **options)
    distribution = randomize(tff.FlowDistribution(base(), flow))
    x = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    context = {"context": x[:, :2]} if distribution.context_size else {}
    before = distribution.log_prob(x, **context)
    other = duplicate(distribution)
    assert other.is_initialized
    np.testing.assert_array_equal(other.log_prob(x, **context), before)
    trainable = [len(d.trainable_variables) for d in (other, distribution)]
    assert trainable[0] == trainable[1]
    perturb(other)
    assert differ(other.log_prob(x, **context), before)
    np.testing.assert_array_equal(distribution.log_prob(x, **context), before)


def test_shallow_copies_share_weights():
    distribution = tff.FlowDistribution(trainable_base(), tff.NICE(3))
    for other in (copy.copy(distribution), distribution.copy()):
        ours, theirs = distribution.variables, other.variables
        assert {id(v) for v in theirs} == {id(v) for v in ours}


@pytest.mark.slow_ids("True")
@pytest.mark.parametrize("jit_compile", [False, True])
def test_surrogate_posterior_reaches_the_known_evidence(jit_compile):
    scale = tf.constant([[1.0, 0.0], [1.2, 0.6]])
    target = tfd.MultivariateNormalTriL([1.0, -1.0], scale)
    evidence = 0.7

    def log_density(z):
        return target.log_prob(z) + evidence

    flow = tff.RealNVP(2, num_steps=2, hidden_units=(8,), standardize=False, seed=0)
    posterior = tff.FlowDistribution(tff.standard_normal(2), flow)

    losses = tfp.vi.fit_surrogate_posterior(
        log_density,
        posterior,
        optimizer=keras.optimizers.Adam(0.02),
        num_steps=600,
        sample_size=32,
        seed=1,
        trainable_variables=posterior.trainable_variables,
        jit_compile=jit_compile,
    )
    assert np.isfinite(losses).all()
    y, log_prob = posterior.sample_and_log_prob(4000, seed=2)
    elbo = np.mean(log_density(y) - log_prob)
    assert elbo == pytest.approx(evidence, abs=0.05)


class Sinh(tfp.bijectors.Bijector):
    """A bijector as TFP's guide writes one: its parameters are not described."""

    def __init__(self):
        super().__init__(forward_min_event_ndims=0, name="sinh")

    def _forward(self, x):
        return tf.sinh(x)

    def _inverse(self, y):
        return tf.asinh(y)

    def _forward_log_det_jacobian(self, x):
        return tf.math.log(tf.cosh(x))


class Scaled(tfp.bijectors.Bijector):
    def __init__(self, scale):
        super().__init__(forward_min_event_ndims=0, name="scaled")
        self.scale = tf.constant(scale)

    def _forward(self, x):
        return self.scale * x

    def _inverse(self, y):
        return y / self.scale

    def _inverse_log_det_jacobian(self, y):
        return -tf.math.log(self.scale)


def test_bijectors_that_do_not_describe_their_parameters_are_taken():
    y = np.array([[0.5, -2.0], [1.0, 3.0]], np.float32)
    base = tff.standard_normal(2)
    x = np.arcsinh(y)
    found = tff.FlowDistribution(base, Sinh()).log_prob(y)
    expected = base.log_prob(x) - np.log(np.cosh(x)).sum(axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert tff.check_bijector(Sinh(), y[:, 0]).passed
    scale = np.array([2.0, 3.0], np.float32)
    for bijector in (Scaled(scale), tfp.bijectors.Invert(Scaled(1.0 / scale))):
        found = tff.FlowDistribution(base, bijector).log_prob(y)
        expected = base.log_prob(y / scale) - np.log(6.0)
        np.testing.assert_allclose(found, expected, rtol=1e-5)
    for size in (1, 3):  # the first would broadcast
        with pytest.raises(ValueError, match="events that `scaled` maps"):
            tff.FlowDistribution(tff.standard_normal(size), Scaled(scale))


def test_a_joint_cdf_is_estimated_as_the_error_says():
    normal = tff.FlowDistribution(tff.standard_normal(2), tff.Standardize(2))
    for function in ("cdf", "log_cdf", "survival_function"):
        with pytest.raises(NotImplementedError, match="draws <= value"):
            getattr(normal, function)([0.0, 0.0])
    with pytest.raises(NotImplementedError, match="percentile"):
        normal.quantile(0.5)
    draws, value = normal.sample(10_000, seed=0), np.zeros(2)
    found = np.mean(np.all(draws <= value, axis=-1), axis=0)
    assert found == pytest.approx(0.25, abs=0.02)
