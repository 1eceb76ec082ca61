"""The gradient of posterior training against its formula, and steps that are skipped."""

import math
import time
import types

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from densities import density

from tfp_flows.inference import budget as budget_module
from tfp_flows.inference.budget import Budget, Progress, bar
from tfp_flows.inference.initial_flow import starting_flow
from tfp_flows.inference.modes import Gaussian
from tfp_flows.inference.training import Block, PosteriorTraining, train

tfd = tfp.distributions
RNG = np.random.default_rng(0)
FACTOR = np.array([[2.0, 0.0], [1.0, 0.1]])
FIRST, SECOND = (
    Gaussian(np.array([3.0, -1.0]), FACTOR),
    Gaussian(np.zeros(2), np.eye(2), -1),
)
GAUSSIANS = [FIRST, SECOND]


def quartic(x):
    return -tf.reduce_sum((x - 1.0) ** 4, axis=-1)


def start(count):
    return starting_flow(GAUSSIANS[:count], seed=0, dtype=tf.float64)


def distribution(count):
    made = start(count)
    for weight in made.trainable_variables:
        weight.assign_add(0.1 * RNG.normal(size=weight.shape))
    return made


@pytest.mark.usefixtures("op_by_op")
@pytest.mark.parametrize("count", [1, 2])
def test_start_is_the_mixture_of_gaussians(count):
    made = start(count)
    means, factors = zip(*[(g.mean, g.factor) for g in GAUSSIANS[:count]], strict=True)
    stock = tfd.MixtureSameFamily(
        tfd.Categorical(logits=np.array([0.0, -1.0][:count])),
        tfd.MultivariateNormalTriL(np.stack(means), np.stack(factors)),
    )
    x = 3.0 * RNG.normal(size=(5, 2))
    np.testing.assert_allclose(made.log_prob(x), stock.log_prob(x), rtol=1e-6)
    x = made.sample(40000, seed=1).numpy()
    np.testing.assert_allclose(x.mean(axis=0), stock.mean(), atol=0.06)
    np.testing.assert_allclose(np.cov(x.T), stock.covariance(), atol=0.2)


@pytest.mark.usefixtures("op_by_op")
def test_start_is_found_for_scales_whose_squares_no_sum_holds():
    """Variances of 1e18 and 1e-18 make a covariance that is singular to rounding."""
    turn = np.linalg.qr(RNG.normal(size=(2, 2)))[0]
    wide = Gaussian(np.zeros(2), np.linalg.qr((turn * [1e9, 1e-9]).T, mode="r").T)
    made = starting_flow([wide, wide], seed=0, dtype=tf.float64)
    assert np.isfinite(made.log_prob(np.zeros([1, 2]))).all()


@pytest.mark.usefixtures("op_by_op")
@pytest.mark.parametrize("count", [1, 2])
def test_gradient_is_that_of_the_bound_with_the_density_s_weights_held(count):
    made = distribution(count)
    training = PosteriorTraining(density(quartic), made, seed=0)
    bound, _, gradient = training._batch_gradient(tf.constant([1, 2]))
    weights = made.trainable_variables
    with tf.GradientTape(persistent=True) as tape:
        log_weights, u = training._base_draws(tf.constant([1, 2]))
        x = made.bijector.forward(u)
        ratio = quartic(x) - made.log_prob(x)
        held = made.log_prob(tf.stop_gradient(x))
        means, from_held = (
            tf.reduce_mean(tf.reshape(r, [count, -1]), axis=1) for r in (ratio, held)
        )
        share = tf.exp(log_weights)
        value = tf.reduce_sum(share * means)
        score = tf.reduce_sum(tf.stop_gradient(share) * from_held)
        loss = -(value + score)
    np.testing.assert_allclose(bound, value, rtol=1e-9)
    expected = tape.gradient(loss, weights, unconnected_gradients="zero")
    for ours, theirs in zip(gradient, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-8)


@pytest.mark.usefixtures("op_by_op")
def test_draws_outside_the_support_are_left_out():
    def log_prob(x):
        return tf.where(x[..., 0] > 2.0, quartic(x), tf.math.log(-1.0 - x[..., 0] ** 2))

    training = PosteriorTraining(density(log_prob), distribution(1), seed=0)
    bound, variance, gradient = training._batch_gradient(tf.constant([1, 2]))
    assert np.isfinite(bound)
    assert np.isfinite(variance)
    assert all(np.isfinite(g).all() for g in gradient)


@pytest.mark.slow
def test_steps_of_which_most_draws_are_not_finite_are_not_taken(monkeypatch):
    monkeypatch.setattr("tfp_flows.inference.training._STEPS", 4)

    def log_prob(x):
        return tf.where(x[..., 0] > 1e3, quartic(x), np.nan)

    made = distribution(1)
    before = [w.numpy() for w in made.trainable_variables]
    training = PosteriorTraining(density(log_prob), made, seed=0)
    training._block = training._run_block  # without compilation
    block = training.run(1e-2, 1)
    assert block.skipped == 4
    assert block.elbo == -np.inf
    for weight, old in zip(made.trainable_variables, before, strict=True):
        np.testing.assert_array_equal(weight, old)


@pytest.mark.slow
def test_no_two_steps_have_the_same_draws(monkeypatch):
    monkeypatch.setattr("tfp_flows.inference.training._STEPS", 3)
    training = PosteriorTraining(density(quartic), distribution(1), seed=0)
    training._block = tf.function(training._run_block, autograph=False)
    # The weights stay, so results differ by the draws alone.
    bounds, *_ = training._block(*training._arguments(0.0, 1, 3))
    assert len(set(bounds.numpy())) == 3


def num_blocks(variance, **options):
    """Number of blocks of a training whose ELBO rises in all blocks."""
    blocks, shares = [], []

    def run(rate, num_batches, num_steps):
        blocks.append(Block(float(len(blocks)), 0.01, variance, 0, 128))
        return blocks[-1]

    training = types.SimpleNamespace(
        counters=tf.Variable(np.zeros(7)),
        num_steps_in=lambda *_: 200,
        run=run,
        adam=types.SimpleNamespace(use_average=lambda: None),
    )
    show = lambda _, share: shares.append(share)  # noqa: E731
    train(training, Budget(None, None), save=lambda: None, show=show, **options)
    assert shares == sorted(shares)
    assert 0.0 <= shares[0] <= shares[-1] <= 1.0
    return len(blocks)


def test_training_ends_at_a_small_divergence_and_leaves_a_large_one_to_the_next_round():
    assert num_blocks(1e-4) == 1
    assert num_blocks(0.1) == num_blocks(math.nan) == num_blocks(100.0) == 24
    assert num_blocks(0.1, is_last=False) == num_blocks(math.nan, is_last=False) == 24
    assert num_blocks(100.0, is_last=False) == 12


@pytest.mark.slow_ids("2")
@pytest.mark.parametrize("count", [1, 2])
def test_variance_of_log_weights_is_twice_the_divergence(count, monkeypatch):
    """A step size of 0 keeps the start. The variance is not known of a mixture."""
    monkeypatch.setattr("tfp_flows.inference.training._STEPS", 40)
    precision = np.linalg.inv(FACTOR @ FACTOR.T)
    mean = GAUSSIANS[0].mean

    def log_prob(x):  # wider by a twentieth
        z = (x - mean) / 1.05
        return -0.5 * tf.einsum("...i,ij,...j->...", z, precision, z)

    training = PosteriorTraining(density(log_prob), start(count), seed=0, by_xla=False)
    variance = training.run(0.0, 1, 40).variance
    if count > 1:
        assert math.isnan(variance)
    else:
        share = 1.05**-2
        np.testing.assert_allclose(variance, (1.0 - share) ** 2, rtol=0.1)


def test_progress_is_one_line(capsys):
    with Progress(1) as shown:
        shown.show(f"round 1 of at most 3 {bar(0.45)} training")
        shown.show("word " * 100)
    first, second = capsys.readouterr().err.split("\r")[1:]
    assert (
        first.rstrip() == "fit_posterior 0:00, round 1 of at most 3 [####......] training"
    )
    assert len(second.rstrip("\n")) == len(first) < 200
    for verbose in (0, "auto"):  # nothing, and nothing in the first seconds
        with Progress(verbose) as shown:
            shown.show("training")
    assert not capsys.readouterr().err


def test_progress_goes_on_while_a_stage_shows_nothing(capsys, monkeypatch):
    monkeypatch.setattr(budget_module, "_SECONDS_BETWEEN_LOOKS", 0.01)
    monkeypatch.setattr(budget_module, "_SECONDS_BETWEEN_LINES", 0.02)
    lines = ""
    with Progress("auto") as shown:
        shown.show("searching for maxima")
        end = time.monotonic() + 10.0
        while lines.count("\n") < 3 and time.monotonic() < end:
            time.sleep(0.01)
            lines += capsys.readouterr().err
    assert set(lines.splitlines()) == {"fit_posterior 0:00, searching for maxima"}
    capsys.readouterr()
    time.sleep(0.05)  # nothing is shown after the end
    assert not capsys.readouterr().err
