"""Training for a given time, and what the other libraries' environment has to hold."""

import subprocess
import sys

import numpy as np
import pytest

from benchmarks import budgeted_training
from benchmarks.budgeted_training import Budget
from benchmarks.budgeted_training import BudgetedTraining
from benchmarks.budgeted_training import Images
from benchmarks.budgeted_training import Rows

TORCH = ("autoregressive_torch", "autoregressive_jax", "binary_made_peers")
TORCH += ("glow_torch", "spline_flows_torch", "vae_torch", "worker")


class Work:
    """A model whose steps take three seconds each, of a clock that nobody else moves."""

    def __init__(self, monkeypatch, losses=1.0):
        self.seconds = 0.0
        self.rates, self.batches = [], []
        self.loss = losses
        for clock in ("perf_counter", "process_time"):
            monkeypatch.setattr(budgeted_training.time, clock, lambda: self.seconds)

    def step(self, x, learning_rate):
        self.seconds += 3.0
        self.rates.append(learning_rate)
        self.batches.append(x)
        return self.loss

    def score(self, x):
        self.seconds += 100.0  # does not count
        return np.zeros(len(x))

    def contender(self, num_turns=2):
        pixels = np.arange(7 * 4, dtype=np.uint8).reshape(7, 2, 2, 1) * 9
        training = BudgetedTraining(
            lambda x: self.batches.append(x),
            self.step,
            self.score,
            Images(pixels, pixels[:3]),
            Budget(10.0, num_turns, batch_size=2, learning_rate=1.0),
        )
        return training.contender("t", 0)


def test_turns_end_when_their_share_of_the_budget_is_over(monkeypatch):
    contender = Work(monkeypatch).contender()
    first, second = contender.run(), contender.run()
    assert (first.seconds, second.seconds) == (6.0, 12.0)
    assert (first.num_rows, second.num_rows) == (4, 8)
    assert second.processor_seconds == 12.0


def test_learning_rate_falls_along_a_cosine_of_the_time(monkeypatch):
    work = Work(monkeypatch)
    work.contender(num_turns=1).run()
    expected = [0.5 + 0.5 * np.cos(np.pi * share) for share in (0.0, 0.3, 0.6, 0.9)]
    np.testing.assert_allclose(work.rates, expected)


def test_noise_stays_in_the_bins_and_uniform_densities_have_eight_bits(monkeypatch):
    work = Work(monkeypatch)
    bits = work.contender().run().scores
    np.testing.assert_array_equal(bits, [8.0, 8.0, 8.0])
    pixels = np.concatenate([np.floor(x * 256.0) for x in work.batches[1:]])
    assert set(pixels.ravel()) <= set(np.arange(28) * 9.0)
    np.testing.assert_array_equal(work.batches[0], work.batches[1])  # initialises


def test_rows_are_taken_as_they_are_and_scored_in_nats(monkeypatch):
    work = Work(monkeypatch)
    rows = np.arange(14.0, dtype=np.float32).reshape(7, 2)
    training = BudgetedTraining(
        lambda x: None,
        work.step,
        lambda x: x.sum(axis=1),
        Rows(rows, rows[:3]),
        Budget(10.0, 1, batch_size=2, learning_rate=1.0),
    )
    np.testing.assert_array_equal(training.contender("t", 0).run().scores, [1, 5, 9])
    seen = np.concatenate(work.batches)
    assert {tuple(row) for row in seen[:6]} <= {tuple(row) for row in rows}
    assert len(np.unique(seen[:6], axis=0)) == 6


def test_losses_that_are_not_finite_are_refused(monkeypatch):
    with pytest.raises(FloatingPointError, match="finite loss; got nan"):
        Work(monkeypatch, losses=np.nan).contender().run()


def test_what_runs_beside_torch_needs_no_tensorflow():
    modules = ", ".join(f"benchmarks.{name}" for name in TORCH)
    code = f"import sys; sys.modules['tensorflow'] = None; import {modules}"
    subprocess.run([sys.executable, "-c", code], check=True)
