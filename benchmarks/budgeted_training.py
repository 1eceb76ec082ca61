"""Training with a budget of time, for any library; needs NumPy only."""

import dataclasses
import math
import time

import numpy as np

from benchmarks.timing import Contender

_NUM_BINS = 256
_IMAGES_A_CALL = 250
_ROWS_A_CALL = 5000


@dataclasses.dataclass(frozen=True)
class Images:
    """Images to train on and images to score, each `[N, H, W, C]`, bytes.

    Each epoch draws new noise. Scores are bits per dimension.
    """

    train: np.ndarray
    test: np.ndarray

    def batch(self, indices, rng):
        """Returns training images in `[0, 1)`."""
        return _dequantize(self.train[indices], rng)

    def scores(self, log_prob):
        """Returns bits per dimension of each test image, `[N]`, by their log-densities."""
        rng = np.random.default_rng(1)  # the same noise for all contenders
        parts = _parts(self.test, _IMAGES_A_CALL)
        nats = np.concatenate([log_prob(_dequantize(part, rng)) for part in parts])
        size = math.prod(self.test.shape[1:])
        return math.log2(_NUM_BINS) - nats.astype(np.float64) / (size * math.log(2.0))


@dataclasses.dataclass(frozen=True)
class Rows:
    """Rows to train on and rows to score, each `[N, D]`; scores are in nats."""

    train: np.ndarray
    test: np.ndarray

    def batch(self, indices, rng):
        """Returns training rows."""
        return self.train[indices]

    def scores(self, log_prob):
        """Returns the log-density of each test row, `[N]`."""
        nats = [log_prob(part) for part in _parts(self.test, _ROWS_A_CALL)]
        return np.concatenate(nats).astype(np.float64)


@dataclasses.dataclass(frozen=True)
class Budget:
    """The length and the settings of a training.

    Attributes:
      seconds: total training time, with tracing and compiling, without scoring.
      num_turns: number of turns; contenders train in turns.
      batch_size: images, or rows, per step.
      learning_rate: Adam's initial step size; it falls to 0 along a cosine over the budget.
      clip_norm: maximum norm of gradients.
    """

    seconds: float
    num_turns: int
    batch_size: int
    learning_rate: float
    clip_norm: float = 50.0


@dataclasses.dataclass(frozen=True)
class Progress:
    """The state of a training after a turn.

    Attributes:
      seconds: training time so far.
      processor_seconds: processor time of this process in the training so far.
      num_rows: images or rows in all steps so far.
      scores: score of each test image or row, `[N]`.
    """

    seconds: float
    processor_seconds: float
    num_rows: int
    scores: np.ndarray


class BudgetedTraining:
    """Trains a model in turns.

    Args:
      initialize: function of a batch, called before the first step.
      step: function of a batch and the learning rate that takes one step, and returns the
        loss.
      log_prob: function of images or rows that returns their log-densities.
      data: an `Images` or `Rows`.
      budget: a `Budget`.
    """

    def __init__(self, initialize, step, log_prob, data, budget):
        self._initialize = initialize
        self._step = step
        self._log_prob = log_prob
        self._data = data
        self._budget = budget
        self._rng = np.random.default_rng(0)
        self._batches = self._draw_batches()
        self._seconds = self._processor_seconds = 0.0
        self._num_turns = self._num_steps = 0

    def contender(self, name, num_parameters):
        """Returns a `Contender` with one turn per run, which returns a `Progress`."""
        return Contender(name, self._turn, 1, num_parameters)

    def _turn(self):
        budget = self._budget
        self._num_turns += 1
        end = budget.seconds * self._num_turns / budget.num_turns
        before, used = self._seconds, self._processor_seconds
        start, processor_start = time.perf_counter(), time.process_time()
        while self._seconds < end:
            x = next(self._batches)
            if self._num_steps == 0:
                self._initialize(x)
            share = min(self._seconds / budget.seconds, 1.0)
            cosine = 0.5 * (1.0 + math.cos(math.pi * share))
            loss = self._step(x, budget.learning_rate * cosine)
            if not math.isfinite(loss):
                raise FloatingPointError(f"Expected a finite loss; got {loss}.")
            self._num_steps += 1
            self._seconds = before + time.perf_counter() - start
        self._processor_seconds = used + time.process_time() - processor_start
        return Progress(
            self._seconds,
            self._processor_seconds,
            self._num_steps * budget.batch_size,
            self._data.scores(self._log_prob),
        )

    def _draw_batches(self):
        size, num_rows = self._budget.batch_size, len(self._data.train)
        while True:
            order = self._rng.permutation(num_rows)
            for start in range(0, num_rows - size + 1, size):
                yield self._data.batch(order[start : start + size], self._rng)


def _parts(rows, size):
    return [rows[i : i + size] for i in range(0, len(rows), size)]


def _dequantize(pixels, rng):
    noisy = (pixels + rng.random(pixels.shape, np.float32)) / np.float32(_NUM_BINS)
    return np.minimum(noisy, np.float32(1.0 - 2.0**-24))
