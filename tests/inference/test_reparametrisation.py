"""Coordinates that are found from draws: when they are used, and their exact log-det."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bijectors.flow_chain import FlowChain
from tfp_flows.bijectors.standardize import Whiten
from tfp_flows.distributions.bases import standard_normal
from tfp_flows.distributions.flow_distribution import FlowDistribution
from tfp_flows.inference.checkpoint import FitCheckpoint
from tfp_flows.inference.initial_flow import Start
from tfp_flows.inference.modes import Gaussian
from tfp_flows.inference.reparametrisation import FitSpace, reparametrise
from tfp_flows.inference.support import JointSupport
from tfp_flows.inference.target import UnconstrainedDensity

tfd = tfp.distributions
N = 6000


def funnel(rng):
    v = 3.0 * rng.normal(size=N)
    return np.column_stack([v, np.exp(0.5 * v)[:, None] * rng.normal(size=(N, 4))])


def hierarchy(rng):
    """Effects around a mean, whose log-deviation is the second variable."""
    mean, log_deviation = 100.0 + 4.0 * rng.normal(size=N), 1.2 * rng.normal(size=N) + 0.5
    effects = np.exp(log_deviation)[:, None] * rng.normal(size=(N, 4)) + mean[:, None]
    return np.column_stack([mean, log_deviation, effects])


def student(rng):
    heavy = 1e-3 * rng.standard_t(3.0, size=(N, 2)) + 5.0
    return np.column_stack([heavy[:, 0], rng.normal(size=N), heavy[:, 1]])


SCALES, TAILS = "scales that depend on others", "heavy tails"
MAPS = {
    "funnel": (funnel, SCALES),
    "hierarchy": (hierarchy, SCALES),
    "student": (student, TAILS),
}


@pytest.mark.parametrize(
    "make",
    [
        lambda rng: rng.normal(size=(N, 6)) @ rng.normal(size=(6, 6)),
        lambda rng: np.log(rng.gamma(1.5, size=(N, 3))),
        lambda rng: rng.standard_t(30.0, size=(N, 3)),
        lambda rng: rng.uniform(size=(N, 2)),
        lambda rng: np.concatenate(
            [rng.normal(size=(N, 2)), rng.normal(size=(N, 2)) + 9.0]
        ),
        lambda rng: funnel(rng)[:100],
    ],
)
def test_draws_that_need_no_map_get_none(make, rng):
    assert reparametrise(make(rng)) is None


@pytest.mark.parametrize("name", MAPS)
def test_new_coordinates_are_near_a_normal_and_have_the_density_of_the_mapped_variable(
    name, rng, op_by_op
):
    make, words = MAPS[name]
    x = make(rng)
    coordinates = reparametrise(x)
    assert coordinates.words == words
    u = coordinates.bijector(tf.float64).inverse(x).numpy()
    z = (u - u.mean(axis=0)) / u.std(axis=0)
    np.testing.assert_allclose(u.std(axis=0), 1.0, atol=0.35)
    assert np.abs((z**4).mean(axis=0) - 3.0).max() < 0.7
    radii = np.abs(z[:, 2:])
    assert np.abs(np.corrcoef(radii, np.abs(z[:, :2]), rowvar=False)[:2, 2:]).max() < 0.1
    size = x.shape[1]
    support = JointSupport.from_shape(size, None, tf.float64)
    plain = UnconstrainedDensity(lambda x: -tf.reduce_sum(x**2, axis=-1), support)
    space = FitSpace(plain, support).mapped(coordinates)
    u = rng.normal(size=(5, size))
    mapped = space.unconstrained(u)
    with tf.GradientTape(persistent=True) as tape:
        point = tf.constant(u)
        tape.watch(point)
        moved = coordinates.bijector(tf.float64).forward(point)
    _, log_det = np.linalg.slogdet(
        tape.batch_jacobian(moved, point, experimental_use_pfor=False)
    )
    np.testing.assert_allclose(space.density.log_prob(u), plain.log_prob(mapped) + log_det)
    np.testing.assert_allclose(space.support.entries(u), mapped)
    whiten = Whiten(size, dtype=tf.float64)
    inner = FlowDistribution(standard_normal(size, dtype=tf.float64), FlowChain([whiten]))
    outer = space.distribution_from_u(inner)
    np.testing.assert_allclose(outer.log_prob(mapped), inner.log_prob(u) - log_det)


def test_checkpoints_hold_the_coordinates(tmp_path, rng):
    coordinates = reparametrise(hierarchy(rng))
    support = JointSupport.from_shape(6, None, tf.float64)
    plain = FitSpace(UnconstrainedDensity(None, support), support)
    space, gaussian = plain.mapped(coordinates), Gaussian(np.zeros(6), np.eye(6))
    start = Start(space, [gaussian], np.zeros([1, 6]), "words", 1)
    FitCheckpoint(str(tmp_path), 0).begin(start, tf.Module())
    found = FitCheckpoint(str(tmp_path), 0).start(1, plain).space.coordinates
    for name in ("centre", "width", "tails", "moves", "kernel", "bias"):
        np.testing.assert_array_equal(getattr(found, name), getattr(coordinates, name))
