"""How a table's distribution is fitted: batches, early stopping, options."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import os
import pathlib
import sys
import time
import zipfile
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorflow.types.experimental import TensorLike

from tfp_flows.core.arguments import check_integer
from tfp_flows.core.arguments import check_number
from tfp_flows.core.compiled import CompiledCall
from tfp_flows.distributions.distribution_wrapper import DistributionWrapper
from tfp_flows.tables.distribution import TableDistribution
from tfp_flows.training.data import row_batches
from tfp_flows.training.density_estimator import DensityEstimator

__all__ = ["fit_rows", "FitOptions", "recalibrate"]


@dataclasses.dataclass(frozen=True)
class FitOptions:
    """How `TableDensity.fit` trains.

    Args:
      epochs: at most so many passes over the rows.
      batch_size: rows in a step; by default 64, and more from 12,800 rows on.
      learning_rate: of Adam.
      patience: epochs without a better validation loss after which a network stops, and
        returns to its best weights; training ends when all have.
      validation_split: share of the rows, drawn by the seed, that a member is not trained
        on, others for each.
      validation_frame: rows for that, in place of a share.
      verbose: "auto": a line of progress on the standard error, if the fit takes more
        than some seconds; otherwise as in `keras.Model.fit`, 0 for silence.
      backup: file that keeps the state of the fit. If there is one, of an interrupted fit
        of the same rows and options, it goes on from there, to the same numbers.

    Raises:
      ValueError: if one is out of its range.
    """

    epochs: int = 500
    batch_size: int | None = None
    learning_rate: float = 1e-3
    patience: int = 30
    validation_split: float = 0.1
    validation_frame: Any = None
    verbose: int | str = "auto"
    backup: str | os.PathLike | None = None

    def __post_init__(self) -> None:
        check_integer("epochs", self.epochs)
        check_integer("patience", self.patience)
        if self.batch_size is not None:
            check_integer("batch_size", self.batch_size)
        check_number("learning_rate", self.learning_rate, "above 0", lambda r: r > 0.0)
        share = self.validation_split
        check_number("validation_split", share, "in (0, 1)", lambda s: 0.0 < s < 1.0)

    @property
    def from_state(self) -> tuple:
        """What the state of a fit depends on, but for the number of epochs."""
        return self.learning_rate, self.patience

    def batch_size_of(self, num_rows: int) -> int:
        """Rows in a step, of so many rows."""
        return self.batch_size or int(np.clip(num_rows // 200, 64, 512))


def fit_rows(
    rows: TableDistribution,
    data: Any,
    validation: Any,
    options: FitOptions,
    seed: int | None,
) -> keras.callbacks.History:
    """Fits a distribution to arrays of rows, `x` or `(x, context)`.

    Args:
      rows: which is fitted.
      data: the rows.
      validation: others, by which all members are judged; None: each leaves out a share.
      options: how to train.
      seed: integer that determines which shares, and the order of rows; random if None.

    Returns:
      The history, of nats a row: "loss", and "val_loss" of rows that are left out.
    """
    arrays = _arrays(data)
    weights, judged, is_used = _roles(arrays, validation, rows.num_members, options, seed)
    x, *context = arrays
    rows.start_at_frequencies(x, weights)
    batches = [np.concatenate([x, weights], axis=1), *context]
    judges = judged[0], judged[1] if context else None, is_used
    best = BestNetworks(rows, *judges, options.patience)
    size = min(options.batch_size_of(len(x)), len(x))
    callbacks: list[keras.callbacks.Callback] = [best]
    backup = None
    if options.backup is not None:
        if seed is None:
            raise ValueError(
                "Expected `seed` with `backup`, which repeats draws; got None."
            )
        of = fingerprint([*batches, *judged, is_used], options.from_state, size, seed)
        backup = FitBackup(options.backup, of, best, rows.variables)
        callbacks.append(backup)
    done = backup.num_epochs if backup else 0
    is_finished = bool(backup and backup.is_finished)
    epochs = done if is_finished else max(options.epochs, done)
    verbose = options.verbose
    if verbose == "auto":
        verbose = 0
        callbacks.append(FitProgress(epochs))
    model = DensityEstimator(WeightedMembers(rows))
    model.compile(keras.optimizers.Adam(options.learning_rate), jit_compile=False)
    orders = epoch_orders(len(x), seed, done, max(epochs, done + 1))
    history = model.fit(
        row_batches(tuple(batches) if context else batches[0], orders, size),
        steps_per_epoch=-(-len(x) // size),
        initial_epoch=done,
        epochs=epochs,
        callbacks=callbacks,
        verbose=verbose,
    )
    recalibrate(rows, *judges)
    if backup:
        history.epoch, history.history = list(range(backup.num_epochs)), backup.logs
    return history


def _roles(arrays, validation, num_members, options, seed):
    """Weights of rows by member, `[N, M]`; rows that judge, and which members each does."""
    if validation is None:
        left_out = held_out(len(arrays[0]), num_members, options.validation_split, seed)
        is_judge = left_out.any(axis=1)
        is_trained, is_used = ~left_out, left_out[is_judge]
        judged = [array[is_judge] for array in arrays]
    else:
        judged = _arrays(validation)
        is_trained = np.ones([len(arrays[0]), num_members], bool)
        is_used = np.ones([len(judged[0]), num_members], bool)
    # Each member's mean is over as many rows.
    return is_trained / (num_members * is_trained[:, 0].mean()), judged, is_used


def _arrays(data):
    return [np.asarray(array) for array in tf.nest.flatten(data)]


def held_out(
    num_rows: int, num_members: int, share: float, seed: int | None
) -> npt.NDArray[np.bool_]:
    """Draws which rows each member leaves out, booleans `[N, M]`.

    One member's rows are others than the next one's, until each row was left out once.

    >>> from tfp_flows.tables.training import held_out
    >>> held_out(10, 5, 0.2, seed=0).sum(axis=1)
    array([1, 1, 1, 1, 1, 1, 1, 1, 1, 1])

    Args:
      num_rows: N.
      num_members: M.
      share: of the rows.
      seed: integer that determines them; random if None.

    Raises:
      ValueError: if none would be left to train on.
    """
    count = math.ceil(share * num_rows)
    if not 0 < count < num_rows:
        raise ValueError(
            f"Expected `frame` with rows for training and validation; got {num_rows} in "
            "all."
        )
    order = np.random.default_rng(seed).permutation(num_rows)
    left_out = np.zeros([num_rows, num_members], bool)
    for member in range(num_members):
        rows = np.arange(member * count, (member + 1) * count) % num_rows
        left_out[order[rows], member] = True
    return left_out


class WeightedMembers(DistributionWrapper):
    """The members of a `TableDistribution`, each trained on rows of its own.

    Its "rows" are cells, `[K + D]`, and a weight for each member, `[M]`; its log-density
    of these is the weighted sum of the members' log-densities.

    Args:
      distribution: whose variables are trained.
      name: name of the module.
    """

    def __init__(
        self, distribution: TableDistribution, name: str = "weighted_members"
    ) -> None:
        super().__init__(name=name)
        self.distribution = distribution

    @property
    def event_shape(self) -> tf.TensorShape:
        """Of cells and weights."""
        size = self.distribution.cells.num_cells + self.distribution.num_members
        return tf.TensorShape([size])

    def log_prob(
        self,
        value: TensorLike,
        *,
        context: TensorLike | None = None,
        training: bool = False,
    ) -> tf.Tensor:
        """Returns weighted sums, `[N]`, of cells and weights, `[N, K + D + M]`."""
        value = tf.convert_to_tensor(value, self.dtype)
        x, weights = tf.split(value, [-1, self.distribution.num_members], axis=1)
        each = self.distribution.log_prob_of_networks(x, context, training)
        log_prob = tf.reduce_sum(tf.cast(each, self.dtype), axis=2)
        return tf.reduce_sum(weights * log_prob, axis=1)

    @property
    def _parts(self):
        return [self.distribution]


# Before any row is seen: the weight of many members, and the deviation of that guess.
_USUAL, _DEVIATION = 0.3, 0.1
_MOST = 0.9
_ROWS_A_CALL = 4096


def recalibrate(
    rows: TableDistribution,
    x: np.ndarray,
    context: np.ndarray | None,
    is_used: npt.NDArray[np.bool_],
) -> None:
    """Sets the weights of the `NumberPool` of fitted rows.

    ```none
    u_m = F_m(y) of rows that member m is not trained on, of which there are n
    var(mean of u_m) = var(u_m) - mean over rows of (variance of u_m over the members)
    w = 30 (1/12 - var(mean of u_m)),   which is Beta(2, 2)'s share of that variance
    ```

    Drawn towards `0.3 (1 - 1/M)`, as if that were the mean of many tables whose weights
    deviate by 0.1; the measured w does by `sqrt(5 / n)`. Of integers the u are randomised.

    Args:
      rows: whose weights are set.
      x: cells, `[N, K + D]`.
      context: `[N, C]`; None where there is none.
      is_used: which members are judged by which rows, booleans `[N, M]`.
    """
    if not rows.cells.num_numbers:
        return
    parts = [
        _from_rows(rows, x[part], None if context is None else context[part])
        for part in _slices(len(x))
    ]
    squares, spread, is_present = map(np.concatenate, zip(*parts, strict=True))
    used = is_used[..., None] & is_present[:, None]  # [N, M, D]
    mean_square = np.sum(squares * used, axis=(0, 1)) / np.maximum(used.sum(axis=(0, 1)), 1)
    disagreement = np.sum(spread * is_present, axis=0) / np.maximum(
        is_present.sum(axis=0), 1
    )
    measured = 30.0 * (1.0 / 12.0 - mean_square + disagreement)
    count = used.any(axis=1).sum(axis=0)
    usual = _USUAL * (1.0 - 1.0 / rows.num_members)
    certain = count * _DEVIATION**2 / 5.0
    weights = (usual + certain * measured) / (1.0 + certain)
    weights = np.where(rows.cells.maps.is_circle, 0.0, np.clip(weights, -_MOST, _MOST))
    rows.recalibrate(weights.tolist())


def _from_rows(rows, x, context):
    """Squares of u - 1/2, `[N, M, D]`; their variances over members, and which count."""
    x = tf.constant(x)
    each, is_present = rows.numbers.evaluate(x, rows.features_of_context(x, context))
    middle, width = 0.5 * (each.below + each.up_to), each.up_to - each.below
    squares = (middle - 0.5) ** 2 + width**2 / 12.0
    spread = tf.math.reduce_variance(middle, axis=1)
    spread += tf.math.reduce_variance(width, axis=1) / 12.0
    return squares.numpy(), spread.numpy(), is_present.numpy()


def _slices(count):
    return [slice(first, first + _ROWS_A_CALL) for first in range(0, count, _ROWS_A_CALL)]


class BestNetworks(keras.callbacks.Callback):
    """Returns each network of a `TableDistribution` to the weights that were best for it.

    No two members, and of one member no two numbers, share weights, nor do numbers and
    codes. So the log-likelihood of rows that a member is not trained on is a sum over its
    networks, each of which has a best epoch of its own. `logs` get "val_loss", nats a row:
    the mean over the members.

    Args:
      rows: the distribution.
      x: cells, `[N, K + D]`.
      context: `[N, C]`; None where there is none.
      is_used: which members are judged by which rows, booleans `[N, M]`.
      patience: epochs in which a network is not better after which it has stopped;
        training ends when all have.
    """

    def __init__(
        self,
        rows: TableDistribution,
        x: np.ndarray,
        context: np.ndarray | None,
        is_used: npt.NDArray[np.bool_],
        patience: int,
    ) -> None:
        super().__init__()
        self._rows, self._patience = rows, patience
        self._x, self._context, self._is_used = x, context, is_used
        self._num_numbers = 0 if rows.networks[1] is None else rows.cells.num_numbers
        self._call = CompiledCall(rows.log_prob_of_networks)

    @property
    def state(self) -> dict[str, np.ndarray]:
        """What was best until now: weights and losses; and epochs since then."""
        weights = {f"weights_{i}": kept for i, kept in enumerate(self._weights)}
        return {**weights, "least": self._least, "waited": self._waited}

    @state.setter
    def state(self, state: dict[str, np.ndarray]) -> None:
        self._weights = [
            np.array(kept) for name, kept in state.items() if name.startswith("weights_")
        ]
        self._least, self._waited = state["least"], state["waited"]

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Forgets what was best before."""
        self._weights = [variable.numpy() for variable in self._rows.trainable_variables]
        self._least = np.full([self._rows.num_members, 1 + self._num_numbers], np.inf)
        self._waited = np.zeros(self._least.shape, int)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Keeps the weights of networks that are better than before."""
        losses = self._losses()
        if logs is not None:
            logs["val_loss"] = float(losses.sum(axis=1).mean())
        # Not where a loss is NaN. One that has stopped does not begin again: of many, one
        # or another would always have some luck.
        is_better = (losses < self._least) & (self._waited < self._patience)
        self._least = np.where(is_better, losses, self._least)
        self._keep(is_better)
        self._waited = np.where(is_better, 0, self._waited + 1)
        self.model.stop_training = bool((self._waited >= self._patience).all())

    def on_train_end(self, logs: dict | None = None) -> None:
        """Puts the best weights back."""
        for variable, best in zip(
            self._rows.trainable_variables, self._weights, strict=True
        ):
            variable.assign(best)

    def _losses(self):
        """Nats a row of the networks, `[M, 1 + D]`."""
        total = np.zeros_like(self._least)
        for first in range(0, len(self._x), _ROWS_A_CALL):
            rows = slice(first, first + _ROWS_A_CALL)
            context = None if self._context is None else tf.constant(self._context[rows])
            each = self._call(tf.constant(self._x[rows]), context, False).numpy()
            used = self._is_used[rows, :, None]
            total = total - np.sum(np.where(used, each, 0.0), axis=0, dtype=np.float64)
        return total / self._is_used.sum(axis=0)[:, None]

    def _keep(self, which):
        mades, numbers = self._rows.networks
        kept = {
            id(v): w
            for v, w in zip(self._rows.trainable_variables, self._weights, strict=True)
        }
        for made, is_better in zip(mades, which[:, 0], strict=False):
            for variable in made.trainable_variables if is_better else ():
                kept[id(variable)][...] = variable.numpy()
        if numbers is not None and which[:, 1:].any():
            chosen = numbers.network.weights_of(which[:, 1:])
            for variable in numbers.trainable_variables:
                kept[id(variable)][chosen] = variable.numpy()[chosen]


def epoch_orders(num_rows: int, seed: int | None, first: int, last: int) -> tf.data.Dataset:
    """Returns the orders of rows, `[num_rows]`, of the epochs `first, ..., last - 1`.

    The order of an epoch does not depend on the epochs before. One dataset holds all
    epochs, since a new iterator for each would take longer than a small table's steps.

    Args:
      num_rows: number of rows.
      seed: integer that determines the orders; random if None.
      first: the first epoch, from 0.
      last: the epoch after the last.
    """
    seed = int(np.random.SeedSequence(seed).generate_state(1)[0] >> 1)

    def order(epoch):
        both = tf.stack([tf.constant(seed, tf.int32), tf.cast(epoch, tf.int32)])
        return tf.random.experimental.stateless_shuffle(tf.range(num_rows), both)

    return tf.data.Dataset.range(first, last).map(order)


_SECONDS = 5.0  # between two writes; what came later is done again, to the same numbers
_LOGS = ("loss", "val_loss")


def fingerprint(arrays: Iterable, *options: Any) -> str:
    """Returns what tells fits of these rows and options from all others."""
    found = hashlib.sha256(repr(options).encode())
    for array in arrays:
        found.update(repr(array.shape).encode() + np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


class FitBackup(keras.callbacks.Callback):
    """Writes weights, optimizer, best weights and losses, and puts them back.

    Args:
      path: of the file.
      of: `fingerprint` of the fit.
      best: whose state it keeps.
      variables: of the distribution.

    Raises:
      ValueError: if there is a file, which is of another fit, or none at all.
    """

    def __init__(
        self, path: str | os.PathLike, of: str, best: BestNetworks, variables: Iterable
    ) -> None:
        super().__init__()
        self._best, self._variables = best, list(variables)
        self._path, self._of = pathlib.Path(path), of
        self._state = self._read() if self._path.exists() else None
        self.logs: dict[str, list] = {name: [] for name in _LOGS}
        if self._state is not None:
            self.logs = {name: self._state[name].tolist() for name in _LOGS}

    @property
    def num_epochs(self) -> int:
        """How many the file holds."""
        return len(self.logs["loss"])

    @property
    def is_finished(self) -> bool:
        """Whether the fit of the file has stopped by itself."""
        return self._state is not None and bool(self._state["is_finished"])

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Puts the state of the file back; comes after that of `BestNetworks`."""
        self._written = time.monotonic()
        if self._state is None:
            return
        for name, values in self._parts().items():
            for i, variable in enumerate(values):
                variable.assign(self._state[f"{name}_{i}"])
        self._best.state = {name: self._state[f"best_{name}"] for name in self._best.state}

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Writes the file, if the last time is some seconds ago, or training ends."""
        for name in _LOGS:
            self.logs[name].append(float((logs or {})[name]))
        is_finished = self.model.stop_training
        if is_finished or time.monotonic() - self._written >= _SECONDS:
            self._write(is_finished)
            self._written = time.monotonic()

    def _parts(self):
        return {"variable": self._variables, "optimizer": self.model.optimizer.variables}

    def _write(self, is_finished):
        arrays: dict[str, Any] = {
            f"{name}_{i}": np.asarray(variable.numpy())
            for name, values in self._parts().items()
            for i, variable in enumerate(values)
        }
        arrays |= {f"best_{name}": value for name, value in self._best.state.items()}
        arrays |= {**self.logs, "of": self._of, "is_finished": is_finished}
        partial = self._path.with_name(f".{self._path.name}.partial")
        with partial.open("wb") as file:
            np.savez(file, **arrays)
        os.replace(partial, self._path)

    def _read(self):
        try:
            with np.load(self._path, allow_pickle=False) as file:
                state = dict(file)
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(
                f"Expected `backup` that a fit has written; got {self._path}: {error}"
            ) from error
        if str(state.get("of")) != self._of:
            raise ValueError(
                "Expected `backup` of a fit of the same rows and options; got "
                f"{self._path} of others."
            )
        return state


_SECONDS_BETWEEN_LINES = 3.0  # before the first line: short fits are silent
_BETWEEN = {True: 0.2, False: 10.0}  # seconds between two lines; True: on a terminal


class FitProgress(keras.callbacks.Callback):
    """Writes epoch, losses and seconds to the standard error.

    ```none
    epoch 152 of at most 500: loss 1.2604, val_loss 1.8011, 21 s
    ```

    A terminal has one line that changes; a file gets a line every ten seconds.

    Args:
      epochs: the number after which training ends, if it does not stop before.
    """

    def __init__(self, epochs: int) -> None:
        super().__init__()
        self._epochs = epochs

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Starts the clock."""
        self._start, self._next = (
            time.monotonic(),
            time.monotonic() + _SECONDS_BETWEEN_LINES,
        )
        self._line = self._last = ""
        if sys.stderr.isatty():  # the first step takes long to prepare
            self._write(f"epoch 1 of at most {self._epochs}: preparing")

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Writes a line, if the last one is some time ago."""
        now, logs = time.monotonic(), logs or {}
        losses = "".join(f" {k} {logs[k]:.4f}," for k in ("loss", "val_loss") if k in logs)
        line = f"epoch {epoch + 1} of at most {self._epochs}:{losses}"
        self._last = f"{line} {now - self._start:.0f} s"
        if now >= self._next:
            self._write(self._last)

    def on_train_end(self, logs: dict | None = None) -> None:
        """Writes the last line, if there was one before."""
        if self._line:
            self._write(self._last, end="\n")

    def _write(self, line, end=""):
        is_terminal = sys.stderr.isatty()
        self._next = time.monotonic() + _BETWEEN[is_terminal]
        if is_terminal:
            sys.stderr.write(f"\r{line.ljust(len(self._line))}{end}")
        elif line != self._line:
            sys.stderr.write(f"{line}\n")
        sys.stderr.flush()
        self._line = line
