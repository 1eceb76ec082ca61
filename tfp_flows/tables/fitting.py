"""How a table's distribution is fitted: batches, early stopping, options."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_flows.core.arguments import check_integer
from tfp_flows.core.arguments import check_number
from tfp_flows.models.density_estimator import DensityEstimator

__all__ = ["FitOptions", "fit_rows"]


@dataclasses.dataclass(frozen=True)
class FitOptions:
    """How `TableDensity.fit` trains.

    Args:
      epochs: at most so many passes over the rows.
      batch_size: rows in a step; by default 64, and more from 12,800 rows on.
      learning_rate: of Adam.
      patience: epochs without a better validation loss after which it stops, and returns to
        the best weights.
      validation_split: share of the rows, drawn by the seed, that are not trained on.
      validation_frame: rows for that, in place of a share.
      verbose: as in `keras.Model.fit`.

    Raises:
      ValueError: if one is out of its range.
    """

    epochs: int = 500
    batch_size: int | None = None
    learning_rate: float = 1e-3
    patience: int = 30
    validation_split: float = 0.1
    validation_frame: Any = None
    verbose: int = 0

    def __post_init__(self) -> None:
        check_integer("epochs", self.epochs)
        check_integer("patience", self.patience)
        if self.batch_size is not None:
            check_integer("batch_size", self.batch_size)
        check_number("learning_rate", self.learning_rate, "above 0", lambda r: r > 0.0)
        share = self.validation_split
        check_number("validation_split", share, "in (0, 1)", lambda s: 0.0 < s < 1.0)

    def batch_size_of(self, num_rows: int) -> int:
        """Rows in a step, of so many rows."""
        return self.batch_size or int(np.clip(num_rows // 200, 64, 512))


def fit_rows(
    model: DensityEstimator,
    data: Any,
    validation: Any,
    options: FitOptions,
    seed: int | None,
) -> keras.callbacks.History:
    """Fits a model to arrays of rows, `x` or `(x, context)`, and returns the history.

    Args:
      model: which is compiled here.
      data: the rows.
      validation: others; None: a share of the rows.
      options: how to train.
      seed: integer that determines which share, and the order of rows; random if None.
    """
    if validation is None:
        data, validation = _split(data, options.validation_split, seed)
    count = len(tf.nest.flatten(data)[0])
    batch_size = min(options.batch_size_of(count), count)
    model.compile(keras.optimizers.Adam(options.learning_rate), jit_compile=False)
    stop = keras.callbacks.EarlyStopping(
        "val_loss", patience=options.patience, restore_best_weights=True
    )
    return model.fit(
        _batches(data, batch_size, seed),
        epochs=options.epochs,
        validation_data=_batches(validation, 1024, None, in_order=True),
        callbacks=[stop],
        verbose=options.verbose,
    )


def _split(data, share, seed):
    count = len(tf.nest.flatten(data)[0])
    held = int(np.ceil(share * count))
    if not 0 < held < count:
        raise ValueError(
            f"Expected `frame` with rows for training and validation; got {count} in all."
        )
    order = np.random.default_rng(seed).permutation(count)
    return tuple(
        tf.nest.map_structure(lambda array, rows=rows: array[rows], data)
        for rows in (order[held:], order[:held])
    )


def _batches(data, batch_size, seed, *, in_order=False):
    """A dataset of batches, in a new order each epoch."""
    data = tf.nest.map_structure(tf.constant, data)
    count = len(tf.nest.flatten(data)[0])
    indices = tf.data.Dataset.range(count)
    if not in_order:
        indices = indices.shuffle(count, seed=seed)
    batches = indices.batch(batch_size).map(
        lambda index: tf.nest.map_structure(lambda part: tf.gather(part, index), data)
    )
    return batches.prefetch(tf.data.AUTOTUNE)
