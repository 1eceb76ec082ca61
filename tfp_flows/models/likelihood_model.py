"""The likelihood model: one `fit` and one training step for every model of this package."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tfp_flows.core.arguments import check_integer
from tfp_flows.models.callbacks import BoundedProgress
from tfp_flows.models.callbacks import StopOnNaN
from tfp_flows.models.callbacks import as_list
from tfp_flows.models.likelihood_steps import LikelihoodSteps
from tfp_flows.models.row_arrays import RowArrays
from tfp_flows.models.row_stream import RowStream
from tfp_flows.models.row_stream import errors_of_data

__all__ = ["LikelihoodModel"]

# Rows of a dataset that determine the data-dependent state.
_INITIALIZATION_ROWS = 2**14
# Arguments that count rows or steps.
_COUNTS: tuple = ("batch_size", "steps_per_epoch", "steps")
_COUNTS += ("validation_batch_size", "validation_steps")


class LikelihoodModel(LikelihoodSteps):
    """A Keras model that maximises a likelihood of rows, or a bound of it.

    A subclass has the attribute `_row_format`, implements `nats_of_rows`, and, if it has
    data-dependent state, `_is_initialized` and `_initialize`. `saved_parts` names the
    arguments that its configuration holds as `serialize` writes them.
    """

    saved_parts: tuple[str, ...] = ()

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
        the training rows, by their weights, unless it is set already. With batches, 2**14
        rows determine it: drawn from a whole epoch, which is read once before, or the first
        ones of a generator, with a warning if these seem to be sorted.

        Training stops when the loss or a weight is not finite, with the best weights so far
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
          ValueError: if nothing is trainable; there are targets; a number of rows or steps
            is below 1; or the data have no rows, other shapes than the model, values that
            are not finite, columns that vary less than the model's dtype resolves, or
            weights without a positive sum.
        """
        if not self.compiled:
            return super().fit(x, y)  # raises
        self._check_trainable(y, kwargs.get("class_weight"))
        _check_counts({**kwargs, "batch_size": batch_size})
        for callback in as_list(kwargs.get("callbacks")):
            if hasattr(callback, "check"):
                callback.check(self)
        training = self._data(x, kwargs.pop("sample_weight", None), checked=True)
        validation = self._validation(kwargs.pop("validation_data", None))
        share = kwargs.pop("validation_split", 0.0)
        if share and validation is None:
            training, validation = training.split(share)
        self._check_and_initialize(
            training,
            initialize=not self._is_initialized,
            num_batches=kwargs.get("steps_per_epoch"),
        )
        self._build_optimizer()
        return self._fit_prepared(training, validation, batch_size, epochs, **kwargs)

    def evaluate(
        self, x: Any = None, y: Any = None, batch_size: int | None = None, **kwargs: Any
    ) -> Any:
        """Returns loss and metrics in nats per row, as `keras.Model.evaluate` does.

        With weights w, they are `sum(w nats) / sum(w)` over all rows.

        Args:
          x: as in `fit`.
          y: must be None.
          batch_size: as in `fit`.
          **kwargs: as in `keras.Model.evaluate`.

        Raises:
          ValueError: if there are targets, or weights of arrays have no sum above 0.
        """
        if kwargs.get("_use_cached_eval_dataset") or not self.compiled:
            # Called by `fit`, which has prepared the data; or Keras raises.
            return super().evaluate(x, y, batch_size, **kwargs)
        self._refuse_targets(y)
        data = self._data(x, kwargs.pop("sample_weight", None))
        if isinstance(data, RowArrays):
            data.check_sum_of_weights()
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

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """Takes one gradient step, and returns the loss, as Keras's method does.

        Data-dependent state is set from these rows, unless it is set already: before the
        first of many batches, call `initialize` with all rows.

        Args:
          x: the rows, as arrays in the forms that `fit` takes.
          y: must be None.
          sample_weight: `[N]`.
          class_weight: must be None.
          return_dict: as in `keras.Model.train_on_batch`.

        Raises:
          ValueError: as `fit` does.
        """
        if not self.compiled:
            return super().train_on_batch(x)  # raises
        self._check_trainable(y, class_weight)
        rows = self._row_format.of_inputs(x)._replace(weight=sample_weight)
        data = self._arrays(rows)
        data.check()
        rows = data.rows
        if not self._is_initialized:
            self._check_support(rows)
            self._initialize(rows)
        self._build_optimizer()
        return super().train_on_batch(rows.inputs, None, rows.weight, None, return_dict)

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """Returns loss and metrics of one batch, as Keras's method does.

        Args:
          x: as in `fit`, one batch.
          y: must be None.
          sample_weight: `[N]`.
          return_dict: as in `keras.Model.test_on_batch`.
        """
        self._refuse_targets(y)
        return super().test_on_batch(x, None, sample_weight, return_dict)

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
        data.check_sum_of_weights()
        return data

    def _check_and_initialize(self, data, *, initialize, num_batches=None):
        """Checks the first rows, or all in memory; sets state from a sample if asked to."""
        sample = data.sample(_INITIALIZATION_ROWS, num_batches) if initialize else None
        rows = self._arrays(sample or data.first()).rows
        self._check_support(rows)
        if isinstance(data, RowArrays):
            data.check_sum_of_weights()
        if initialize or isinstance(data, RowArrays):
            self._count_rows(rows)
        if initialize:
            self._initialize(rows)

    def _check_support(self, rows):
        """Refuses rows of density zero, where the model can tell."""

    def _count_rows(self, rows):
        """Is shown all training rows, or 2**14 or more of them."""

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
        _check_counts({**kwargs, "batch_size": batch_size})
        steps = num_steps or kwargs.get("steps")
        kwargs |= data.for_keras(batch_size=batch_size, steps=steps, shuffle=shuffle)
        if kwargs.get("verbose") != 0 and self.steps_per_execution != 1:
            kwargs["callbacks"] = BoundedProgress.added_to(kwargs.get("callbacks"))
        return kwargs


def _check_counts(arguments):
    for name in _COUNTS:
        if arguments.get(name) is not None:
            check_integer(name, arguments[name])
