"""What IAFs take by default: gates that open with depth, and for data bounded scales."""

import numpy as np
import pytest
from random_weights import randomize

import tfp_flows as tff

pytestmark = pytest.mark.usefixtures("op_by_op")


def deep(num_steps, **options):
    return tff.IAF(2, num_steps=num_steps, hidden_units=(4,), seed=0, **options)


@pytest.mark.parametrize("num_steps", [1, 4, 64])
def test_fresh_gates_of_any_depth_leave_more_than_half_of_the_scale(num_steps):
    x = np.array([[1.0, -1.0]], np.float32)
    scale = deep(num_steps).forward(x).numpy() / x
    from_four = 1.0 / (1.0 + np.exp(-2.0))
    assert scale.min() > 0.58
    assert scale.max() < 0.9
    if num_steps <= 4:
        np.testing.assert_allclose(scale, from_four**num_steps, rtol=1e-5)


def test_way_back_through_32_steps_keeps_digits_that_a_fixed_bias_loses():
    rows = np.random.default_rng(0).normal(size=(64, 2)).astype(np.float32)
    errors = {}
    for bias in (None, 2.0):
        transformer = bias and tff.Gated(bias)
        flow = randomize(deep(32, transformer=transformer), stddev=0.3)
        errors[bias] = np.abs(flow.forward(flow.inverse(rows)) - rows).max()
    assert errors[None] < 1e-5
    assert errors[2.0] > 1.0


def test_a_flow_for_data_has_bounded_scales_and_one_for_posteriors_gates():
    for_data, for_posteriors = deep(3, standardize=True), deep(3)
    assert isinstance(for_data.get_config()["transformer"], tff.Affine)
    assert isinstance(for_posteriors.get_config()["transformer"], tff.Gated)
    activations = [flow.get_config()["activation"] for flow in (for_data, for_posteriors)]
    assert activations == ["tanh", "elu"]
    chosen = deep(3, standardize=True, activation="relu", transformer=tff.Gated(1.0))
    assert chosen.get_config()["activation"] == "relu"
    assert chosen.get_config()["transformer"].bias == 1.0


def test_rows_far_from_those_of_training_keep_a_density_under_any_weights():
    # Gates stretched such rows from step to step, until they were beyond any float.
    flow = randomize(deep(4, standardize=True, heavy_tails=False), stddev=1.0)
    rows = np.array([[5.0, -5.0], [-30.0, 30.0]], np.float32)
    flow.initialize(np.random.default_rng(0).normal(size=(256, 2)).astype(np.float32))
    z = np.abs(flow.inverse(rows))
    assert z.max() < 1e7  # 30 times exp(2)^4, and shifts of a few units
