import numpy as np
import pytest
import tensorflow as tf
from random_weights import randomize
from subject import close

import tfp_flows as tff
from tfp_flows.distributions import attribute_direction, interpolate, move_along

pytestmark = pytest.mark.usefixtures("all_op_by_op")

X = np.random.default_rng(0).normal(size=(6, 3))


@pytest.fixture(scope="module")
def distribution():
    flow = tff.RealNVP(3, num_steps=2, hidden_units=(4,), seed=0, dtype="float64")
    randomize(flow, stddev=0.3)
    return tff.FlowDistribution(tff.standard_normal(3, dtype=tf.float64), flow)


def latents(distribution, x):
    return distribution.bijector.inverse_and_log_det(x)[0].numpy()


def test_density_at_a_temperature_is_that_of_the_scaled_base(distribution):
    tempered = tff.at_temperature(distribution, 0.5)
    z, log_det = distribution.bijector.inverse_and_log_det(X)
    normal = -0.5 * (z / 0.5) ** 2 - 0.5 * np.log(2 * np.pi) - np.log(0.5)
    close(tempered.log_prob(X), np.sum(normal, axis=-1) + log_det)
    assert {id(v) for v in tempered.variables} == {id(v) for v in distribution.variables}


def test_interpolation_is_a_line_in_latent_space_between_the_points(distribution):
    path = interpolate(distribution, X[:2], X[2:4], 5).numpy()
    assert path.shape == (5, 2, 3)
    close(path[0], X[:2], 1e-8)
    close(path[-1], X[2:4], 1e-8)
    z = latents(distribution, path)
    close(np.diff(z, 2, axis=0), np.zeros([3, 2, 3]), 1e-7)


def test_one_start_is_joined_with_each_of_several_ends(distribution):
    paths = interpolate(distribution, X[0], X[1:], 5).numpy()
    assert paths.shape == (5, 5, 3)
    for end, path in zip(X[1:], np.swapaxes(paths, 0, 1), strict=True):
        close(path, interpolate(distribution, X[0], end, 5), 1e-8)


def test_temperature_scales_a_conditional_base():
    base = tff.MixtureMADE(3, 2, context_size=1, hidden_units=(4,), dtype="float64", seed=0)
    distribution = tff.FlowDistribution(
        randomize(base), tff.InvertibleLinear(3, dtype="float64")
    )
    context = np.linspace(-1.0, 1.0, 6)[:, None]
    tempered = tff.at_temperature(distribution, 0.5)
    expected = base.log_prob(2.0 * X, context=context) + 3.0 * np.log(2.0)
    close(tempered.log_prob(X, context=context), expected)
    assert tempered.sample(2, context=context).shape == (2, 6, 3)


def test_attribute_moves_the_mean_latent_of_one_group_to_that_of_the_other(distribution):
    direction = attribute_direction(distribution, X[:2], X[2:])
    moved = move_along(distribution, X[2:], direction, [0.0, 1.0]).numpy()
    close(moved[0], X[2:], 1e-8)
    mean = latents(distribution, moved[1]).mean(axis=0)
    close(mean, latents(distribution, X[:2]).mean(axis=0), 1e-8)


def test_of_a_conditional_image_flow():
    flow = tff.Glow((4, 4, 1), 1, 1, hidden_channels=2, context_size=2, seed=0)
    distribution = tff.FlowDistribution(tff.standard_normal(16), randomize(flow))
    images = np.random.default_rng(0).normal(size=(4, 4, 4, 1)).astype(np.float32)
    given = {"context": np.float32([1.0, -1.0])}
    direction = attribute_direction(distribution, images[:2], images[2:], **given)
    moved = move_along(distribution, images, direction, [0.0, 2.0], **given)
    assert moved.shape == (2, 4, 4, 4, 1)
    close(moved[0], images, 1e-3)
    assert interpolate(distribution, *images[:2], 3, **given).shape == (3, 4, 4, 1)
