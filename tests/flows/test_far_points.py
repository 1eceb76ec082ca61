"""Points far from where a flow sends its latents: finite densities and gradients."""

import numpy as np
import pytest
import tensorflow as tf
from random_weights import randomize

import tfp_flows as tff

FLOWS = {
    "iaf": lambda: tff.IAF(6, num_steps=4, hidden_units=(8, 8), seed=0),
    "iaf_affine": lambda: tff.IAF(
        6, num_steps=4, hidden_units=(8, 8), transformer=tff.Affine(), seed=0
    ),
    "maf_inverted": lambda: tff.Invert(tff.MAF(6, num_steps=4, hidden_units=(8,), seed=0)),
}

SCALES = np.array([1.0, 1e2, 1e4, 1e8, 1e15])[:, None, None]


@pytest.mark.parametrize("transformer", [tff.transformers.Gated(), tff.Affine()])
def test_far_points_are_improbable_under_heavy_tails(transformer, rng):
    """Where latents overflow, log-dets of steps must not outweigh what tails cost."""
    flow = tff.IAF(
        6,
        num_steps=4,
        hidden_units=(8, 8),
        transformer=transformer,
        standardize=True,
        seed=0,
    )
    flow.initialize(rng.normal(size=(100, 6)))
    x = (SCALES * rng.normal(size=(50, 6))).reshape(-1, 6).astype(np.float32)
    for stddev in (1.0, 3.0, 10.0):
        density = tff.FlowDistribution(
            tff.standard_normal(6), randomize(flow, stddev=stddev)
        )
        log_prob = density.log_prob(x).numpy()
        assert not np.isnan(log_prob).any()
        assert log_prob.max() < 200.0


@pytest.mark.slow_ids("iaf_affine")
@pytest.mark.parametrize("name", FLOWS)
def test_gradients_of_densities_of_far_points_are_finite(name):
    flow = randomize(FLOWS[name](), stddev=3.0)
    density = tff.FlowDistribution(tff.standard_normal(6), flow)
    directions = np.random.default_rng(0).normal(size=(20, 6))
    x = tf.constant((SCALES * directions).reshape(-1, 6), tf.float32)

    @tf.function(autograph=False)
    def gradients():
        with tf.GradientTape() as tape:
            tape.watch(x)
            # Not the sum of all: a few of these densities are zero in float32.
            log_prob = tf.maximum(density.log_prob(x), -1e30)
            loss = tf.reduce_sum(log_prob)
        return [loss, *tape.gradient(loss, [x, *flow.trainable_variables])]

    for result in gradients():
        assert np.isfinite(result).all()
