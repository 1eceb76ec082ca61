"""The likelihood model: one `fit` and one training step for every model of this package."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_flows.models.callbacks import BoundedProgress
from tfp_flows.models.callbacks import StopOnNaN
from tfp_flows.models.callbacks import as_list
from tfp_flows.models.global_batch import GlobalBatch
from tfp_flows.models.gradients import complete_gradient
from tfp_flows.models.keras_model import KerasModel
from tfp_flows.models.row_arrays import RowArrays
from tfp_flows.models.row_format import Rows
from tfp_flows.models.row_stream import RowStream
from tfp_flows.models.row_stream import errors_of_data

__all__ = ["LikelihoodModel"]

# How many rows of a dataset determine the data-dependent state.
_INITIALIZATION_ROWS = 2**14


class LikelihoodModel(KerasModel):
    """A Keras model that maximises a likelihood of rows, or a bound of it.

    Loss and metrics are means over the rows of the whole batch, however a `tf.distribute`
    strategy divides it among replicas.

    A subclass has the attribute `_row_format`, implements `nats_of_rows`, and, if it has
    data-dependent state, `_is_initialized` and `_initialize`.
    """

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        **kwargs: Any,
    ) -> keras.callbacks.History:
        """Trains as `keras.Model.fit` does, and returns its history.

        Before the first step, data-dependent state (`Standardize`, `ActNorm`) is set from
        the training rows (the first 2**14 of a dataset), unless it is set already. Training
        stops when the loss or a weight is not finite, with the best weights so far
        (`StopOnNaN`).

        Args:
          x: the rows, `[N, *event]`, of any numeric dtype, as an array, nested lists, or a
            table with a column for each entry; with a context, `(x, context)` or
            `{"x": x, "context": context}`. Or batches of these: a `tf.data.Dataset`, a
            `keras.utils.PyDataset`, or a generator.
          y: must be None: there are no targets.
          batch_size: rows in a step, for arrays; 32 by default.
          epochs: passes over the rows.
          **kwargs: as in `keras.Model.fit`. `validation_data` has the form of `x`, with
            weights as a third entry: `(x, None, weight)`.

        Raises:
          ValueError: if nothing is trainable; there are targets; or the data have no rows,
            other shapes than the model, values that are not finite, or columns that vary
            less than the model's dtype resolves.
        """
        if not self.compiled:
            return super().fit(x, y)  # raises
        if y is not None:
            self._row_format.refuse_targets()
        if kwargs.get("class_weight") is not None:
            raise ValueError(
                "Expected no `class_weight`, since there are no classes; got "
                f"{kwargs['class_weight']}. Give `sample_weight`."
            )
        if not self.trainable_weights:
            raise ValueError("Expected a model with trainable variables; it has none.")
        for callback in as_list(kwargs.get("callbacks")):
            if hasattr(callback, "check"):
                callback.check(self)
        training = self._data(x, kwargs.pop("sample_weight", None), checked=True)
        validation = self._validation(kwargs.pop("validation_data", None))
        share = kwargs.pop("validation_split", 0.0)
        if share and validation is None:
            training, validation = training.split(share)
        self._check_and_initialize(training, initialize=not self._is_initialized)
        self._build_optimizer()
        return self._fit_prepared(training, validation, batch_size, epochs, **kwargs)

    def evaluate(
        self, x: Any = None, y: Any = None, batch_size: int | None = None, **kwargs: Any
    ) -> Any:
        """Returns loss and metrics in nats per row, as `keras.Model.evaluate` does.

        Args:
          x: as in `fit`.
          y: must be None.
          batch_size: as in `fit`.
          **kwargs: as in `keras.Model.evaluate`.
        """
        if kwargs.get("_use_cached_eval_dataset") or not self.compiled:
            # Called by `fit`, which has prepared the data; or Keras raises.
            return super().evaluate(x, y, batch_size, **kwargs)
        if y is not None:
            self._row_format.refuse_targets()
        data = self._data(x, kwargs.pop("sample_weight", None))
        with errors_of_data():
            return super().evaluate(**self._for_keras(data, batch_size, **kwargs))

    def predict(self, x: Any, batch_size: int | None = None, **kwargs: Any) -> np.ndarray:
        """Returns the model's outputs as an array, as `keras.Model.predict` does.

        Args:
          x: as in `fit`.
          batch_size: as in `fit`.
          **kwargs: as in `keras.Model.predict`.
        """
        with errors_of_data():
            return super().predict(**self._for_keras(self._data(x), batch_size, **kwargs))

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """Takes one gradient step on a batch, and returns the metrics by name."""
        weights = self.trainable_weights
        with tf.GradientTape() as tape:
            summands, batch = self._summands(data, training=True)
            penalty = self._penalty(summands["loss"].dtype) / batch.num_replicas
            scaled_loss = self.optimizer.scale_loss(summands["loss"] + penalty)
        gradients = complete_gradient(tape, scaled_loss, weights)
        gradients, means = batch.sum([gradients, summands])
        self.optimizer.apply_gradients(zip(gradients, weights, strict=True))
        return self._update_metrics(means, batch)

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        """Evaluates a batch, and returns the metrics by name."""
        summands, batch = self._summands(data)
        return self._update_metrics(batch.sum(summands), batch)

    def nats_of_rows(
        self, rows: Rows, batch: GlobalBatch, *, training: bool = False
    ) -> dict[str, tf.Tensor]:
        """Returns the nats of each row, `[n]`, whose means are the metrics, by their names.

        Args:
          rows: `Rows` of tensors in the model's dtype.
          batch: the `GlobalBatch` that they are part of.
          training: whether "loss" is the training objective.
        """
        raise NotImplementedError

    def _summands(self, data, *, training=False):
        """What the rows of a replica add to the means over the `GlobalBatch`, and that."""
        inputs, _, weight = keras.utils.unpack_x_y_sample_weight(data)
        rows = self._row_format.of_inputs(inputs)._replace(weight=weight)
        dtype = self._row_format.dtype  # Keras hands arrays on in its own
        rows = Rows(*(None if part is None else tf.cast(part, dtype) for part in rows))
        if weight is not None:
            rows = rows._replace(weight=tf.reshape(rows.weight, [-1]))
        batch = GlobalBatch(tf.shape(rows.x)[0])
        nats = self.nats_of_rows(rows, batch, training=training)
        if weight is not None:
            # As Keras does: the weights are not normalised, so zero weights drop rows.
            nats = {name: rows.weight * values for name, values in nats.items()}
        if training and self.losses:  # regularisers
            nats["loss"] += sum(tf.cast(loss, nats["loss"].dtype) for loss in self.losses)
        return {name: batch.summand(values) for name, values in nats.items()}, batch

    def _update_metrics(self, means, batch):
        trackers = {metric.name: metric for metric in self.metrics}
        dtype = trackers["loss"].dtype
        # Every replica counts the mean over the whole batch for its share of the rows.
        share = tf.cast(batch.count, dtype) / batch.num_replicas
        for name, mean in means.items():
            # As `update_state` with a `sample_weight` does, in a third of the ops.
            trackers[name].total.assign_add(tf.cast(mean, dtype) * share)
            trackers[name].count.assign_add(share)
        return self._step_logs()

    def _data(self, x, weight=None, *, checked=False):
        """The data of `fit`, `evaluate` or `predict` as `RowArrays` or a `RowStream`.

        With `checked`, data that cannot be fitted raise `ValueError`; those of a stream
        when their batch comes.
        """
        if isinstance(x, RowStream.KINDS):
            if weight is not None:
                raise ValueError(
                    "Expected no `sample_weight` beside batches; got some. Weights come "
                    "third in a batch: (x, None, weight)."
                )
            return RowStream(self._row_format, x, checked=checked)
        data = self._arrays(self._row_format.of_inputs(x)._replace(weight=weight))
        if checked:
            data.check()
        return data

    def _arrays(self, rows):
        return RowArrays(self._row_format, rows)

    def _validation(self, given):
        if given is None:
            return None
        if isinstance(given, RowStream.KINDS):
            return RowStream(self._row_format, given, checked=True)
        data = self._arrays(self._row_format.of_batch(given))
        data.check("validation_data")
        return data

    def _check_and_initialize(self, data, *, initialize):
        """Checks the first rows, or all in memory, and sets state from them if asked to."""
        rows = self._arrays(data.first(_INITIALIZATION_ROWS if initialize else 1)).rows
        self._check_support(rows)
        if initialize or isinstance(data, RowArrays):
            self._count_rows(rows)
        if initialize:
            self._initialize(rows)

    def _check_support(self, rows):
        """Refuses rows of density zero, where the model can tell."""

    def _count_rows(self, rows):
        """Is shown all training rows, or the first 2**14 or more of them."""

    def _penalty(self, dtype):
        return tf.zeros([], dtype)  # what is added to the loss, and no metric shows

    def _fit_prepared(self, training, validation, batch_size, epochs, **kwargs):
        shuffle = kwargs.pop("shuffle", isinstance(training, RowArrays))
        if validation is not None:
            kwargs["validation_data"] = validation.for_keras(
                batch_size=kwargs.get("validation_batch_size") or batch_size,
                steps=kwargs.get("validation_steps"),
            )["x"]
        kwargs["callbacks"] = StopOnNaN.added_to(kwargs.get("callbacks"))
        steps = kwargs.get("steps_per_epoch")
        kwargs = self._for_keras(training, batch_size, steps, shuffle=shuffle, **kwargs)
        # Rows in memory are shuffled already; of a `PyDataset`, Keras mixes the batches.
        kwargs["shuffle"] = shuffle and isinstance(kwargs["x"], keras.utils.PyDataset)
        with errors_of_data():
            return super().fit(epochs=epochs, **kwargs)

    def _for_keras(self, data, batch_size, num_steps=None, *, shuffle=False, **kwargs):
        """The arguments of Keras's own method for `data` and `kwargs`."""
        steps = num_steps or kwargs.get("steps")
        kwargs |= data.for_keras(batch_size=batch_size, steps=steps, shuffle=shuffle)
        if kwargs.get("verbose") != 0 and self.steps_per_execution != 1:
            kwargs["callbacks"] = BoundedProgress.added_to(kwargs.get("callbacks"))
        return kwargs
