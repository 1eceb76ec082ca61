"""Rows solved for stage by stage, beside whole products repeated until nothing changes."""

import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.networks import staircase

# Stage of each hidden unit: one a stage, several, none at some, and one stage only.
HIDDEN_STAGES = {
    "even": np.arange(12),
    "wide": np.repeat(np.arange(12), 5),
    "uneven": np.array([0, 0, 0, 2, 3, 3, 7, 7, 7, 7, 11, 12]),
    "one stage": np.zeros(4, int),
    "one stage, none due": np.ones(4, int),
}


@pytest.mark.parametrize("few_stages", [0, 192], ids=["blocks", "stages"])
@pytest.mark.parametrize("block_rows", [3, 32])
@pytest.mark.parametrize("name", HIDDEN_STAGES)
@pytest.mark.parametrize("rows_a_stage", [1, 2])
def test_equals_whole_products(
    rows_a_stage, name, block_rows, few_stages, rng, monkeypatch
):
    monkeypatch.setattr(staircase, "_FEW_STAGES", few_stages)
    monkeypatch.setattr(staircase, "_BLOCK_ROWS", block_rows)
    hidden_stages = HIDDEN_STAGES[name]
    num_stages = 1 if name.startswith("one stage") else 12
    stages = np.repeat(np.arange(num_stages), rows_a_stage)
    first = rng.normal(size=(len(hidden_stages), len(stages)))
    first *= stages < hidden_stages[:, None]
    second = rng.normal(size=(len(stages), len(hidden_stages)))
    second *= hidden_stages <= stages[:, None]
    direct = rng.normal(size=(len(stages), len(stages))) * (stages < stages[:, None])
    inputs = rng.normal(size=(num_stages, rows_a_stage, 3))
    base = rng.normal(size=(len(hidden_stages), 3))
    scale = rng.uniform(1.0, 2.0, size=base.shape)

    def step(stage, total):
        stage.write(0, tf.tanh(stage.value(0)) * stage.companion(0))
        values = stage.value(1) + stage.inputs
        return values, total + tf.reduce_sum(values)

    layers = [
        staircase.Layer(
            hidden_stages, tf.constant(base), [(0, tf.constant(first))], tf.constant(scale)
        ),
        staircase.Layer(
            stages,
            tf.zeros([len(stages), 1], tf.float64),
            [(1, tf.constant(second)), (0, tf.constant(direct))],
        ),
    ]
    start = tf.zeros([], tf.float64)
    rows, total = tf.function(
        lambda: staircase.climb(stages, layers, tf.constant(inputs), step, start),
        autograph=False,
    )()

    expected = np.zeros((len(stages), 3))
    for _ in range(num_stages):
        hidden = np.tanh(base + first @ expected) * scale
        expected = second @ hidden + direct @ expected + inputs.reshape(expected.shape)
    np.testing.assert_allclose(rows, expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(total, expected.sum(), rtol=1e-12)
