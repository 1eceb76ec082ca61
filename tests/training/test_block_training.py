"""Blocks of several steps in one XLA program train as single steps do."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_estimator import from_flow
from subject import all_close

import tfp_flows as tff
from tfp_flows.training import blocks

SIZES = (5, 5, 5, 3, 5, 7, 7, 5, 5)


def assert_alike(make_data, num_steps, make_flow=lambda: tff.ActNorm(2), **kwargs):
    """Checks that single steps and blocks end at the same weights and losses."""
    found = []
    for steps in (1, 4):
        model = from_flow(make_flow(), jit_compile=True, steps_per_execution=steps)
        kwargs = {"epochs": 2, "verbose": 0, "shuffle": False, **kwargs}
        history = model.fit(make_data(), **kwargs).history
        assert int(model.optimizer.iterations) == num_steps
        found.append([*model.get_weights(), *history.values()])
    all_close(*found, 1e-5)


@pytest.mark.slow
def test_blocks_of_an_array_with_weights_and_validation(banana):
    weight = np.linspace(0.5, 1.5, 50)
    kwargs = {"batch_size": 8, "validation_split": 0.2, "sample_weight": weight}
    assert_alike(lambda: banana[:50], 10, **kwargs)


@pytest.mark.slow
def test_blocks_of_a_flow_with_dropout(banana):
    def flow():
        keras.utils.set_random_seed(0)
        return tff.MAF(2, num_steps=2, hidden_units=(8,), dropout=0.1, seed=0)

    assert_alike(lambda: banana, 8, batch_size=150, make_flow=flow)


def test_no_batch_of_another_size_is_lost(banana):
    parts = np.split(banana[: sum(SIZES)], np.cumsum(SIZES)[:-1])
    spec = tf.TensorSpec([None, 2], tf.float32)
    batches = tf.data.Dataset.from_generator(lambda: iter(parts), output_signature=spec)
    assert_alike(lambda: batches, 2 * len(SIZES))


@pytest.mark.slow
def test_large_batches_are_taken_one_by_one(banana, monkeypatch):
    monkeypatch.setattr(blocks, "_BLOCK_BYTES", 100)
    assert_alike(lambda: banana[:60], 8, batch_size=15)


def test_what_is_not_dense_is_left_to_keras():
    ragged = tf.ragged.constant([[[1.0]], [[2.0], [3.0]]], ragged_rank=1)
    batches = iter(tf.data.Dataset.from_tensors(ragged))
    kept = blocks.in_blocks(None, len, lambda iterator: iterator)
    assert kept(batches) is batches
