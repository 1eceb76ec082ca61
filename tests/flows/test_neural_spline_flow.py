"""Spline flows: what stands where, and columns on circles."""

import math
import warnings

import numpy as np
import pytest
from random_weights import randomize
from subject import close, differ

import tfp_flows as tff

TINY = {"num_steps": 2, "num_bins": 4, "hidden_units": (6,), "activation": "tanh"}
RNG = np.random.default_rng(0)


def spline_flow(event_size=2, stddev=0.3, **options):
    options = {**TINY, "seed": 0, "dtype": "float64", **options}
    return randomize(tff.NeuralSplineFlow(event_size, **options), stddev=stddev)


def torus(circular=(0, 1), event_size=2, **options):
    options = {"heavy_tails": False, **options}  # on a bounded grid
    flow = spline_flow(event_size, circular=circular, **options)
    base = tff.circular_base(event_size, circular, dtype="float64")
    return tff.FlowDistribution(base, flow)


def kinds(flow):
    return [type(bijector).__name__ for bijector in flow.bijectors]


def test_parts_are_in_the_order_of_the_authors():
    mixing = ["InvertibleLinear"]
    coupling = [*mixing, "Coupling", "Partial"]
    start, tails = ["Decorrelate"], ["HeavyTails"]
    expected = [*start, *2 * coupling, *mixing, *tails]
    assert kinds(spline_flow(3, coupling=True)) == expected
    step = [*mixing, "MaskedAutoregressive"]
    for size in (1, 3):
        assert kinds(spline_flow(size)) == [*start, *2 * step, *mixing, *tails]
    unmixed = ["Permutation", "MaskedAutoregressive"] * 2
    steps = spline_flow(3, lu_mixing=False, standardize=False)
    assert kinds(steps) == [*unmixed, "Permutation"]
    plain = {"random_permutations": False, "lu_mixing": False, "standardize": False}
    steps = spline_flow(3, coupling=True, apply_unconditional_transform=False, **plain)
    assert kinds(steps) == ["Coupling"] * 2


@pytest.mark.usefixtures("op_by_op")
def test_starts_as_a_permutation_that_differs_with_the_seed():
    x, orders = RNG.normal(size=(7, 5)), []
    for seed in (0, 0, 1):
        flow = tff.NeuralSplineFlow(5, coupling=True, **TINY, seed=seed, dtype="float64")
        z, log_det = flow.inverse_and_log_det(x)
        close(np.sort(z), np.sort(x))
        close(log_det, np.zeros(7))
        mixings = [b for b in flow.bijectors if isinstance(b, tff.InvertibleLinear)]
        assert differ(mixings[0].matrix(), mixings[1].matrix())
        orders.append(z)
    np.testing.assert_array_equal(orders[0], orders[1])
    assert differ(orders[0], orders[2])


KINDS = {"coupling": {"coupling": True}, "autoregressive": {}}
kinds_of_flows = pytest.mark.parametrize("kind", KINDS)


@pytest.mark.slow_ids("circular1-coupling")
@kinds_of_flows
@pytest.mark.parametrize("circular", [(0, 1), (1,)])
@pytest.mark.usefixtures("op_by_op")
def test_density_of_angles_integrates_to_one(kind, circular):
    density = torus(circular, **KINDS[kind])
    counts = (300, 300) if 0 in circular else (1600, 150)
    first, angles = (2.0 * math.pi * (np.arange(n) + 0.5) / n - math.pi for n in counts)
    if 0 not in circular:
        first *= 15.0 / math.pi  # on the line, standardised by a scale of 2 at most
    area = (first[1] - first[0]) * (angles[1] - angles[0])
    grid = np.stack(np.meshgrid(first, angles), axis=-1)
    assert abs(area * np.sum(density.prob(grid)) - 1.0) < 1e-3


@kinds_of_flows
@pytest.mark.usefixtures("op_by_op")
def test_samples_are_angles_of_the_density_that_they_have(kind):
    density = torus((0, 2), 3, context_size=2, **KINDS[kind])
    context = RNG.normal(size=(50, 2))
    y, log_prob = density.sample_and_log_prob(20, seed=1, context=context)
    assert y.shape == (20, 50, 3)
    angles = y.numpy()[..., ::2]
    assert np.abs(angles).max() <= math.pi
    assert np.abs(angles).max() > 3.0
    close(density.log_prob(y.numpy(), context=context), log_prob, 1e-8)
    # By any number that stands for an angle.
    turned = y.numpy() + 2.0 * math.pi * np.array([1.0, 0.0, -3.0])
    close(density.log_prob(turned, context=context), log_prob, 1e-8)


@kinds_of_flows
@pytest.mark.usefixtures("op_by_op")
def test_density_is_smooth_where_an_angle_starts_anew(kind):
    density = torus(**KINDS[kind])
    other = RNG.uniform(-3.0, 3.0, size=(20, 1))
    for column in (0, 1):
        ends = [
            np.roll(np.concatenate([np.full([20, 1], end), other], -1), column, axis=-1)
            for end in (-math.pi + 1e-9, math.pi - 1e-9)
        ]
        close(density.log_prob(ends[0]), density.log_prob(ends[1]), 1e-6)


def test_angles_are_neither_standardised_nor_mixed_with_others():
    options = {**TINY, "decorrelate": False, "heavy_tails": False}
    flow = tff.NeuralSplineFlow(3, circular=[False, True, False], **options, seed=0)
    data = RNG.uniform(size=(100, 3)).astype(np.float32) * [100.0, 1.0, 0.01]
    flow.initialize(data)
    (from_line,) = (b for b in flow.bijectors if "standardize" in b.name)
    scaled = from_line.inverse(data).numpy()
    close(np.std(scaled, axis=0)[[0, 2]], [1.0, 1.0], 1e-4)
    np.testing.assert_array_equal(scaled[:, 1], data.astype(np.float32)[:, 1])
    all_angles = tff.NeuralSplineFlow(2, circular=[0, 1], **TINY)
    assert kinds(all_angles) == ["MaskedAutoregressive"] * 2


def test_an_angle_has_no_distribution_function():
    density = torus([0], 1)
    for function in (density.cdf, density.quantile):
        with pytest.raises(NotImplementedError, match="circle"):
            function([0.5])


def test_degrees_in_circular_columns_get_a_warning():
    density = torus(circular=[1], event_size=2)
    turn = RNG.uniform(0.0, 2.0 * np.pi, size=50)
    lengths = 100.0 * RNG.normal(size=50)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for angle in (turn, turn - np.pi):
            density.check_support(np.stack([lengths, angle], axis=1))
    rows = np.stack([lengths, np.rad2deg(turn)], axis=1)
    with pytest.warns(UserWarning, match="radians in the circular column 1; got numbers"):
        density.initialize(rows)
