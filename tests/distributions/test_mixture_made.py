"""MixtureMADE against TFP's mixtures, and as the base of a flow."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from random_weights import randomize
from subject import close
from subject import differ

import tfp_flows as tff
from tfp_flows.distributions import conditionals

tfd = tfp.distributions
SMALL = {"hidden_units": (8, 8), "activation": "tanh", "seed": 1, "dtype": "float64"}


def grid(low=-14.0, high=14.0, size=561):
    x = np.linspace(low, high, size)
    return np.stack(np.meshgrid(x, x, indexing="ij"), axis=-1), (x[1] - x[0]) ** 2


@pytest.mark.usefixtures("op_by_op")
@pytest.mark.parametrize("options", [{}, {"num_masks": 2}, {"context_size": 2}])
def test_density_integrates_to_one(options):
    distribution = randomize(tff.MixtureMADE(2, 3, **SMALL, **options), stddev=0.3)
    context = {"context": np.ones(2)} if distribution.context_size else {}
    points, area = grid()
    total = np.sum(np.exp(distribution.log_prob(points, **context))) * area
    assert total == pytest.approx(1.0, abs=1e-3)


def test_conditionals_are_those_of_tfp():
    rng = np.random.default_rng(0)
    mixture = conditionals.GaussianMixture(4)
    x, parameters = rng.normal(size=(5, 2)), rng.normal(size=(5, 12, 2))
    logits, shift, s = np.split(parameters, 3, axis=1)
    start = tfd.Normal(np.float64(0.0), 1.0).quantile((np.arange(4) + 0.5) / 4).numpy()
    log_scale = 0.5 * np.log(1.0 - np.var(start)) + 7.0 * np.tanh(s / 7.0)
    components = tfd.Normal(
        np.moveaxis(shift + start[:, None], 1, 2), np.moveaxis(np.exp(log_scale), 1, 2)
    )
    weights = tfd.Categorical(logits=np.moveaxis(logits, 1, 2))
    expected = tfd.MixtureSameFamily(weights, components).log_prob(x)
    close(mixture.log_prob(tf.constant(x), tf.constant(parameters)), expected, 1e-9)


@pytest.mark.parametrize(("num_components", "nats"), [(1, 1e-9), (10, 0.05)])
def test_a_fresh_one_is_about_a_standard_normal(num_components, nats):
    x = np.random.default_rng(0).normal(size=(2000, 3))
    log_prob = tff.MixtureMADE(3, num_components, **SMALL).log_prob(x)
    normal = tff.standard_normal(3, dtype="float64").log_prob(x)
    assert np.abs(np.mean(log_prob - normal)) < 3 * nats


def test_components_grow_apart():
    rng = np.random.default_rng(0)
    x = (np.sign(rng.normal(size=(512, 1))) * 2.0 + 0.1 * rng.normal(size=(512, 1))).astype(
        np.float32
    )
    made = tff.MixtureMADE(1, 2, hidden_units=(4,), seed=1)
    model = tff.DensityEstimator(tff.FlowDistribution(made, tff.Standardize(1)))
    model.compile(keras.optimizers.Adam(0.05), jit_compile=False)
    model.fit(x, epochs=30, batch_size=64, verbose=0)
    best = -np.log(2.0) - np.log(0.1) - 0.5 * np.log(2.0 * np.pi * np.e)
    assert np.mean(model.distribution.log_prob(x)) == pytest.approx(best, abs=0.1)


@pytest.mark.usefixtures("op_by_op")
def test_far_points_and_wild_parameters_stay_finite():
    made = randomize(tff.MixtureMADE(3, 4, hidden_units=(8,), seed=1), stddev=30.0)
    x = np.array([[1e3, -1e3, 0.0], [0.0, 1e5, 1e-5]], np.float32)
    with tf.GradientTape() as tape:
        log_prob = made.log_prob(x)
    assert np.isfinite(log_prob).all()
    for gradient in tape.gradient(log_prob, made.trainable_variables):
        assert np.isfinite(gradient).all()
    assert np.isfinite(made.sample(100, seed=1)).all()


def conditional_flow(from_base, from_flow):
    base = tff.MixtureMADE(3, 2, context_size=from_base, **SMALL)
    maf = tff.MAF(3, num_steps=2, context_size=from_flow, heavy_tails=False, **SMALL)
    return tff.FlowDistribution(randomize(base), randomize(maf))


@pytest.mark.usefixtures("op_by_op")
@pytest.mark.parametrize(("from_base", "from_flow"), [(2, 2), (2, 0), (0, 2)])
def test_base_is_given_the_context_if_it_takes_one(from_base, from_flow):
    distribution = conditional_flow(from_base, from_flow)
    assert distribution.context_size == 2
    context = np.random.default_rng(0).normal(size=(4, 2))
    y, log_prob = distribution.sample_and_log_prob(5, seed=1, context=context)
    assert (y.shape, log_prob.shape) == ((5, 4, 3), (5, 4))
    close(distribution.log_prob(y.numpy(), context=context), log_prob, 1e-8)
    assert differ(distribution.log_prob(y, context=context + 1.0), log_prob)
    with pytest.raises(ValueError, match="`context`.*got None"):
        distribution.log_prob(y)
    names = {v.name for v in distribution.trainable_variables}
    assert len(names) == len(distribution.trainable_variables) == 3


def test_contexts_of_two_widths_are_refused():
    with pytest.raises(ValueError, match="one width of `context`.*got 3 and 2"):
        conditional_flow(2, 3)


@pytest.mark.usefixtures("op_by_op")
def test_mask_cycle_of_a_base_is_trained():
    base = tff.MixtureMADE(2, 2, num_masks=2, hidden_units=(8,), seed=1)
    distribution = tff.FlowDistribution(base, tff.Standardize(2))
    x = np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)
    distribution.initialize(x)
    distribution.log_prob(x, training=True)
    assert int(base._ensemble._num_steps) == 1
    distribution.log_prob(x)
    assert int(base._ensemble._num_steps) == 1


def test_number_of_components_is_checked():
    with pytest.raises(ValueError, match="`num_components` of at least 1; got 0"):
        tff.MixtureMADE(2, 0)


def test_network_and_conditional_must_fit():
    network = tff.MaskedMLP(2, (4,), [1, 2])
    with pytest.raises(ValueError, match="`network` of 1 parameters.*got 2"):
        tff.distributions.AutoregressiveDistribution(network, conditionals.Bernoulli())


@pytest.mark.usefixtures("op_by_op")
def test_what_is_no_bit_is_impossible():
    made = tff.BinaryMADE(2, hidden_units=(4,))
    log_prob = made.log_prob(np.array([[0.0, 1.0], [0.5, 1.0], [2.0, 0.0]], np.float32))
    np.testing.assert_allclose(log_prob, [-2.0 * np.log(2.0), -np.inf, -np.inf])
