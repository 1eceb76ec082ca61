"""Pixels that become normal by the frequencies of their bins."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

import tfp_flows as tff

BINS = 5
SHAPE = (3, 2, 2)


def images(count, seed=0):
    """Bins with other frequencies at each position; one position has one bin only."""
    rng = np.random.default_rng(seed)
    bins = rng.binomial(
        BINS - 1, np.linspace(0.05, 0.9, 12).reshape(SHAPE), (count, *SHAPE)
    )
    bins[:, 0, 0, 0] = 0
    return bins, (bins + rng.random(bins.shape)) / BINS


def fitted(y, **options):
    scores = tff.bijectors.NormalScores(SHAPE, BINS, dtype=tf.float64)
    scores.initialize(y, **options)
    return scores


def test_each_entry_becomes_normal():
    _, y = images(4_000)
    x = fitted(y).inverse(y).numpy().reshape(len(y), -1)
    distances = [stats.kstest(column, "norm").statistic for column in x.T]
    assert max(distances) < 1.9 / np.sqrt(len(y))


def test_densities_are_the_frequencies_of_bins():
    bins, y = images(500)
    scores = fitted(y)
    x, log_det = scores.inverse_and_log_det(y)
    log_prob = stats.norm.logpdf(x).sum(axis=(1, 2, 3)) + log_det
    frequencies = np.stack([(bins == k).mean(axis=0) for k in range(BINS)])
    own = np.take_along_axis(frequencies, bins, axis=0)
    expected = np.log(BINS * own).sum(axis=(1, 2, 3))
    # Pseudo-rows take some of the probability of rare bins.
    np.testing.assert_allclose(log_prob.numpy(), expected, atol=0.5)
    assert log_prob.numpy().mean() == pytest.approx(expected.mean(), abs=0.03)


def test_probabilities_sum_to_one_and_are_shared_within_a_channel():
    _, y = images(20)
    scores = fitted(y)
    middle = np.tile((np.arange(BINS) + 0.5)[:, None, None, None] / BINS, (1, *SHAPE))
    low, high = (scores.inverse(np.clip(middle + e, 0, 1)) for e in (-0.0999999, 0.0999999))
    mass = stats.norm.cdf(high) - stats.norm.cdf(low)
    np.testing.assert_allclose(mass.sum(axis=0), 1.0, atol=1e-4)
    # A bin that its position never had, though others of the channel do; one that none had.
    assert 1e-5 < mass[1, 0, 0, 0] < 0.1
    y = np.minimum(y, 0.79)
    unseen = fitted(y).inverse_and_log_det(np.full((1, *SHAPE), 0.9))
    assert np.isfinite(unseen[0]).all()
    assert np.isfinite(unseen[1]).all()


def test_weights_count_rows():
    _, y = images(200)
    weight = np.repeat([2.0, 0.0, 1.0], [50, 50, 100])
    twice = np.concatenate([y[:50], y[:50], y[100:]])
    points = images(7, 1)[1]
    own, other = fitted(y, sample_weight=weight), fitted(twice)
    np.testing.assert_allclose(own.inverse(points), other.inverse(points))
    own.initialize(y)  # only the first rows count
    np.testing.assert_allclose(own.inverse(points), other.inverse(points))


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_ends_are_finite_and_come_back(dtype):
    scores = tff.bijectors.NormalScores(2, 3, dtype=dtype)
    scores.initialize([[0.1, 0.5], [0.2, 0.9]])
    y = np.array([[0.0, 1.0], [1.0, 0.0], [0.5, 2.0 / 3.0]])
    x, log_det = scores.inverse_and_log_det(y)
    assert np.isfinite(x).all()
    compiled = tf.function(scores.inverse_and_log_det, jit_compile=True)
    np.testing.assert_allclose(compiled(tf.constant(y, dtype))[0], x, rtol=1e-5)
    np.testing.assert_allclose(scores.forward(x), y, atol=1e-6)
    back = scores.forward_log_det_jacobian(x, event_ndims=1)
    np.testing.assert_allclose(log_det, -back, rtol=1e-5)
    far = scores.forward([[-40.0, 40.0]]).numpy()
    np.testing.assert_array_equal(far, [[0.0, 1.0]])


TINY = {"hidden_channels": 4, "num_levels": 2, "seed": 0}
FLOWS = [
    lambda **options: tff.Glow((4, 4, 1), num_steps=1, **TINY, **options),
    lambda **options: tff.RealNVPImage((4, 4, 1), num_blocks=1, **TINY, **options),
    lambda **options: tff.TarFlow(
        (4, 4, 1), patch_size=2, num_blocks=2, num_layers=1, num_units=8, seed=0, **options
    ),
]


@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.usefixtures("op_by_op")
def test_flows_on_images_begin_with_it(flow):
    flow = flow(normal_scores=BINS, logit_alpha=0.05)
    first, *others = flow.bijectors
    assert isinstance(first, tff.bijectors.NormalScores)
    assert not any(isinstance(other, tff.Logit) for other in others)
    distribution = tff.FlowDistribution(tff.standard_normal(16), flow)
    bins = np.random.default_rng(0).binomial(4, 0.2, size=(300, 4, 4, 1))
    counted = tff.Dequantized(distribution, BINS)
    counted.initialize(bins)
    drawn = counted.sample(50, seed=1).numpy()
    assert drawn.min() >= 0
    assert drawn.max() <= 4
    # One variable's frequencies, before any training.
    assert np.mean(drawn == 0) == pytest.approx(np.mean(bins == 0), abs=0.1)
