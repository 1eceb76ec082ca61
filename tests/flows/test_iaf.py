"""Default gates of IAF, and points far from its samples."""

import numpy as np
import pytest
from random_weights import randomize

import tfp_flows as tff


def deep(num_steps, **options):
    return tff.IAF(2, num_steps=num_steps, hidden_units=(4,), seed=0, **options)


@pytest.mark.usefixtures("op_by_op")
@pytest.mark.parametrize("num_steps", [1, 4, 64])
def test_fresh_gates_of_any_depth_leave_more_than_half_of_the_scale(num_steps):
    x = np.array([[1.0, -1.0]], np.float32)
    scale = deep(num_steps).forward(x).numpy() / x
    from_four = 1.0 / (1.0 + np.exp(-2.0))
    assert scale.min() > 0.58
    assert scale.max() < 0.9
    if num_steps <= 4:
        np.testing.assert_allclose(scale, from_four**num_steps, rtol=1e-5)


@pytest.mark.usefixtures("op_by_op")
def test_way_back_through_32_steps_keeps_digits_that_a_fixed_bias_loses():
    rows = np.random.default_rng(0).normal(size=(64, 2)).astype(np.float32)
    errors = {}
    for bias in (None, 2.0):
        transformer = bias and tff.transformers.Gated(bias)
        flow = randomize(deep(32, transformer=transformer), stddev=0.3)
        errors[bias] = np.abs(flow.forward(flow.inverse(rows)) - rows).max()
    assert errors[None] < 1e-5
    assert errors[2.0] > 1.0


DEEP = {"num_steps": 4, "hidden_units": (8, 8), "seed": 0}
SCALES = np.array([1.0, 1e2, 1e4, 1e8, 1e15])[:, None, None]


@pytest.mark.parametrize("transformer", [tff.transformers.Gated(), tff.Affine()])
def test_far_points_are_improbable_under_heavy_tails(transformer, rng):
    """Where latents overflow, log-dets of steps must not outweigh the cost of the tails."""
    flow = tff.IAF(6, **DEEP, transformer=transformer, standardize=True)
    flow.initialize(rng.normal(size=(100, 6)))
    x = (SCALES * rng.normal(size=(50, 6))).reshape(-1, 6).astype(np.float32)
    for stddev in (1.0, 3.0, 10.0):
        density = tff.FlowDistribution(
            tff.standard_normal(6), randomize(flow, stddev=stddev)
        )
        log_prob = density.log_prob(x).numpy()
        assert not np.isnan(log_prob).any()
        assert log_prob.max() < 200.0
