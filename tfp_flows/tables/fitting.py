"""How a table's distribution is fitted: batches, early stopping, options."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_flows.core.arguments import check_integer
from tfp_flows.core.arguments import check_number
from tfp_flows.models.density_estimator import DensityEstimator
from tfp_flows.models.row_batches import row_batches
from tfp_flows.tables.best_networks import BestNetworks
from tfp_flows.tables.fit_backup import FitBackup
from tfp_flows.tables.fit_backup import fingerprint
from tfp_flows.tables.fit_progress import FitProgress
from tfp_flows.tables.held_out_rows import WeightedMembers
from tfp_flows.tables.held_out_rows import held_out
from tfp_flows.tables.mixed_rows import MixedRows
from tfp_flows.tables.recalibration import recalibrate
from tfp_flows.tables.row_order import epoch_orders

__all__ = ["FitOptions", "fit_rows"]


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
    def of_state(self) -> tuple:
        """What the state of a fit depends on, but for the number of epochs."""
        return self.learning_rate, self.patience

    def batch_size_of(self, num_rows: int) -> int:
        """Rows in a step, of so many rows."""
        return self.batch_size or int(np.clip(num_rows // 200, 64, 512))


def fit_rows(
    rows: MixedRows, data: Any, validation: Any, options: FitOptions, seed: int | None
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
        of = fingerprint([*batches, *judged, is_used], options.of_state, size, seed)
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
