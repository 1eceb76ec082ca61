"""Families of posteriors: densities, shapes and gradients."""

import copy

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from random_weights import randomize

import tfp_flows as tff

tfb, tfd = tfp.bijectors, tfp.distributions
posteriors = tff.posteriors
LATENT_SIZE, ROWS = 3, 4


def iaf(**options):
    arguments = {"num_steps": 2, "hidden_units": (6,), "context_size": 2, "seed": 0}
    return tff.IAF(LATENT_SIZE, dtype=tf.float64, **{**arguments, **options})


def real_nvp(**options):
    arguments = {"num_steps": 2, "hidden_units": (6,), "context_size": 2, "seed": 0}
    arguments |= {"standardize": False, "dtype": tf.float64}
    return tff.RealNVP(LATENT_SIZE, **{**arguments, **options})


def diagonal():
    return posteriors.DiagonalGaussian(LATENT_SIZE, dtype=tf.float64)


def full():
    return posteriors.FullGaussian(LATENT_SIZE, dtype=tf.float64)


CASES = {
    "diagonal": diagonal,
    "full": full,
    "iaf": lambda: posteriors.AmortizedFlow(diagonal(), iaf()),
    "iaf_after_full": lambda: posteriors.AmortizedFlow(full(), iaf()),
    "iaf_without_context": lambda: posteriors.AmortizedFlow(
        diagonal(), iaf(context_size=0)
    ),
    "real_nvp": lambda: posteriors.AmortizedFlow(diagonal(), real_nvp()),
    "stock": lambda: posteriors.AmortizedFlow(
        diagonal(), tfb.Scale(tf.constant([1.0, -2.0, 3.0], tf.float64))
    ),
}


@pytest.fixture(params=CASES)
def posterior(request):
    built = CASES[request.param]()
    return randomize(built) if built.variables else built


def parameters_of(posterior, rows=ROWS):
    rng = np.random.default_rng(0)
    return tf.constant(rng.normal(size=(rows, posterior.num_parameters)))


def draw(posterior, num_samples=5, seed=3):
    return posterior.sample_and_log_prob(parameters_of(posterior), num_samples, seed)


@pytest.mark.usefixtures("op_by_op")
def test_draws_have_shapes_seeds_and_the_density_of_the_same_points(posterior):
    z, log_prob = draw(posterior)
    assert (z.shape, log_prob.shape) == ((5, ROWS, LATENT_SIZE), (5, ROWS))
    np.testing.assert_array_equal(draw(copy.deepcopy(posterior))[0], z)
    assert not np.any(draw(posterior, seed=4)[0] == z)
    again = posterior.log_prob(z.numpy(), parameters_of(posterior))
    np.testing.assert_allclose(again, log_prob, atol=1e-9)


@pytest.mark.slow_ids("iaf_after_full", "iaf_without_context")
@pytest.mark.usefixtures("op_by_op")
def test_density_integrates_to_one(posterior):
    # Importance sampling from a Gaussian that is wider than the posterior.
    z, _ = draw(posterior, 4000)
    mean, deviation = np.mean(z, axis=0), 1.5 * np.std(z, axis=0)
    proposal = tfd.MultivariateNormalDiag(mean, deviation)
    points = proposal.sample(100_000, seed=(0, 1))
    density = posterior.log_prob(points, parameters_of(posterior))
    ratios = np.exp(density - proposal.log_prob(points))
    np.testing.assert_allclose(np.mean(ratios, axis=0), 1.0, atol=0.06)


@pytest.mark.usefixtures("op_by_op")
@pytest.mark.parametrize("name", ["diagonal", "full"])
def test_gaussians_are_those_of_tfp(name):
    posterior = CASES[name]()
    parameters = parameters_of(posterior)
    if name == "diagonal":
        mean, s = np.split(parameters, 2, axis=-1)
        stock = tfd.MultivariateNormalDiag(mean, np.log1p((np.e - 1.0) * np.exp(s)))
    else:
        mean, entries = np.split(parameters, [LATENT_SIZE], axis=-1)
        scale = tfp.math.fill_triangular(entries).numpy()
        for i in range(LATENT_SIZE):
            scale[:, i, i] = np.log1p((np.e - 1.0) * np.exp(scale[:, i, i]))
        stock = tfd.MultivariateNormalTriL(mean, scale)
    z, log_prob = draw(posterior, 40_000)
    np.testing.assert_allclose(log_prob, stock.log_prob(z), atol=1e-9)
    np.testing.assert_allclose(np.mean(z, axis=0), stock.mean(), atol=0.05)
    for i in range(ROWS):
        found = np.cov(z[:, i], rowvar=False)
        np.testing.assert_allclose(found, stock.covariance()[i], atol=0.1)


@pytest.mark.usefixtures("op_by_op")
def test_each_row_has_its_own_posterior_from_each_of_its_parameters(posterior):
    parameters = parameters_of(posterior).numpy()
    z, _ = posterior.sample_and_log_prob(tf.constant(parameters), 2, 1)
    context_size = getattr(getattr(posterior, "flow", None), "context_size", 0)
    for changed in (
        slice(None),
        slice(-context_size, None),
    ):  # all, then the context
        other = parameters.copy()
        other[0, changed] += 1.0
        moved, _ = posterior.sample_and_log_prob(tf.constant(other), 2, 1)
        assert np.all(moved[:, 0] != z[:, 0])
        np.testing.assert_array_equal(moved[:, 1:], z[:, 1:])


@pytest.mark.usefixtures("op_by_op")
def test_gradients_reach_parameters_and_weights(posterior):
    parameters = parameters_of(posterior)
    weights = posterior.trainable_variables
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        z, log_prob = posterior.sample_and_log_prob(parameters, 2, 1)
        loss = tf.reduce_sum(z**2) + tf.reduce_sum(log_prob)
    for gradient in tape.gradient(loss, [parameters, *weights]):
        assert np.isfinite(gradient).all()
        assert np.abs(gradient).max() > 0.0


@pytest.mark.slow_ids(
    "diagonal", "full", "iaf_after_full", "iaf_without_context", "real_nvp", "stock"
)
def test_draws_and_gradients_are_those_of_graphs_and_xla_for_any_number_of_rows(posterior):
    def with_gradient(parameters):
        with tf.GradientTape() as tape:
            tape.watch(parameters)
            z, log_prob = posterior.sample_and_log_prob(parameters, 2, 1)
            loss = tf.reduce_sum(z**2) + tf.reduce_sum(log_prob)
        return z, log_prob, tape.gradient(loss, parameters)

    signature = [tf.TensorSpec([None, posterior.num_parameters], tf.float64)]
    for jit_compile in (False, True):
        compiled = tf.function(
            with_gradient, signature, jit_compile=jit_compile, autograph=False
        )
        for rows in (4, 3):
            parameters = parameters_of(posterior, rows)
            results = compiled(parameters), with_gradient(parameters)
            for ours, theirs in zip(*results, strict=True):
                np.testing.assert_allclose(ours, theirs, atol=1e-9)


def test_parameters_are_cast_and_must_have_their_width():
    posterior = posteriors.DiagonalGaussian(1)
    z, log_q = posterior.sample_and_log_prob([[0, 1], [2, 3]], 5, 0)
    assert (z.dtype, z.shape, log_q.shape) == (tf.float32, (5, 2, 1), (5, 2))
    np.testing.assert_allclose(posterior.log_prob(z, [[0, 1], [2, 3]]), log_q, rtol=1e-5)
    for wrong in (np.zeros([2, 4]), np.zeros([2, 1])):  # 4 would be two latents
        with pytest.raises(ValueError, match=r"`parameters` of shape \[..., 2\]"):
            posterior.sample_and_log_prob(wrong, 5, 0)
    with pytest.raises(ValueError, match=r"`z` of shape \[..., 2, 1\]"):
        posterior.log_prob(np.zeros([5, 2, 2]), np.zeros([2, 2]))


def test_the_narrowest_posterior_has_a_finite_density():
    posterior = tff.posteriors.DiagonalGaussian(2)
    parameters = tf.constant([[0.0, 0.0, -1e4, 0.0]])
    _, log_q = posterior.sample_and_log_prob(parameters, 1, 0)
    assert np.isfinite(log_q).all()
