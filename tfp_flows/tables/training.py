"""The fit of a table's distribution: pace, early stopping of each network, backup."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import os
import pathlib
import time
import typing
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfp_flows.core.arguments import (
    check_integer,
    check_minutes,
    check_positive,
    check_share,
    require,
)
from tfp_flows.core.array_files import read_arrays, write_arrays
from tfp_flows.core.compiled import CompiledCall, without_retracing_warnings
from tfp_flows.core.rows import take_rows, tensors_of_parts
from tfp_flows.networks.conditioner import Conditioner
from tfp_flows.tables.distribution import TableDistribution
from tfp_flows.tables.recalibration import recalibrate
from tfp_flows.training.averaging import averaging_adam
from tfp_flows.training.callbacks import StopAfter, progress
from tfp_flows.training.row_batches import epoch_orders, row_batches
from tfp_flows.training.row_format import Rows

_LOSSES = ("loss", "val_loss")
_PATIENT_STEPS = 480  # a network stops after so many steps without improvement
# From this number of rows on, the learning rate falls and training has a bound of steps;
# fewer rows gain nothing by either.
_FALLING_ROWS = 3_000
# The learning rate falls by this factor, after this share of the patience
# (docs/tried_and_dropped.md).
_FALL, _SHARE_OF_PATIENCE = 0.4, 0.6
_STEPS_PER_ROOT = 60  # most training steps, per square root of the number of rows
# A step of a small table is as short as Keras's call of it, which runs several steps.
_MOST_STEPS_AT_ONCE = 20
# Least seconds between two writes of the backup; a resumed fit repeats later epochs.
_SECONDS_BETWEEN_BACKUPS = 5.0


@dataclasses.dataclass(frozen=True)
class FitOptions:
    """How `TableDensity.fit` trains: its keyword arguments.

    >>> import tfp_flows
    >>> tfp_flows.tables.FitOptions(max_minutes=5.0).learning_rate
    0.002

    Args:
      epochs: maximum number of passes over the rows.
      batch_size: rows in a step; by default N / 16, between 32 and 64; from 4,096 rows on
        N / 64, at most 256; and from 51,200 rows on N / 200, at most 512.
      learning_rate: learning rate of Adam, whose averaged weights are judged and kept. From
        3,000 rows on it falls to 0.4 of itself after 0.6 of the patience without a better
        validation loss.
      patience: number of epochs without a better validation loss after which a network
        stops and keeps its best weights. Training ends when all networks have stopped. By
        default, about 480 steps, but from 10 to 30 epochs.
      validation_split: share of the rows that a member is not trained on. The seed draws
        them, different ones for each member.
      validation_frame: validation rows for all members, in place of a share.
      calibration_split: share of the rows, in [0, 1), that is kept out of all training and
        validation, for `TableDensity.predict_interval` with `conformal=True`. The seed
        draws them.
      verbose: "auto" writes a line of progress to the standard error if the fit takes more
        than some seconds; otherwise as in `keras.Model.fit`, 0 for silence.
      backup: path of a file that keeps the state of the fit. If the file exists, an
        interrupted fit of the same rows and options continues from it, and ends at the
        same numbers.
      max_minutes: wall time after which training ends, with the best weights so far; over
        its second half the learning rate falls. No bound if None.
      max_steps: training steps after which it ends, likewise, at most 19 later; by
        default, from 3,000 rows on, 60 times their square root.

    Raises:
      ValueError: if an option is out of its range.
    """

    epochs: int = 500
    batch_size: int | None = None
    learning_rate: float = 2e-3
    patience: int | None = None
    validation_split: float = 0.1
    validation_frame: Any = None
    calibration_split: float = 0.0
    verbose: int | str = "auto"
    backup: str | os.PathLike | None = None
    max_minutes: float | None = None
    max_steps: int | None = None

    def __post_init__(self) -> None:
        check_integer("epochs", self.epochs)
        for name in ("patience", "batch_size", "max_steps"):
            if getattr(self, name) is not None:
                check_integer(name, getattr(self, name))
        check_positive("learning_rate", self.learning_rate)
        check_share("validation_split", self.validation_split)
        check_share("calibration_split", self.calibration_split, may_be_zero=True)
        check_minutes("max_minutes", self.max_minutes)


def fit_distribution(
    distribution: TableDistribution,
    data: Rows,
    validation: Rows | None,
    options: FitOptions,
    seed: int | None,
) -> keras.callbacks.History:
    """Fits a distribution to rows; returns "loss" and "val_loss", in nats per row.

    The rows are entries, `[N, K + D]`, all with a weight. Without validation rows, each
    member leaves out a share. The seed determines the shares and the order of rows.
    """
    x, context, weight = data
    members = distribution.num_members
    is_trained, validation = _split(data, validation, members, options, seed)
    # The mean over a member's own training rows, divided by the number of members.
    weights = is_trained * (weight / weight.max())[:, None]
    weights /= members * weights.mean(axis=0)
    distribution.start_at_frequencies(x, weights)
    pace = _Pace.from_rows(len(x), options)
    best = BestNetworks(distribution, pace.patience, *validation)
    falling = keras.callbacks.ReduceLROnPlateau(
        "val_loss", factor=_FALL, patience=pace.falls_after, min_delta=1e-4
    )
    callbacks = [keras.callbacks.TerminateOnNaN(), best, falling]
    if not (pace.seconds is None and pace.steps is None):
        # Before the backup, which keeps the rate as it was.
        callbacks.append(StopAfter(pace.seconds, pace.steps))
    backup, first, last = None, 0, options.epochs
    if options.backup is not None:
        require(seed is not None, "`seed` with `backup`, which repeats draws", None)
        arrays = [*data, weights, *validation]
        about = distribution.parameters["description"], options.learning_rate, seed
        fingerprint = _fingerprint(arrays, about, pace)
        backup = FitBackup(options.backup, fingerprint, best, falling)
        callbacks.append(backup)
        first = len(backup.logs["loss"])
        last = first if backup.is_finished else max(options.epochs, first)
    shown, verbose = progress(options.verbose, last)
    steps_per_epoch = -(-len(x) // pace.batch_size)
    model = _compiled_model(distribution, options.learning_rate, steps_per_epoch)
    inputs = x if context is None else (x, context)
    orders = epoch_orders(len(x), seed, first, max(last, first + 1))  # not empty
    with without_retracing_warnings():
        history = model.fit(
            row_batches((inputs, weights), orders, pace.batch_size),
            steps_per_epoch=steps_per_epoch,
            initial_epoch=first,
            epochs=last,
            callbacks=callbacks + shown,
            shuffle=False,  # the orders are random already
            verbose=verbose,
        )
    recalibrate(distribution, *validation)
    logs = backup.logs if backup else {name: history.history[name] for name in _LOSSES}
    history.epoch, history.history = list(range(len(logs["loss"]))), logs
    return history


def _compiled_model(distribution, learning_rate, steps_per_epoch):
    """Returns a `MemberModel` that is ready to train."""
    model = MemberModel(distribution)
    sizes = range(1, _MOST_STEPS_AT_ONCE + 1)
    model.compile(
        averaging_adam(learning_rate, steps_per_epoch),
        jit_compile=False,
        steps_per_execution=max(n for n in sizes if steps_per_epoch % n == 0),
    )
    model.optimizer.build(model.trainable_variables)  # so that a backup can restore it
    return model


class _Pace(typing.NamedTuple):
    """How fast and how long to train, by the number of rows unless an option says so."""

    batch_size: int
    patience: int  # epochs without improvement after which a network stops
    falls_after: float  # epochs without improvement after which the learning rate falls
    steps: int | None  # training steps at most
    seconds: float | None  # wall time at most

    @classmethod
    def from_rows(cls, num_rows: int, options: FitOptions) -> _Pace:
        least = np.clip(num_rows // 64, np.clip(num_rows // 16, 32, 64), 256)
        size = options.batch_size or int(np.clip(num_rows // 200, least, 512))
        size = min(size, num_rows)
        by_steps = int(np.clip(_PATIENT_STEPS * size // num_rows, 10, 30))
        patience = options.patience or by_steps
        falls_after, steps = math.inf, options.max_steps
        if num_rows >= _FALLING_ROWS:
            falls_after = max(1, int(_SHARE_OF_PATIENCE * patience))
            steps = steps or round(_STEPS_PER_ROOT * math.sqrt(num_rows))
        minutes = options.max_minutes
        seconds = None if minutes is None else 60.0 * minutes
        return cls(size, patience, falls_after, steps, seconds)


def _split(data, validation, num_members, options, seed):
    """Returns which member is trained on which row, `[N, M]`, and the validation `Rows`.

    Their weights are `[N, M]`: 0 where a row does not judge a member.
    """
    x, context, weight = data
    if validation is not None:
        require(len(validation.x), "`validation_frame` with rows", "none")
        weights = np.repeat(validation.weight[:, None], num_members, axis=1)
        is_trained = np.ones([len(x), num_members], bool)
        return is_trained, validation._replace(weight=weights)
    left_out = held_out(len(x), num_members, options.validation_split, seed)
    weights = left_out * (weight / weight.max())[:, None]
    return ~left_out, take_rows(Rows(x, context, weights), left_out.any(axis=1))


def held_out(
    num_rows: int, num_members: int, share: float, seed: int | None
) -> npt.NDArray[np.bool_]:
    """Draws which rows each member leaves out, booleans `[N, M]`.

    Members leave out disjoint shares of the rows, until each row was left out once.

    >>> from tfp_flows.tables.training import held_out
    >>> held_out(10, 5, 0.2, seed=0).sum(axis=1)
    array([1, 1, 1, 1, 1, 1, 1, 1, 1, 1])

    Raises:
      ValueError: if no row would be left to train on.
    """
    count = math.ceil(share * num_rows)
    words = "`frame` with rows for training, and others to hold out"
    require(0 < count < num_rows, words, f"{num_rows} in all")
    order = np.random.default_rng(seed).permutation(num_rows)
    left_out = np.zeros([num_rows, num_members], bool)
    for member in range(num_members):
        rows = np.arange(member * count, (member + 1) * count) % num_rows
        left_out[order[rows], member] = True
    return left_out


class MemberModel(keras.Model):
    """Fits the members of a `TableDistribution`, each to rows of its own.

    A batch is `(x, weights)` or `((x, context), weights)`: Keras's targets are the weights
    of the rows for each member, `[n, M]`. The loss is the weighted sum over the members of
    their negative log-likelihoods, in nats per row.

    Args:
      distribution: the distribution, whose networks are trained.
    """

    def __init__(self, distribution: TableDistribution) -> None:
        super().__init__(dtype=distribution.dtype.name)
        self._distribution = distribution
        # Keras finds the variables in layers that are attributes.
        conditioners = [m for m in distribution.submodules if isinstance(m, Conditioner)]
        self._networks = [conditioner.network for conditioner in conditioners]
        self.built = True

    def call(self, inputs: Any, training: bool = False) -> tf.Tensor:
        """Returns the members' log-densities of rows, `[n, M]`."""
        x, context = inputs if isinstance(inputs, (tuple, list)) else (inputs, None)
        each = self._distribution.log_prob_of_networks(x, context, training)
        return tf.reduce_sum(tf.cast(each, self._distribution.dtype), axis=2)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> tf.Tensor:
        """Returns the loss, a scalar, of weights `y` and log-densities `y_pred`."""
        return -tf.reduce_mean(tf.reduce_sum(y * y_pred, axis=1))


class BestNetworks(keras.callbacks.Callback):
    """Early stopping of each network by itself, with its best averaged weights.

    Neither members, nor the numbers of a member, nor numbers and codes share weights. So
    the log-likelihood of validation rows is a sum over the networks, each of which has a
    best epoch of its own. Keras's `EarlyStopping` has one best epoch for all weights.

    `logs` get "val_loss", in nats per row: the mean over the members.

    Args:
      distribution: the distribution.
      patience: number of epochs without improvement after which a network has stopped.
        Training ends when all have stopped.
      x: entries of the validation rows, `[N, K + D]`.
      context: their context, `[N, C]`; None if there is none.
      row_weights: weights of the rows for each member, `[N, M]`; 0 where they do not judge.

    Attributes:
      weights: the best weights so far.
      least: losses of the networks with them, `[M, 1 + D]`.
      waited: numbers of epochs since then, `[M, 1 + D]`.
    """

    def __init__(
        self,
        distribution: TableDistribution,
        patience: int,
        x: np.ndarray,
        context: np.ndarray | None,
        row_weights: np.ndarray,
    ) -> None:
        super().__init__()
        self._patience, self._x, self._context = patience, x, context
        self.distribution, self._row_weights = distribution, row_weights
        self._call = CompiledCall(distribution.log_prob_of_networks)

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Starts with the initial weights as the best ones."""
        self.weights = [v.numpy() for v in self.distribution.trainable_variables]
        shape = self.distribution.num_members, 1 + self.distribution.features.num_numbers
        self.least, self.waited = np.full(shape, np.inf), np.zeros(shape, int)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Keeps the averaged weights of networks that have improved."""
        variables = self.model.trainable_variables
        trained = [variable.numpy() for variable in variables]
        self.model.optimizer.finalize_variable_values(variables)  # to their averages
        losses = self._losses()
        if logs is not None:
            logs["val_loss"] = float(losses.sum(axis=1).mean())
        # False where a loss is NaN. A network that has stopped does not start again, since
        # one of many networks would improve by chance in nearly every epoch.
        is_better = (losses < self.least) & (self.waited < self._patience)
        self.least = np.where(is_better, losses, self.least)
        self._keep(is_better)
        self.waited = np.where(is_better, 0, self.waited + 1)
        for variable, weights in zip(variables, trained, strict=True):
            variable.assign(weights)
        if (self.waited >= self._patience).all():
            self.model.stop_training = True

    def on_train_end(self, logs: dict | None = None) -> None:
        """Puts the best weights back."""
        variables = self.distribution.trainable_variables
        for variable, best in zip(variables, self.weights, strict=True):
            variable.assign(best)

    def _losses(self):
        """Validation losses of the networks, `[M, 1 + D]`, in nats per row."""
        total = np.zeros_like(self.least)
        for x, context, weights in tensors_of_parts(
            self._x, self._context, self._row_weights
        ):
            each = self._call(x, context, False).numpy()
            used = weights.numpy()[:, :, None]
            total = total - np.sum(used * np.where(used > 0.0, each, 0.0), axis=0)
        return total / self._row_weights.sum(axis=0)[:, None]

    def _keep(self, which):
        """Copies the weights of some networks, booleans `[M, 1 + D]`."""
        variables = self.distribution.trainable_variables
        kept = {id(v): w for v, w in zip(variables, self.weights, strict=True)}
        mades, numbers = self.distribution.networks
        for made, is_better in zip(mades, which[:, 0], strict=False):
            for variable in made.trainable_variables if is_better else ():
                kept[id(variable)][...] = variable.numpy()
        if numbers is not None and which[:, 1:].any():
            chosen = numbers.network.are_weights_of(which[:, 1:])
            for variable in numbers.trainable_variables:
                kept[id(variable)][chosen] = variable.numpy()[chosen]


def _fingerprint(arrays, about, pace):
    """A hash that differs for fits of other rows, columns, networks or settings."""
    paced = pace.patience, pace.falls_after, pace.batch_size, pace.steps
    found = hashlib.sha256(repr((about, paced)).encode())
    for array in arrays:
        if array is not None:
            found.update(repr(array.shape).encode() + np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


class FitBackup(keras.callbacks.Callback):
    """Writes weights, optimizer, best networks and losses to a file, and restores them.

    Keras's `BackupAndRestore` saves neither the best networks nor the losses, and cannot
    refuse a folder of other rows or options.

    Args:
      path: path of the file, which is replaced at once: it is never half written.
      fingerprint: hash of rows and settings, which the file must have.
      best: the early stopping, whose state is kept.
      falling: what lowers the learning rate, whose state is kept.

    Attributes:
      logs: "loss" and "val_loss" of all epochs so far.
      is_finished: whether the fit that wrote the file has stopped by itself.

    Raises:
      ValueError: if the file is of another fit, or no backup.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        fingerprint: str,
        best: BestNetworks,
        falling: keras.callbacks.ReduceLROnPlateau,
    ) -> None:
        super().__init__()
        self._path, self._fingerprint = pathlib.Path(path), fingerprint
        is_there = self._path.parent.is_dir()
        require(is_there, "`backup` in a folder that is there", repr(str(path)))
        self._best, self._falling = best, falling
        self._state = self._read() if self._path.exists() else {}
        self.logs = {name: list(map(float, self._state.get(name, ()))) for name in _LOSSES}
        self.is_finished = bool(self._state.get("is_finished", False))

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Restores the state of the file, after the other callbacks have started."""
        self._written = time.monotonic()
        if self._state:
            for i, variable in enumerate(self._variables):
                variable.assign(self._state[f"variable_{i}"])
            for i, weights in enumerate(self._best.weights):
                weights[...] = self._state[f"best_{i}"]
            self._best.least = self._state["least"]
            self._best.waited = self._state["waited"]
            self._falling.best = float(self._state["least_loss"])
            self._falling.wait = int(self._state["epochs_since_least_loss"])

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Writes the file if some seconds have passed, or training ends."""
        for name in _LOSSES:
            self.logs[name].append(float((logs or {})[name]))
        is_finished = self.model.stop_training
        if is_finished or time.monotonic() - self._written >= _SECONDS_BETWEEN_BACKUPS:
            self._write(is_finished)
            self._written = time.monotonic()

    @property
    def _variables(self):
        return [*self._best.distribution.variables, *self.model.optimizer.variables]

    def _write(self, is_finished):
        best = self._best
        arrays: dict[str, Any] = {
            **{f"variable_{i}": v.numpy() for i, v in enumerate(self._variables)},
            **{f"best_{i}": weights for i, weights in enumerate(best.weights)},
            **{"least": best.least, "waited": best.waited, **self.logs},
            "least_loss": self._falling.best,
            "epochs_since_least_loss": self._falling.wait,
            **{"of": self._fingerprint, "is_finished": is_finished},
        }
        write_arrays(self._path, arrays)

    def _read(self):
        state = read_arrays(self._path, "`backup` that a fit has written")
        is_same = str(state.get("of")) == self._fingerprint
        words = "`backup` of a fit of the same rows and options"
        require(is_same, words, f"{self._path} of others")
        return state
