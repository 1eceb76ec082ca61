"""Networks that compute in another dtype than their flow."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from random_weights import randomize

import tfp_flows as tff
from tfp_flows import masks

pytestmark = pytest.mark.usefixtures("all_op_by_op")

X = np.random.default_rng(0).normal(size=(16, 4))


@pytest.fixture(params=["mixed_float16", "mixed_bfloat16"])
def policy(request):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy(before)


def users_network(**kwargs):
    layers = [keras.layers.Dense(8, "tanh", **kwargs), keras.layers.Dense(4, **kwargs)]
    return keras.Sequential(layers)


def coupling(network, dtype="float32"):
    return tff.Coupling(masks.half(4), tff.Conditioner(network, 2), dtype=dtype)


def masked(constructor, network_dtype, dtype):
    network = tff.MaskedMLP(2, (8, 8), [1, 2, 3, 4], dtype=network_dtype, seed=0)
    return constructor(4, tff.Conditioner(network, 4), tff.Affine(), dtype=dtype)


def error_of_round_trip(flow):
    x, inverse_log_det = randomize(flow, stddev=0.2).inverse_and_log_det(X)
    y, log_det = flow.forward_and_log_det(x)
    assert {t.dtype for t in (x, y, log_det, inverse_log_det)} == {flow.dtype}
    assert np.abs(log_det).max() > 1e-3
    return max(np.abs(y - X).max(), np.abs(log_det + inverse_log_det).max())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_global_policy_does_not_reach_log_dets(policy, dtype):
    assert error_of_round_trip(coupling(users_network(), dtype)) < 1e-5
    assert error_of_round_trip(coupling(tff.MLP(4, (8,), seed=0), dtype)) < 1e-5


# Dtype of the networks, dtype of the flow, and bound on the error of a round trip.
OTHERS = [("float32", "float64", 1e-12), ("float64", "float32", 1e-5)]


@pytest.mark.parametrize(("network_dtype", "dtype", "most"), OTHERS)
def test_flow_keeps_its_precision_beside_networks_of_another(network_dtype, dtype, most):
    assert error_of_round_trip(coupling(users_network(dtype=network_dtype), dtype)) < most
    for constructor in (tff.MaskedAutoregressive, tff.InverseAutoregressive):
        assert error_of_round_trip(masked(constructor, network_dtype, dtype)) < most


@pytest.mark.parametrize(
    ("network_dtype", "dtype"), [("float32", "float64"), ("mixed_float16", "float32")]
)
def test_sequential_direction_has_gradients_in_another_precision(network_dtype, dtype):
    flow = randomize(masked(tff.MaskedAutoregressive, network_dtype, dtype), stddev=0.2)
    with tf.GradientTape() as tape:
        y, log_det = flow.forward_and_log_det(tf.constant(X, dtype))
        loss = tf.reduce_sum(y) + tf.reduce_sum(log_det)
    (gradient,) = tape.gradient(loss, flow.trainable_variables)
    assert np.isfinite(gradient).all()
    assert np.abs(gradient).max() > 0.0
