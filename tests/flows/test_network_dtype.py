"""Flows whose networks compute in bfloat16, and all else in float32."""

import flow_cases
import keras
import numpy as np
import pytest
import tensorflow as tf
from derivatives import op_by_op
from random_weights import randomize
from slow_cases import with_slow

import tfp_flows as tff

MIXED = {"network_dtype": "mixed_bfloat16"}
CASES = flow_cases.CASES
QUICK = {"iaf_context", "real_nvp", "spline_coupling"}
# "real_nvp_lu_mixing" has the largest differences in the last digits of float32.
SLOW = {"glow", "real_nvp_image", "maf_random_lu_everything", "real_nvp_recompute"}
SLOW |= {"glow_recompute", "made", "nice", "real_nvp_lu_mixing"}
NAMES = with_slow(sorted(QUICK | SLOW), SLOW)
TINY = {"num_steps": 2, "hidden_units": (8,), "seed": 0}
IMAGES = {"num_levels": 2, "num_steps": 1, "hidden_channels": 4, "context_size": 2}
IMAGES |= {"seed": 0}
# Rounding to bfloat16 changes a number by 0.2 % (2^-9) at most.
OF_LOG_PROB, OF_GRADIENT, OF_JUMP = 0.02, 0.05, 0.05


def networks(flow):
    found = [m for m in flow.submodules if isinstance(m, tff.Conditioner)]
    assert found
    return [conditioner.network for conditioner in found]


def policies(flow):
    return {(n.compute_dtype, n.variable_dtype) for n in networks(flow)}


def answers(flow, case):
    """Densities of 32 points with gradients, and the points that come back."""
    x = case.points((32,)).astype(np.float32)
    context = {k: v.astype(np.float32) for k, v in case.context((32,)).items()}
    with tf.GradientTape() as tape:
        z, log_det = flow.inverse_and_log_det(x, **context)
        rows = tf.reshape(z, [len(x), -1])
        log_prob = log_det - 0.5 * tf.reduce_sum(rows**2, axis=1)
        loss = tf.reduce_mean(log_prob)
    gradients = tape.gradient(loss, flow.trainable_variables)
    y, back = flow.forward_and_log_det(z, **context)
    found = {"z": z, "y": y, "log_det": log_det, "back": back, "log_prob": log_prob}
    return {"x": x, "gradients": gradients, **found}


@pytest.mark.parametrize("name", NAMES)
def test_networks_alone_compute_in_bfloat16(name):
    case = CASES[name]
    flow = randomize(case.build("float32", **MIXED), stddev=0.3)
    plain_flow = randomize(case.build("float32"), stddev=0.3)
    assert policies(plain_flow) == {("float32", "float32")}
    assert policies(flow) == {("bfloat16", "float32")}
    assert {v.dtype for v in flow.trainable_variables} == {tf.float32}
    with op_by_op():
        found, plain = answers(flow, case), answers(plain_flow, case)
    for key in ("z", "y", "log_det", "back", "log_prob"):
        assert found[key].dtype == tf.float32
        assert np.isfinite(found[key]).all()
    assert np.abs(found["log_prob"] - plain["log_prob"]).max() > 0.0
    # Both directions round alike, except where a change of float32's last digit makes a
    # later network round differently.
    errors = np.abs(found["y"] - found["x"]).reshape(32, -1).max(axis=1)
    from_log_det = np.abs(found["log_det"] + found["back"]) / (1 + np.abs(found["back"]))
    for error in (errors, from_log_det):
        assert np.quantile(error, 0.9) < 1e-5
        assert error.max() < OF_JUMP
    # Densities and gradients are nearly those of float32.
    error = np.abs(found["log_prob"] - plain["log_prob"])
    assert error.max() <= OF_LOG_PROB * max(np.abs(plain["log_prob"]).max(), 1.0)
    assert {g.dtype for g in found["gradients"]} == {tf.float32}
    norm = tf.linalg.global_norm
    pairs = zip(found["gradients"], plain["gradients"], strict=True)
    assert norm([a - b for a, b in pairs]) < OF_GRADIENT * norm(plain["gradients"])


SAVED = {
    "maf": ((3,), lambda **how: tff.MAF(3, context_size=2, **TINY, **how)),
    "angles": (
        (3,),
        lambda **how: tff.NeuralSplineFlow(
            3, coupling=True, circular=[0], num_bins=3, context_size=2, **TINY, **how
        ),
    ),
    "glow": ((4, 4, 1), lambda **how: tff.Glow((4, 4, 1), **IMAGES, **how)),
}


@pytest.mark.usefixtures("op_by_op")
@pytest.mark.parametrize("name", SAVED)
def test_a_saved_flow_computes_as_it_did(name, tmp_path):
    shape, make = SAVED[name]
    flow = randomize(make(**MIXED), stddev=0.3)
    base = tff.standard_normal(flow.inverse_event_shape(shape))
    if name == "angles":
        base = tff.circular_base(3, circular=[0])
        # In bfloat16, the density would jump where the circle closes.
        outer = next(n for n in networks(flow) if type(n).__name__ == "CircularInputs")
        assert (outer.compute_dtype, outer.network.compute_dtype) == ("float32", "bfloat16")
    model = tff.DensityEstimator(tff.FlowDistribution(base, flow))
    model.save(tmp_path / "flow.keras")
    loaded = keras.saving.load_model(tmp_path / "flow.keras").distribution
    assert loaded.bijector.parameters["network_dtype"] == "mixed_bfloat16"
    x, context = np.ones([5, *shape], np.float32), np.ones([5, 2], np.float32)
    log_prob = model.distribution.log_prob(x, context=context)
    np.testing.assert_array_equal(loaded.log_prob(x, context=context), log_prob)
