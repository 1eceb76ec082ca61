"""The base class of the package's Keras models: one training step, one `fit`."""

from __future__ import annotations

import os
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_flows.core.arguments import check_integer, require
from tfp_flows.core.compiled import without_retracing_warnings
from tfp_flows.core.flow_bijector import FlowBijector
from tfp_flows.core.saved_names import check_keras
from tfp_flows.core.serialization import FORMAT, check_format, deserialize, serialize
from tfp_flows.distributions.flow_distribution import FlowDistribution
from tfp_flows.training.blocks import in_blocks
from tfp_flows.training.callbacks import BoundedProgress, StopOnNaN, as_list
from tfp_flows.training.global_batch import GlobalBatch
from tfp_flows.training.row_arrays import RowArrays
from tfp_flows.training.row_format import RowFormat, Rows
from tfp_flows.training.row_stream import RowStream, errors_of_data, is_endless
from tfp_flows.training.shared_variables import follow_layers, shared_variables

# Rows of a dataset that determine the data-dependent state.
_INITIALIZATION_ROWS = 2**14
# Arguments of Keras's methods that count rows or steps.
_COUNTS = (
    *("batch_size", "steps_per_epoch", "steps"),
    *("validation_batch_size", "validation_steps"),
)
# Key under which the mean weight of a batch's rows is among the means of the metrics.
_WEIGHT = "sample_weight"


class LikelihoodModel(keras.Model):
    """A `keras.Model` that maximises a likelihood of rows, or a lower bound of it.

    A subclass implements `nats_of_rows`, and overrides what it needs of `_is_initialized`
    and `_initialize` (data-dependent state), `_check_support`, `_count_rows` and `_penalty`
    (a prior of weights). `saved_parts` names the arguments of its constructor, which are
    attributes of the same names.

    Metrics are means over all rows, `sum(w nats) / sum(w)` for rows with weights w. The
    objective of a step is `sum(w nats) / n` over its n rows, as in Keras: batches then add
    up to the objective of all rows, whatever their weights. `fit` divides weights of arrays
    by their mean, so that their unit does not matter; weights in batches should have a mean
    near 1. Results do not depend on how a `tf.distribute` strategy divides a batch among
    replicas.

    The changes to Keras 3.15, and their reasons:

    - `compile` refuses losses and metrics, since there are no targets.
    - `compile` keeps the loss in the model's dtype; Keras keeps it in `floatx`.
    - `compile` stops the optimizer from summing the gradients of the replicas, since the
      training step sums them: Keras would clip the gradient of each replica, not the sum.
    - `_maybe_symbolic_build` does nothing: models are built already, and Keras's own fails
      on batches that do not divide evenly among the replicas.
    - `_step_logs` gives metrics an axis under several workers, along which Keras takes
      means.
    - XLA compiles `steps_per_execution` steps into one program (`in_blocks`).
    - `save` refuses file formats that cannot hold distributions.

    Args:
      row_format: the form of the rows.
      *modules: `tf.Module`s outside Keras, whose variables become weights of the model.
      **kwargs: `name` of `keras.Model`.
    """

    saved_parts: tuple[str, ...] = ()
    train_function: Any
    test_function: Any

    def __init__(
        self, row_format: RowFormat, *modules: tf.Module, **kwargs: object
    ) -> None:
        super().__init__(dtype=row_format.dtype.name, **kwargs)
        self._set_untracked("_row_format", row_format)
        self._shared_weights = shared_variables(*modules)
        for index, weight in enumerate(self._shared_weights):
            # A `Checkpoint` does not read Keras's list of weights.
            self._track_trackable(weight.shared, f"shared_{index}")
        # After Keras has listed them, since the list of a frozen variable is another one.
        follow_layers(self._shared_weights, *modules)

    def compile(
        self,
        optimizer: str | keras.optimizers.Optimizer = "rmsprop",
        loss: object = None,
        loss_weights: object = None,
        metrics: object = None,
        weighted_metrics: object = None,
        **kwargs: object,
    ) -> None:
        """Configures training as `keras.Model.compile` does, without losses and metrics.

        These must be None, since the model has its own loss, and there are no targets to
        compare with.

        Raises:
          ValueError: if there is a loss or a metric; or, under a strategy of several
            replicas, weights or optimizer were made outside its scope, or there are options
            that Keras does not support there.
        """
        refused = {"loss": loss, "loss_weights": loss_weights}
        refused |= {"metrics": metrics, "weighted_metrics": weighted_metrics}
        why = "since the model has its own loss and there are no targets to compare with"
        for name, value in refused.items():
            require(not value, f"no `{name}`, {why}", repr(value))
        strategy = self.distribute_strategy
        has_replicas = strategy.num_replicas_in_sync > 1
        if has_replicas:
            _check_replicated(self.weights, strategy, "model")
            _check_options(**kwargs)
        with strategy.scope():
            super().compile(optimizer, **kwargs)
            if self._metric_dtype:
                tracker = keras.metrics.Mean(name="loss", dtype=self._metric_dtype)
                # Keras's `setattr` would list the tracker a second time.
                self._set_untracked("_loss_tracker", tracker)
        if has_replicas:
            _check_replicated([self.optimizer.iterations], strategy, "optimizer")
            # A `LossScaleOptimizer` has an inner one.
            inner = getattr(self.optimizer, "inner_optimizer", self.optimizer)
            object.__setattr__(inner, "_all_reduce_sum_gradients", list)

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
        the training rows, by their weights, unless it is set already. If `x` is batches,
        2**14 rows determine it: a random sample of a whole epoch, which is read once
        before, or the first rows of a generator, with a warning if these seem to be sorted.

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
        _check_counts(batch_size=batch_size, **kwargs)
        callbacks = as_list(kwargs.get("callbacks"))
        for callback in callbacks:  # those of this package may have `check`, `goes_first`
            if hasattr(callback, "check"):
                callback.check(self)
        training = self._data(x, kwargs.pop("sample_weight", None), checked=True)
        validation = self._validation(kwargs.pop("validation_data", None))
        share = kwargs.pop("validation_split", 0.0)
        if share and validation is None:
            training, validation = training.split(share)
        if isinstance(training, RowArrays):
            training = training.with_mean_weight_one()
        steps = kwargs.get("steps_per_epoch")
        words = "`steps_per_epoch` with a dataset without end"
        require(steps is not None or not is_endless(x), words, steps)
        self._check_and_initialize(
            training, initialize=not self._is_initialized, num_batches=steps
        )
        self._build_optimizer()
        if validation is not None:
            kwargs["validation_data"] = validation.for_keras(
                batch_size=kwargs.get("validation_batch_size") or batch_size,
                steps=kwargs.get("validation_steps"),
            )
        if not any(isinstance(callback, StopOnNaN) for callback in callbacks):
            # First, since a callback that restores weights must have the last word.
            callbacks = [StopOnNaN(), *callbacks]
        callbacks = sorted(callbacks, key=lambda c: not getattr(c, "goes_first", False))
        kwargs["callbacks"] = callbacks
        shuffle = kwargs.pop("shuffle", isinstance(training, RowArrays))
        kwargs = self._for_keras(training, batch_size, shuffle=shuffle, **kwargs)
        # Arrays are shuffled already. Keras mixes the batches of a `PyDataset`.
        kwargs["shuffle"] = shuffle and isinstance(kwargs["x"], keras.utils.PyDataset)
        with errors_of_data(), without_retracing_warnings():
            return super().fit(epochs=epochs, **kwargs)

    def initialize(
        self, x: object, *, sample_weight: object = None, validation_split: float = 0.0
    ) -> None:
        """Sets data-dependent state from training data, as `fit` does at its first call.

        Args:
          x: as in `fit`. The first batches of a generator are read, and are lost to it.
          sample_weight: `[N]`, as in `fit`: a row of weight 2 counts as two.
          validation_split: share of the rows, the last ones, that are left out.
        """
        data = self._data(x, sample_weight, checked=True)
        data = data.split(validation_split)[0] if validation_split else data
        self._check_and_initialize(data, initialize=True)

    def evaluate(
        self, x: Any = None, y: Any = None, batch_size: int | None = None, **kwargs: Any
    ) -> Any:
        """Returns loss and metrics in nats per row, as `keras.Model.evaluate` does.

        `x` and `batch_size` are as in `fit`. With weights w, the results are
        `sum(w nats) / sum(w)` over all rows.

        Raises:
          ValueError: if there are targets, or weights have no sum above 0.
        """
        if not self.compiled:
            return super().evaluate(x, y, batch_size, **kwargs)  # raises
        if kwargs.get("_use_cached_eval_dataset"):  # `fit` has prepared the data
            results = super().evaluate(x, y, batch_size, **kwargs)
        else:
            self._row_format.refuse_targets(y)
            _check_counts(batch_size=batch_size, **kwargs)
            data = self._data(x, kwargs.pop("sample_weight", None))
            with errors_of_data(), without_retracing_warnings():
                results = super().evaluate(**self._for_keras(data, batch_size, **kwargs))
        # Keras's mean of rows without a weight is 0, which would look like a result.
        has_rows = float(tf.convert_to_tensor(self._loss_tracker.count)) > 0.0
        require(has_rows, "`sample_weight` with a sum above 0", 0.0)
        return results

    def predict(self, x: Any, batch_size: int | None = None, **kwargs: Any) -> np.ndarray:
        """Returns the model's outputs as an array, as `keras.Model.predict` does.

        `x` and `batch_size` are as in `fit`.
        """
        _check_counts(batch_size=batch_size, **kwargs)
        with errors_of_data(), without_retracing_warnings():
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
        data = self._arrays(x, sample_weight)
        rows = data.rows
        if self._is_initialized:
            data.check_finite()  # one batch may vary less than all rows
        else:
            data.check()
            self._check_support(rows)
            self._initialize(rows)
        self._build_optimizer()
        return super().train_on_batch(rows.inputs, None, rows.weight, None, return_dict)

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """Returns loss and metrics of one batch, as Keras's method does.

        Arguments are as in `train_on_batch`.
        """
        self._row_format.refuse_targets(y)
        rows = self._arrays(x, sample_weight).rows
        return super().test_on_batch(rows.inputs, None, rows.weight, return_dict)

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """Takes one gradient step on a batch, and returns the metrics by name."""
        weights = self.trainable_weights
        with tf.GradientTape() as tape:
            summands, batch = self._summands(data, training=True)
            loss = summands["loss"]
            # The regularisers of networks are part of the metric, the prior is not.
            shown = sum((tf.cast(r, loss.dtype) for r in self.losses), tf.zeros_like(loss))
            penalty = (shown + self._penalty(loss.dtype)) / batch.num_replicas
            scaled_loss = self.optimizer.scale_loss(loss + penalty)
        gradients = tape.gradient(scaled_loss, weights)
        _check_complete(gradients, weights)
        gradients, means = batch.sum([gradients, summands])
        self.optimizer.apply_gradients(zip(gradients, weights, strict=True))
        means["loss"] += shown * means.get(_WEIGHT, 1.0)
        return self._update_metrics(means, batch)

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        """Evaluates a batch, and returns the metrics by name."""
        summands, batch = self._summands(data)
        return self._update_metrics(batch.sum(summands), batch)

    def nats_of_rows(
        self, rows: Rows, batch: GlobalBatch, *, training: bool = False
    ) -> dict[str, tf.Tensor]:
        """Returns the nats of each row, `[n]`, whose means are the metrics, by their names.

        The tensors of `rows`, in the model's dtype, are part of `batch`. In training,
        "loss" is the training objective.
        """
        raise NotImplementedError

    def save(self, filepath: str | os.PathLike, *args: object, **kwargs: object) -> None:
        """Saves the model, as `keras.Model.save`, to a `.keras` file.

        With `zipped=False`, a folder is written. Missing folders of the path are made.
        Raises `ValueError` if the path of a file has another ending, or a folder holds a
        model.
        """
        path = str(os.fspath(filepath))
        is_folder = kwargs.get("zipped") is False and not path.endswith((".h5", ".hdf5"))
        fits = path.endswith(".keras") or is_folder
        words = "`filepath` to end in `.keras`, which holds distributions too"
        hint = " `save_weights` writes `.weights.h5`, and `export` a SavedModel."
        require(fits, words, repr(filepath), hint)
        if is_folder:  # Keras would replace some files of a model and fail
            holds_model = os.path.exists(os.path.join(path, "config.json"))
            require(not holds_model, "`filepath` of a folder without a model", repr(path))
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        return super().save(filepath, *args, **kwargs)

    def get_config(self) -> dict:
        """Returns the format number, and the constructor's arguments as plain data."""
        parts = {name: serialize(getattr(self, name)) for name in self.saved_parts}
        return {"format": FORMAT, **super().get_config(), **parts}

    @classmethod
    def from_config(
        cls, config: dict, custom_objects: dict | None = None
    ) -> LikelihoodModel:
        """Builds the model that `config` describes, with fresh weights."""
        check_format(config)
        parts = {k: deserialize(config[k]) for k in cls.saved_parts if k in config}
        return cls(**parts, name=config.get("name"))

    def compile_from_config(self, config: dict) -> None:
        """Compiles a model that is loaded, as it was when it was saved."""
        # Keras does so only for models without a `compile` of their own.
        custom_objects = check_keras(config)
        self.compile(**keras.saving.deserialize_keras_object(config, custom_objects))
        self._build_optimizer()

    def make_train_function(self, force: bool = False) -> Any:
        """Returns the function that trains on the next batches of an iterator."""
        if self.train_function is None or force:
            super().make_train_function(force)
            self.train_function = self._in_blocks(self.train_step, self.train_function)
        return self.train_function

    def make_test_function(self, force: bool = False) -> Any:
        """Returns the function that evaluates the next batches of an iterator."""
        if self.test_function is None or force:
            super().make_test_function(force)
            self.test_function = self._in_blocks(self.test_step, self.test_function)
        return self.test_function

    # Methods that a subclass may override.

    @property
    def _is_initialized(self):
        """Whether all data-dependent state is set."""
        return True

    def _initialize(self, rows):
        """Sets data-dependent state from `Rows` of arrays."""

    def _check_support(self, rows):
        """Refuses rows of density zero, if the model can tell."""

    def _count_rows(self, rows):
        """Receives all training rows, or 2**14 or more of them, before training."""

    def _penalty(self, dtype):
        """Returns nats that are added to the training loss and not to its metric."""
        return tf.zeros([], dtype)

    # Data, from the forms that users give to Keras's.

    def _data(self, x, weight=None, *, checked=False):
        """Returns the data of `fit`, `evaluate` or `predict`, `RowArrays` or `RowStream`.

        With `checked`, values that cannot be fitted raise `ValueError`, for a stream when
        their batch comes.
        """
        if isinstance(x, RowStream.KINDS):
            hint = " Weights come third in a batch: (x, None, weight)."
            require(weight is None, "no `sample_weight` beside batches", "some", hint)
            return RowStream(self._row_format, x, checked=checked)
        data = self._arrays(x, weight)
        if checked:
            data.check()
        return data

    def _arrays(self, x, weight):
        rows = self._row_format.from_inputs(x)._replace(weight=weight)
        return RowArrays(self._row_format, rows)

    def _validation(self, validation_data):
        """Returns the data of the argument `validation_data`; None if it is None."""
        if validation_data is None:
            return None
        if isinstance(validation_data, RowStream.KINDS):
            return RowStream(self._row_format, validation_data, checked=True)
        rows = self._row_format.from_batch(validation_data)
        data = RowArrays(self._row_format, rows)
        data.check("validation_data: ")
        return data

    def _check_and_initialize(self, data, *, initialize, num_batches=None):
        """Checks the support of all rows, or of some of batches; sets state if asked to."""
        if isinstance(data, RowArrays):
            rows = data.rows
        elif initialize:
            rows = data.sample(_INITIALIZATION_ROWS, num_batches)
        else:
            rows = data.first()
        self._check_support(rows)
        if initialize or isinstance(data, RowArrays):
            self._count_rows(rows)
        if initialize:
            self._initialize(rows)

    def _for_keras(self, data, batch_size, *, shuffle=False, **kwargs):
        """Returns the arguments of Keras's own method for `data` and `kwargs`."""
        steps = kwargs.get("steps_per_epoch") or kwargs.get("steps")
        kwargs["x"] = data.for_keras(batch_size=batch_size, steps=steps, shuffle=shuffle)
        if kwargs.get("verbose") != 0 and self.steps_per_execution != 1:
            callbacks = as_list(kwargs.get("callbacks"))
            bar = keras.callbacks.ProgbarLogger
            if not any(isinstance(callback, bar) for callback in callbacks):
                kwargs["callbacks"] = [*callbacks, BoundedProgress()]
        return kwargs

    def _check_trainable(self, y, class_weight):
        self._row_format.refuse_targets(y)
        words = "no `class_weight`, since there are no classes"
        require(class_weight is None, words, class_weight, " Give `sample_weight`.")
        if not self.trainable_weights:
            raise ValueError("Expected a model with trainable variables; it has none.")

    # Steps.

    def _summands(self, data, *, training=False):
        """Returns a replica's shares of the means over the `GlobalBatch`, and the batch.

        With weights, their mean is among the means.
        """
        inputs, _, weight = keras.utils.unpack_x_y_sample_weight(data)
        rows = self._row_format.from_inputs(inputs)._replace(weight=weight)
        dtype = self._row_format.dtype  # Keras passes arrays on in their own
        rows = rows.map(lambda part: tf.cast(part, dtype))
        if weight is not None:
            rows = rows._replace(weight=tf.reshape(rows.weight, [-1]))
        batch = GlobalBatch(tf.shape(rows.x)[0])
        nats = self.nats_of_rows(rows, batch, training=training)
        if weight is not None:
            # A row of weight 0 adds nothing, even if its density is zero or NaN.
            product = tf.math.multiply_no_nan
            nats = {name: product(values, rows.weight) for name, values in nats.items()}
            nats[_WEIGHT] = rows.weight
        return {name: batch.summand(values) for name, values in nats.items()}, batch

    def _update_metrics(self, means, batch):
        trackers = {metric.name: metric for metric in self.metrics}
        dtype = trackers["loss"].dtype
        # Every replica counts the mean over the whole batch for its share of the rows.
        share = tf.cast(batch.count, dtype) / batch.num_replicas
        weight = share
        if _WEIGHT in means:
            weight = tf.cast(means.pop(_WEIGHT), dtype) * share
        words = f"`nats_of_rows` with names of the metrics {sorted(trackers)}"
        hint = " A constructor adds one: `self.own = keras.metrics.Mean(name=...)`."
        require(means.keys() <= trackers.keys(), words, sorted(means), hint)
        for name, mean in means.items():
            # Like `update_state` with a `sample_weight`, in a third of the ops.
            trackers[name].total.assign_add(tf.cast(mean, dtype) * share)
            trackers[name].count.assign_add(weight)
        return self._step_logs()

    def _step_logs(self):
        """Returns the metrics by name, the result of a training or test step."""
        metrics = self.get_metrics_result()
        if _has_other_workers(self.distribute_strategy):
            return {name: value[tf.newaxis] for name, value in metrics.items()}
        return metrics

    @property
    def _metric_dtype(self):
        """The model's dtype if it is wider than `floatx`; otherwise None, Keras's own."""
        dtype, floatx = map(tf.as_dtype, (self.compute_dtype, keras.config.floatx()))
        return dtype.name if dtype.size > floatx.size else None

    def _in_blocks(self, step, keras_own):
        if self.jit_compile and self.steps_per_execution > 1:
            return in_blocks(self, step, keras_own)
        return keras_own

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        pass

    def _build_optimizer(self):
        if not self.optimizer.built:
            # Replicas cannot create its variables within a training step.
            with self.distribute_strategy.scope():
                self.optimizer.build(self.trainable_weights)

    def _set_untracked(self, name, value):
        """Sets an attribute that Keras does not track: it would wrap lists and dicts."""
        object.__setattr__(self, name, value)


def _check_counts(**arguments):
    for name in _COUNTS:
        if arguments.get(name) is not None:
            check_integer(name, arguments[name])


def _check_complete(gradients, weights):
    missing = [w.name for g, w in zip(gradients, weights, strict=True) if g is None]
    words = "a loss that depends on every trainable variable"
    require(not missing, words, f"no gradient for {missing}")


def _check_replicated(variables, strategy, owner):
    for variable in variables:
        is_inside = strategy.extended.variable_created_in_scope(variable.value)
        words = f"`{owner}` and all its parts made in the scope of the strategy"
        require(is_inside, words, f"`{variable.path}` made outside")


def _check_options(jit_compile="auto", steps_per_execution=1, **_):
    fits = jit_compile is not True and steps_per_execution == 1
    words = "no `jit_compile` and no `steps_per_execution` with several replicas"
    got = f"{jit_compile} and {steps_per_execution}"
    require(fits, f"{words}, where Keras has neither", got)


def _has_other_workers(strategy):
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return False
    jobs = strategy.cluster_resolver.cluster_spec().as_dict()
    return sum(map(len, jobs.values())) > 1


def structure_lines(part: Any) -> list[str]:
    """Returns the structure of a distribution or bijector, and of its parts, in lines."""
    if isinstance(part, (FlowBijector, FlowDistribution)):
        return str(part).split("\n")
    name = getattr(part, "name", "")
    lines = [f'{type(part).__name__} "{name}"']
    for attribute in ("distribution", "dequantizer", "encoder", "bijector", "flow"):
        inner = getattr(part, attribute, None)
        if inner is not None:
            lines += [f"{attribute}:", *structure_lines(inner)]
    return lines
