"""What models that are fitted by maximum likelihood, or a bound of it, have in common."""

import contextlib

import keras
import tensorflow as tf

from tfp_flows.models.callbacks import BoundedProgress
from tfp_flows.models.callbacks import StopOnNaN
from tfp_flows.models.callbacks import as_list
from tfp_flows.models.keras_format import KerasFormat
from tfp_flows.models.row_arrays import RowArrays
from tfp_flows.models.row_stream import RowStream

__all__ = ["LikelihoodModel"]

# Of a dataset, the rows that data-dependent state is set from.
_INITIALIZATION_ROWS = 2**14


class LikelihoodModel(KerasFormat, keras.Model):
    """A Keras model of rows without targets, whose loss is its own.

    A subclass says in `_row_format` what its rows are, whether it `_is_initialized`, and
    implements `_initialize`. What `fit`, `evaluate` and `predict` may be given is then
    understood or refused here.
    """

    def compile(
        self,
        optimizer="rmsprop",
        loss=None,
        loss_weights=None,
        metrics=None,
        weighted_metrics=None,
        **kwargs,
    ):
        """Configures training as `keras.Model.compile` does, but for loss and metrics.

        Args:
          optimizer: as of Keras.
          loss: must be None: the model has its own.
          loss_weights: must be None.
          metrics: must be None: there are no targets to compare with.
          weighted_metrics: must be None.
          **kwargs: as of `keras.Model.compile`.

        Raises:
          ValueError: if there is a loss or a metric.
        """
        given = {"loss": loss, "loss_weights": loss_weights}
        given |= {"metrics": metrics, "weighted_metrics": weighted_metrics}
        for name, value in given.items():
            if value:
                raise ValueError(
                    f"Expected no `{name}`, since the model has its own loss and there are "
                    f"no targets to compare with; got {value!r}."
                )
        super().compile(optimizer, **kwargs)
        if self._metric_dtype:
            with self.distribute_strategy.scope():
                tracker = keras.metrics.Mean(name="loss", dtype=self._metric_dtype)
            # Not by Keras's `setattr`, which would list it a second time.
            object.__setattr__(self, "_loss_tracker", tracker)

    def compile_from_config(self, config):
        """Compiles a model that is loaded, as it was when it was saved."""
        # Keras does so itself only where `compile` is its own.
        self.compile(**keras.saving.deserialize_keras_object(config))
        self._build_optimizer()

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
        with _errors_of_data():
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
        with _errors_of_data():
            return super().predict(**kwargs)

    @property
    def _metric_dtype(self):
        """Keras's own, or that of the model if that has more digits."""
        return "float64" if self.compute_dtype == "float64" else None

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

    def _build_optimizer(self):
        if not self.optimizer.built:
            # Replicas cannot create its variables within a training step.
            with self.distribute_strategy.scope():
                self.optimizer.build(self.trainable_weights)

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
        with _errors_of_data():
            return super().fit(epochs=epochs, **kwargs)

    def _with_progress(self, callbacks, verbose="auto", **_):
        if verbose == 0 or self.steps_per_execution == 1:
            return callbacks
        return BoundedProgress.added_to(callbacks)


@contextlib.contextmanager
def _errors_of_data():
    """Makes what a batch raises within TensorFlow the error that it was."""
    try:
        yield
    except tf.errors.OpError as error:
        for mark, end in (("assertion failed: [", "]"), ("ValueError: ", "\n")):
            _, found, rest = error.message.partition(f"{mark}Expected ")
            if found:
                raise ValueError(f"Expected {rest.partition(end)[0]}") from error
        raise
