"""Twenty thousand steps of `fit`: traced once, and in the memory of the first thousands."""

import gc
import os
from pathlib import Path

import keras
import numpy as np
import pytest
from small_estimator import estimator

STEPS_OF_AN_EPOCH = 5000


class Memory(keras.callbacks.Callback):
    """Resident memory at the end of each epoch, in MiB."""

    def __init__(self):
        super().__init__()
        self.mebibytes = []

    def on_epoch_end(self, epoch, logs=None):
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        self.mebibytes.append(pages * os.sysconf("SC_PAGE_SIZE") / 2**20)


def train(epochs):
    """Returns the memory after each 5,000 steps, how often a step was traced, the loss."""
    model, memory, traces = estimator(), Memory(), []
    step = model.train_step
    model.train_step = lambda *args: traces.append(1) or step(*args)
    x = np.random.default_rng(0).normal(size=(64 * STEPS_OF_AN_EPOCH, 2))
    options = {"epochs": epochs, "batch_size": 64, "verbose": 0, "callbacks": [memory]}
    history = model.fit(x.astype(np.float32), **options).history
    assert int(model.optimizer.iterations) == epochs * STEPS_OF_AN_EPOCH
    return memory.mebibytes, len(traces), history["loss"]


@pytest.mark.slow
def test_neither_traces_nor_memory_grow():
    memory, num_traces, losses = train(4)
    assert num_traces == 1
    assert np.isfinite(losses).all()
    assert max(memory[1:]) - memory[0] < 16.0


if __name__ == "__main__":
    print(*train(20), sep="\n")
