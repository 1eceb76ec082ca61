"""The Keras model beneath all models here, and all that it changes of Keras's own."""

from __future__ import annotations

import os
from typing import Any

import keras
import tensorflow as tf

from tfp_flows.core.saved_names import check_keras
from tfp_flows.models.block_training import in_blocks
from tfp_flows.networks.conditioner import Conditioner

__all__ = ["KerasModel", "SharedVariable", "shared_variables"]


class KerasModel(keras.Model):
    """A `keras.Model` with a loss of its own, trained under any `tf.distribute` strategy.

    What is changed of Keras 3.15, and why:

    - `compile` refuses losses and metrics, since there are no targets.
    - `compile` keeps the loss in the digits of the model; Keras's is of `floatx`.
    - `compile` stops the optimizer from adding up the gradients of the replicas, which the
      training step does: Keras clips the gradient of each replica, not their sum.
    - `_maybe_symbolic_build` does nothing: models are built, and Keras's own fails on
      batches that do not divide evenly among the replicas.
    - `_step_logs` gives metrics an axis under several workers, where Keras takes means
      along it.
    - Several steps an execution are one program, where XLA compiles them (`in_blocks`).
    - `save` refuses formats that hold no distributions.
    """

    train_function: Any
    test_function: Any

    def compile(
        self,
        optimizer: str | keras.optimizers.Optimizer = "rmsprop",
        loss: object = None,
        loss_weights: object = None,
        metrics: object = None,
        weighted_metrics: object = None,
        **kwargs: object,
    ) -> None:
        """Configures training as `keras.Model.compile` does, but for loss and metrics.

        Args:
          optimizer: as of Keras.
          loss: must be None: the model has its own.
          loss_weights: must be None.
          metrics: must be None: there are no targets to compare with.
          weighted_metrics: must be None.
          **kwargs: as of `keras.Model.compile`.

        Raises:
          ValueError: if there is a loss or a metric; or, under a strategy of several
            replicas, weights or optimizer were made outside its scope, or there are options
            that Keras does not support there.
        """
        given = {"loss": loss, "loss_weights": loss_weights}
        given |= {"metrics": metrics, "weighted_metrics": weighted_metrics}
        for name, value in given.items():
            if value:
                raise ValueError(
                    f"Expected no `{name}`, since the model has its own loss and there are "
                    f"no targets to compare with; got {value!r}."
                )
        strategy = self.distribute_strategy
        if strategy.num_replicas_in_sync > 1:
            _check_replicated(self.weights, strategy, "model")
            _check_options(**kwargs)
        with strategy.scope():
            super().compile(optimizer, **kwargs)
            if self._metric_dtype:
                tracker = keras.metrics.Mean(name="loss", dtype=self._metric_dtype)
                # Not by Keras's `setattr`, which would list it a second time.
                object.__setattr__(self, "_loss_tracker", tracker)
        if strategy.num_replicas_in_sync > 1:
            _check_replicated([self.optimizer.iterations], strategy, "optimizer")
            _take_summed_gradients(self.optimizer)

    def compile_from_config(self, config: dict) -> None:
        """Compiles a model that is loaded, as it was when it was saved."""
        # Keras does so itself only where `compile` is its own.
        custom_objects = check_keras(config)
        self.compile(**keras.saving.deserialize_keras_object(config, custom_objects))
        self._build_optimizer()

    def make_train_function(self, force: bool = False) -> Any:
        """Makes, or finds, what trains on the next batches of an iterator."""
        if self.train_function is None or force:
            super().make_train_function(force)
            self.train_function = self._in_blocks(self.train_step, self.train_function)
        return self.train_function

    def make_test_function(self, force: bool = False) -> Any:
        """Makes, or finds, what evaluates the next batches of an iterator."""
        if self.test_function is None or force:
            super().make_test_function(force)
            self.test_function = self._in_blocks(self.test_step, self.test_function)
        return self.test_function

    def save(self, filepath: str | os.PathLike, *args: object, **kwargs: object) -> None:
        """Saves the model, as `keras.Model.save`, to a `.keras` file.

        Args:
          filepath: path that ends in `.keras`.
          *args: as of `keras.Model.save`.
          **kwargs: as of `keras.Model.save`.

        Raises:
          ValueError: if the path ends otherwise; a folder does, with `zipped=False`.
        """
        path = str(os.fspath(filepath))
        is_folder = kwargs.get("zipped") is False and not path.endswith((".h5", ".hdf5"))
        if not path.endswith(".keras") and not is_folder:
            raise ValueError(
                f"Expected `filepath` to end in `.keras`, which holds distributions too; "
                f"got {filepath!r}. `save_weights` writes `.weights.h5`, and `export` a "
                "SavedModel."
            )
        return super().save(filepath, *args, **kwargs)

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

    def _step_logs(self):
        """What a training or test step returns: the metrics by name."""
        metrics = self.get_metrics_result()
        if _has_other_workers(self.distribute_strategy):
            return {name: value[tf.newaxis] for name, value in metrics.items()}
        return metrics

    @property
    def _metric_dtype(self):
        """Keras's own, or that of the model if that has more digits."""
        own, floatx = map(tf.as_dtype, (self.compute_dtype, keras.config.floatx()))
        return own.name if own.size > floatx.size else None


class SharedVariable(keras.Variable):
    """A Keras variable whose value *is* the given `tf.Variable`, not a copy of it."""

    def __init__(self, variable: tf.Variable, regularizer: Any = None) -> None:
        object.__setattr__(self, "_shared", variable)
        name = variable.name.removesuffix(":0").replace("/", "_")
        super().__init__(
            lambda shape, dtype: None,
            shape=variable.shape,
            dtype=variable.dtype.name,
            trainable=variable.trainable,
            name=name,
        )
        self.regularizer = regularizer

    def _initialize(self, value):
        self._value = self._shared


def shared_variables(*modules: tf.Module) -> list[SharedVariable]:
    """Returns a `SharedVariable` for each variable of `tf.Module`s.

    Those of a network in a `Conditioner` keep their regularisers, so that `model.losses`
    lists them.
    """
    regularizers = {
        variable.value.ref(): variable.regularizer
        for module in modules
        for part in getattr(module, "submodules", ())
        if isinstance(part, Conditioner)
        for variable in part.network.trainable_variables
    }
    variables = (variable for module in modules for variable in module.variables)
    return [SharedVariable(v, regularizers.get(v.ref())) for v in variables]


def _check_replicated(variables, strategy, owner):
    for variable in variables:
        if not strategy.extended.variable_created_in_scope(variable.value):
            raise ValueError(
                f"Expected `{owner}` and all its parts made in the scope of the strategy; "
                f"got `{variable.path}` made outside."
            )


def _check_options(jit_compile="auto", steps_per_execution=1, **_):
    if jit_compile is True or steps_per_execution != 1:
        raise ValueError(
            "Expected no `jit_compile` and no `steps_per_execution` with several replicas, "
            f"where Keras has neither; got {jit_compile} and {steps_per_execution}."
        )


def _take_summed_gradients(optimizer):
    optimizer = getattr(
        optimizer, "inner_optimizer", optimizer
    )  # of a `LossScaleOptimizer`
    object.__setattr__(optimizer, "_all_reduce_sum_gradients", list)


def _has_other_workers(strategy):
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return False
    jobs = strategy.cluster_resolver.cluster_spec().as_dict()
    return sum(map(len, jobs.values())) > 1
