"""Callbacks that flows need and Keras lacks."""

from __future__ import annotations

import sys
import time
from typing import Any

import keras
import numpy as np
from tensorflow.types.experimental import TensorLike

from tfp_flows.core.arguments import check_instance, check_number, require
from tfp_flows.core.rows import initialize_part
from tfp_flows.distributions.distribution_checks import check_rows_of

_SILENT_SECONDS = 3.0  # seconds before the first line of progress
_BETWEEN_ON_TERMINAL, _BETWEEN_IN_FILE = 0.2, 10.0  # seconds between two lines


class StopOnNaN(keras.callbacks.Callback):
    """Stops training when loss or weights are not finite, with the best weights so far.

    Unlike `keras.callbacks.TerminateOnNaN`, it restores usable weights: those of the epoch
    with the lowest `monitor`, or the initial ones. `DensityEstimator.fit` adds one. It
    checks the loss after each batch and the weights after each epoch, since the loss may be
    finite while weights are NaN. The state of the optimizer is lost; compile again before
    further training.

    Args:
      monitor: name of the metric by which epochs are compared. Epochs without it do not
        count; if all are without it, the training loss is compared.

    Attributes:
      stopped_epoch: the epoch, counted from 1, in which something was not finite; or None.

    >>> import tfp_flows
    >>> stop = tfp_flows.StopOnNaN("loss")  # model.fit(rows, callbacks=[stop])
    >>> stop.stopped_epoch is None
    True
    """

    def __init__(self, monitor: str = "val_loss") -> None:
        super().__init__()
        check_instance("monitor", monitor, str, "the name of a metric")
        self.monitor = monitor
        self.stopped_epoch: int | None = None
        self._weights: list | None = None
        self._finite_at_first: list[bool] | None = None

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Forgets an earlier training."""
        self.stopped_epoch = None
        self._best, self._is_monitored = np.inf, False
        self._best_epoch = self._epoch = 0
        self._weights = self._finite_at_first = None

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Keeps the initial weights, which a `BackupAndRestore` has restored by now."""
        self._epoch = epoch + 1
        if self._finite_at_first is None:
            weights = self.model.get_weights()
            # A weight may be infinite on purpose, such as a bound.
            self._finite_at_first = [_is_finite(weight) for weight in weights]
            if self._weights is None:  # not restored with a run
                self._weights, self._best_epoch = weights, epoch

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Stops at the first batch whose loss is not finite."""
        if not np.isfinite((logs or {}).get("loss", 0.0)):
            self._stop(
                f"The loss is not finite at batch {batch + 1} of epoch {self._epoch}"
            )

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Keeps the weights of the best epoch; stops if some are not finite."""
        if self.stopped_epoch is not None:
            return
        weights = self.model.get_weights()
        if not self._are_finite(weights):
            self._stop(f"A weight is not finite after epoch {self._epoch}")
            return
        logs = logs or {}
        if self.monitor in logs and not self._is_monitored:
            self._is_monitored, self._best = True, np.inf
        value = logs.get(self.monitor if self._is_monitored else "loss", np.inf)
        if value < self._best:
            self._best, self._best_epoch = value, epoch + 1
            self._weights = weights

    def on_train_end(self, logs: dict | None = None) -> None:
        """Restores the weights, which another callback may have replaced by NaN."""
        if self.stopped_epoch is not None:
            self.model.set_weights(self._weights)
        elif self._finite_at_first and not self._are_finite(self.model.get_weights()):
            self._stop("A weight is not finite at the end of training")

    def _are_finite(self, weights):
        pairs = zip(weights, self._finite_at_first or (), strict=True)
        return all(_is_finite(weight) for weight, at_first in pairs if at_first)

    def _stop(self, reason):
        self.model.stop_training = True
        if self.stopped_epoch is not None:
            return
        self.stopped_epoch = self._epoch
        self.model.set_weights(self._weights)
        kept = f"epoch {self._best_epoch}" if self._best_epoch else "the start"
        print(f"\n{reason}; stopped, with the weights of {kept}.")


class BoundedProgress(keras.callbacks.ProgbarLogger):
    """Keras's progress bar, which ends at the number of steps.

    With `steps_per_execution`, Keras's own counts the last execution as a complete one.
    """

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Records the number of steps before the epoch."""
        super().on_epoch_begin(epoch, logs)
        self._start = int(self.model.optimizer.iterations)

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Shows the number of steps of the epoch so far."""
        done = int(self.model.optimizer.iterations) - self._start
        super().on_train_batch_end(done - 1, logs)

    def on_test_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Shows the number of batches of `evaluate` so far."""
        super().on_test_batch_end(self._bounded(batch), logs)

    def on_predict_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Shows the number of batches of `predict` so far."""
        super().on_predict_batch_end(self._bounded(batch), logs)

    def _bounded(self, batch):
        return batch if self.target is None else min(batch, self.target - 1)


class StopAfter(keras.callbacks.Callback):
    """Ends training after some seconds or steps, with a learning rate that falls before.

    Over the second half of the seconds or steps the learning rate falls linearly to a
    hundredth, once an epoch. Between batches and after training the optimizer has its own
    rate, which other callbacks may change. A rate that follows a `LearningRateSchedule` is
    left alone. The last epoch is validated, so that callbacks which keep the best weights
    have some.

    Args:
      seconds: wall time from the beginning of training; no bound if None.
      steps: training steps from there; no bound if None.

    Raises:
      ValueError: if one is negative, or both are None.

    >>> import tfp_flows
    >>> stop = tfp_flows.training.StopAfter(60.0)  # model.fit(rows, callbacks=[stop])
    """

    def __init__(self, seconds: float | None = None, steps: int | None = None) -> None:
        super().__init__()
        has_bound = seconds is not None or steps is not None
        require(has_bound, "`seconds` or `steps`", "neither")
        for name, value in (("seconds", seconds), ("steps", steps)):
            if value is not None:
                check_number(name, value, "0 or more", lambda value: value >= 0.0)
        self._seconds, self._steps = seconds, steps

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Starts the clock, and the count of steps."""
        self._start = time.monotonic()
        self._first_step = int(self.model.optimizer.iterations)

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Determines the learning rate of the epoch."""
        self._share = min(max(2.0 * (1.0 - self._progress()), 0.01), 1.0)

    def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        """Lowers the learning rate, for steps alone."""
        rate = self.model.optimizer.learning_rate
        self._own_rate = None
        if self._share < 1.0 and isinstance(rate, keras.Variable):
            self._own_rate = float(rate)
            rate.assign(self._share * self._own_rate)

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Puts the optimizer's own rate back, and stops if the time is over."""
        if self._own_rate is not None:
            self.model.optimizer.learning_rate.assign(self._own_rate)
        if self._progress() >= 1.0:
            self.model.stop_training = True

    def _progress(self):
        """The larger share of seconds and steps that is over."""
        over = 0.0
        if self._seconds is not None:
            over = (time.monotonic() - self._start) / max(self._seconds, 1e-9)
        if self._steps is not None:
            steps = int(self.model.optimizer.iterations) - self._first_step
            over = max(over, steps / max(self._steps, 1))
        return over


class FitProgress(keras.callbacks.Callback):
    """Writes epoch, losses and seconds to the standard error.

    ```none
    epoch 152 of at most 500: loss 1.2604, val_loss 1.8011, 21 s
    ```

    A terminal has one line that changes; a file gets a line every ten seconds. Keras's
    progress bar writes a line for each of some hundred epochs.

    Args:
      epochs: the maximum number of epochs.
    """

    def __init__(self, epochs: int) -> None:
        super().__init__()
        self._epochs = epochs

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Starts the clock."""
        self._start = time.monotonic()
        self._next = self._start + _SILENT_SECONDS
        self._line = self._last = ""
        if sys.stderr.isatty():  # tracing makes the first step slow
            self._write(f"epoch 1 of at most {self._epochs}: preparing")

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Writes a line if the last one is some time ago."""
        now, logs = time.monotonic(), logs or {}
        losses = "".join(f" {k} {logs[k]:.4f}," for k in ("loss", "val_loss") if k in logs)
        line = f"epoch {epoch + 1} of at most {self._epochs}:{losses}"
        self._last = f"{line} {now - self._start:.0f} s"
        if now >= self._next:
            self._write(self._last)

    def on_train_end(self, logs: dict | None = None) -> None:
        """Writes the last line if there was one before."""
        if self._line:
            self._write(self._last, end="\n")

    def _write(self, line, end=""):
        is_terminal = sys.stderr.isatty()
        wait = _BETWEEN_ON_TERMINAL if is_terminal else _BETWEEN_IN_FILE
        self._next = time.monotonic() + wait
        if is_terminal:
            sys.stderr.write(f"\r{line.ljust(len(self._line))}{end}")
        elif line != self._line:
            sys.stderr.write(f"{line}\n")
        sys.stderr.flush()
        self._line = line


def progress(verbose: int | str, epochs: int) -> tuple[list[FitProgress], int]:
    """Returns callbacks that show the progress of `fit`, and Keras's `verbose`."""
    if verbose == "auto":
        return [FitProgress(epochs)], 0
    require(verbose in (0, 1, 2), "`verbose` of 'auto', 0, 1 or 2", repr(verbose))
    return [], int(verbose)


class FullDataBatchStatistics(keras.callbacks.Callback):
    """Sets every `BatchNorm` to the statistics of the whole training set.

    It replaces the running averages of training before each validation and at the end, like
    the authors of MAF.

    Args:
      data: `[N, *event]`, the training rows.
      context: `[N, context_size]`, if the flow is conditional.
      sample_weight: `[N]`, the weights that `fit` gets; None if all rows count alike.

    >>> import tfp_flows
    >>> rows = [[0.0, 10.0], [2.0, 50.0]]
    >>> flow = tfp_flows.MAF(2, num_steps=1, batch_norm=True, seed=0)
    >>> dist = tfp_flows.FlowDistribution(tfp_flows.standard_normal(2), flow)
    >>> statistics = tfp_flows.training.FullDataBatchStatistics(rows)  # a callback of `fit`
    >>> statistics.check(tfp_flows.DensityEstimator(dist))

    Reference:
      Papamakarios, Pavlakou, Murray (2017), MAF, the authors' code.
      https://arxiv.org/abs/1705.07057
    """

    def __init__(
        self,
        data: TensorLike,
        context: TensorLike | None = None,
        *,
        sample_weight: TensorLike | None = None,
    ) -> None:
        super().__init__()
        if isinstance(data, str) or not np.ndim(data):
            raise ValueError(f"Expected `data` of shape [N, *event]; got {data!r}.")
        self._data = data
        self._context = context
        self._weight = sample_weight

    def check(self, model: keras.Model) -> None:
        """Refuses rows that are no events of the distribution, before anything is set."""
        check_rows_of(model.distribution, self._data, self._context, self._weight)

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Calls `check`, for training loops that do not."""
        self.check(self.model)

    def on_test_begin(self, logs: dict | None = None) -> None:
        """Sets the statistics before a validation."""
        self._set_statistics()

    def on_train_end(self, logs: dict | None = None) -> None:
        """Sets the statistics of the final weights."""
        self._set_statistics()

    def _set_statistics(self):
        density = self.model.distribution
        initialize_part(density, self._data, self._context, self._weight)


def as_list(callbacks: Any) -> list[keras.callbacks.Callback]:
    """Returns `callbacks`, in any form that `fit` takes, as a list."""
    callbacks = callbacks or []
    if isinstance(callbacks, keras.callbacks.CallbackList):
        return callbacks.callbacks
    return list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks]


def _is_finite(weight):
    return weight.dtype.kind in "biu" or bool(np.isfinite(weight).all())
