"""What models that are fitted by maximum likelihood, or a bound of it, have in common."""

import keras
import tensorflow as tf

from tfp_flows.models.callbacks import BoundedProgress
from tfp_flows.models.callbacks import StopOnNaN
from tfp_flows.models.callbacks import as_list
from tfp_flows.models.global_batch import GlobalBatch
from tfp_flows.models.keras_model import KerasModel
from tfp_flows.models.row_arrays import RowArrays
from tfp_flows.models.row_format import Rows
from tfp_flows.models.row_stream import RowStream
from tfp_flows.models.row_stream import errors_of_data

__all__ = ["LikelihoodModel"]

# Of a dataset, the rows that data-dependent state is set from.
_INITIALIZATION_ROWS = 2**14


class LikelihoodModel(KerasModel):
    """A Keras model of rows without targets, whose loss is its own.

    A subclass says in `_row_format` what its rows are, whether it `_is_initialized`, and
    implements `_initialize`. What `fit`, `evaluate` and `predict` may be given is then
    understood or refused here.
    """

    def fit(self, x=None, y=None, batch_size=None, epochs=1, **kwargs):
        """Trains as `keras.Model.fit` does, and returns its history.

        Before the first step, data-dependent state (`Standardize`, `ActNorm`) is set from
        the training rows (the first 2**14 of a dataset), unless it is already. Training
        stops when the loss or a weight is not finite, with the best weights so far
        (`StopOnNaN`).

        Args:
          x: the rows, `[N, *event]`, of any numeric dtype, as an array, nested lists, or a
            table with columns for entries; with a context, `(x, context)` or
            `{"x": x, "context": context}`. Or batches of such: a `tf.data.Dataset`, a
            `keras.utils.PyDataset`, or a generator.
          y: must be None: there are no targets.
          batch_size: rows a step, of arrays; 32 by default.
          epochs: passes over the rows.
          **kwargs: as of `keras.Model.fit`. `validation_data` is as `x`, with weights as a
            third entry: `(x, None, weight)`.

        Raises:
          ValueError: if nothing is trainable; there are targets; or the data have no rows,
            other shapes than the model, values that are not finite, or columns that vary
            less than its dtype can tell apart.
        """
        if not self.compiled:
            return super().fit(x, y)  # which says so
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
        self._look_at(training, sets_state=not self._is_initialized)
        self._build_optimizer()
        return self._fit_prepared(training, validation, batch_size, epochs, **kwargs)

    def evaluate(self, x=None, y=None, batch_size=None, **kwargs):
        """Returns loss and metrics in nats a row, as `keras.Model.evaluate`.

        Args:
          x: as of `fit`.
          y: must be None.
          batch_size: as of `fit`.
          **kwargs: as of `keras.Model.evaluate`.
        """
        if kwargs.get("_use_cached_eval_dataset") or not self.compiled:
            # `fit` calls, which has prepared the data; or Keras says what is missing.
            return super().evaluate(x, y, batch_size, **kwargs)
        if y is not None:
            self._row_format.refuse_targets()
        data = self._data(x, kwargs.pop("sample_weight", None))
        kwargs |= data.for_keras(batch_size=batch_size, steps=kwargs.get("steps"))
        callbacks = kwargs.pop("callbacks", None)
        kwargs["callbacks"] = self._with_progress(callbacks, **kwargs)
        with errors_of_data():
            return super().evaluate(**kwargs)

    def predict(self, x, batch_size=None, **kwargs):
        """Returns what calling the model does, an array, as `keras.Model.predict`.

        Args:
          x: as of `fit`.
          batch_size: as of `fit`.
          **kwargs: as of `keras.Model.predict`.
        """
        data = self._data(x)
        kwargs |= data.for_keras(batch_size=batch_size, steps=kwargs.get("steps"))
        callbacks = kwargs.pop("callbacks", None)
        kwargs["callbacks"] = self._with_progress(callbacks, **kwargs)
        with errors_of_data():
            return super().predict(**kwargs)

    def train_step(self, data) -> dict[str, tf.Tensor]:
        """Takes one gradient step for a batch, and returns the metrics by name."""
        weights = self.trainable_weights
        with tf.GradientTape() as tape:
            nats, batch = self._nats_of(data, training=True)
            scaled_loss = self.optimizer.scale_loss(nats["loss"])
        gradients = tape.gradient(scaled_loss, weights)
        _refuse_missing(gradients, weights)
        gradients, nats = batch.sum([gradients, nats])
        self.optimizer.apply_gradients(zip(gradients, weights, strict=True))
        return self._measured(nats, batch)

    def test_step(self, data) -> dict[str, tf.Tensor]:
        """Measures a batch, and returns the metrics by name."""
        nats, batch = self._nats_of(data)
        return self._measured(batch.sum(nats), batch)

    def nats_of_rows(self, rows: Rows, batch: GlobalBatch, *, training: bool = False):
        """Returns what the metrics are means of: nats of each row, `[n]`, by their names.

        Args:
          rows: `Rows` of tensors of the model's dtype.
          batch: the `GlobalBatch` that they are part of.
          training: whether "loss" is the objective of a training step.
        """
        raise NotImplementedError

    def _nats_of(self, data, *, training=False):
        """What the rows of a batch add to the metrics of the `GlobalBatch`, and that."""
        rows = self._rows_of(data)
        batch = GlobalBatch(tf.shape(rows.x)[0])
        nats = self.nats_of_rows(rows, batch, training=training)
        if rows.weight is not None:
            # As Keras does: the weights are not normalised, so zero weights drop rows.
            nats = {name: rows.weight * values for name, values in nats.items()}
        if training and self.losses:  # of regularisers
            nats["loss"] += sum(tf.cast(loss, nats["loss"].dtype) for loss in self.losses)
        return {name: batch.summand(values) for name, values in nats.items()}, batch

    def _rows_of(self, data):
        inputs, _, weight = keras.utils.unpack_x_y_sample_weight(data)
        rows = self._row_format.of_inputs(inputs)._replace(weight=weight)
        # Keras hands arrays on in its own dtype.
        dtype = self._row_format.dtype
        rows = Rows(*(None if part is None else tf.cast(part, dtype) for part in rows))
        return (
            rows if weight is None else rows._replace(weight=tf.reshape(rows.weight, [-1]))
        )

    def _measured(self, nats, batch):
        # Every replica notes the mean over the whole batch, as its share of the rows.
        share = tf.cast(batch.count, nats["loss"].dtype) / batch.num_replicas
        trackers = {metric.name: metric for metric in self.metrics}
        for name, mean in nats.items():
            trackers[name].update_state(mean, sample_weight=share)
        return self._step_logs()

    def _data(self, x, weight=None, *, checked=False):
        """What `fit`, `evaluate` or `predict` is given, as arrays or a stream.

        With `checked`, `ValueError` is raised on what cannot be fitted; of a stream, when
        it comes.
        """
        if isinstance(x, RowStream.KINDS):
            if weight is not None:
                raise ValueError(
                    "Expected no `sample_weight` beside batches; got some. Weights come "
                    "third in a batch: (x, None, weight)."
                )
            return RowStream(self._row_format, x, checked=checked)
        rows = self._row_format.of_inputs(x)
        data = self._arrays(rows._replace(weight=weight))
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

    def _look_at(self, data, *, sets_state):
        """Checks the rows that are known, and sets data-dependent state by them."""
        rows = data.known(_INITIALIZATION_ROWS if sets_state else 1)
        rows = self._arrays(rows).rows
        self._check_support(rows)
        if sets_state:
            self._initialize(rows)

    def _check_support(self, rows):
        """Refuses rows of density zero, where the model knows of such."""

    def _fit_prepared(self, training, validation, batch_size, epochs, **kwargs):
        shuffle = kwargs.pop("shuffle", isinstance(training, RowArrays))
        if validation is not None:
            validation = validation.for_keras(
                batch_size=kwargs.get("validation_batch_size") or batch_size,
                steps=kwargs.get("validation_steps"),
            )
            names = [n for n in ("x", "y", "sample_weight") if n in validation]
            kwargs["validation_data"] = tuple(validation[name] for name in names)
        kwargs |= training.for_keras(
            batch_size=batch_size, steps=kwargs.get("steps_per_epoch"), shuffle=shuffle
        )
        kwargs["shuffle"] = shuffle and not isinstance(kwargs["x"], RowStream.KINDS)
        callbacks = StopOnNaN.added_to(kwargs.pop("callbacks", None))
        kwargs["callbacks"] = self._with_progress(callbacks, **kwargs)
        with errors_of_data():
            return super().fit(epochs=epochs, **kwargs)

    def _with_progress(self, callbacks, verbose="auto", **_):
        if verbose == 0 or self.steps_per_execution == 1:
            return callbacks
        return BoundedProgress.added_to(callbacks)


def _refuse_missing(gradients, weights):
    missing = [w.name for g, w in zip(gradients, weights, strict=True) if g is None]
    if missing:
        raise ValueError(
            "Expected a loss that depends on every trainable variable; got no gradient "
            f"for {missing}."
        )
