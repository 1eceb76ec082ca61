"""The step size rises along a line, and then falls along a cosine or stays."""

import dataclasses

import numpy as np
import pytest
import tiny_runs

from experiments.runs import fitting

NUM_ROWS, EPOCHS, HIGHEST = 2050, 4, 0.5  # of 3 batches an epoch
SETTINGS = dataclasses.replace(
    tiny_runs.TINY, epochs=EPOCHS, batch_size=1000, learning_rate=HIGHEST
)


def step_sizes(**changes):
    """Those of one step more than all epochs have."""
    found = fitting.schedule(dataclasses.replace(SETTINGS, **changes), NUM_ROWS)
    return np.array([found(n) if callable(found) else found for n in range(13)])


def cosine(num_steps):
    return 0.5 * (1.0 + np.cos(np.pi * np.arange(num_steps + 1) / num_steps))


RISE = np.arange(1, 6) / 6.0
EXPECTED = {
    "cosine": ({}, cosine(12)),
    "warm-up and cosine": ({"warmup_steps": 5}, [*RISE, *cosine(7)]),
    "warm-up": ({"warmup_steps": 5, "cosine_decay": False}, [*RISE, *np.ones(8)]),
    "warm-up without an end": ({"warmup_steps": 99}, np.arange(1, 14) / 100.0),
    "constant": ({"cosine_decay": False}, np.ones(13)),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_step_sizes_are_those_of_the_formula(name):
    changes, shares = EXPECTED[name]
    np.testing.assert_allclose(step_sizes(**changes), HIGHEST * np.array(shares), atol=1e-6)
