"""Maximum likelihood of a distribution, as a Keras model."""

import math

import keras
import numpy as np
import tensorflow as tf

from tfp_flows.bijectors.serialization import deserialize
from tfp_flows.bijectors.serialization import serialize
from tfp_flows.models.fitting import first_rows
from tfp_flows.models.fitting import num_replicas
from tfp_flows.models.fitting import refuse_missing
from tfp_flows.models.fitting import targets_for
from tfp_flows.models.fitting import with_stop_on_nan
from tfp_flows.models.fitting import with_targets
from tfp_flows.models.input_checks import check_distribution
from tfp_flows.models.input_checks import check_inputs
from tfp_flows.models.keras_format import KerasFormat
from tfp_flows.models.shared_variable import SharedVariable

__all__ = ["DensityEstimator"]


@keras.saving.register_keras_serializable(package="tfp_flows")
class DensityEstimator(KerasFormat, keras.Model):
    """Fits a distribution by minimising its mean negative log-likelihood, in nats.

    All of Keras's training applies: `compile` with any optimizer, `fit` on arrays or
    `tf.data`, `validation_split`, `sample_weight`, callbacks, `jit_compile`,
    `steps_per_execution`, `tf.distribute` strategies, `save` to a `.keras` file. The
    reported `loss` and `val_loss` are nats a row, in the data's own units.

    Where the distribution is conditional, its context is the second input:
    `fit((x, context))`, or a `tf.data.Dataset` of `((x, context),)`. Weights from a
    dataset come third: `(x, None, weight)`.

    Args:
      distribution: a `FlowDistribution`, or any object with `log_prob`, `variables` and
        `dtype`. Its variables are the model's weights.
      **kwargs: `name` of `keras.Model`.

    Raises:
      ValueError: from `fit`, if nothing is trainable, or the loss does not depend on a
        trainable variable.
    """

    def __init__(self, distribution, **kwargs):
        check_distribution(distribution)
        super().__init__(dtype=tf.as_dtype(distribution.dtype).name, **kwargs)
        # Not tracked by Keras, which would not find the variables of a TFP object.
        object.__setattr__(self, "distribution", distribution)
        self._shared_weights = [
            SharedVariable(variable) for variable in distribution.variables
        ]
        self.built = True

    def call(self, inputs, training=False):
        """Returns `log_prob`, `[N]`, of `x`, `[N, *event]`, or of `(x, context)`."""
        x, context = inputs if isinstance(inputs, (tuple, list)) else (inputs, None)
        kwargs = {} if context is None else {"context": context}
        if training:
            kwargs["training"] = True
        return self.distribution.log_prob(x, **kwargs)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Returns the mean of `-log_prob` over the batch, weighted by `sample_weight`."""
        if sample_weight is not None:
            # As Keras does: the weights are not normalised, so zero weights drop rows.
            y_pred *= tf.cast(sample_weight, y_pred.dtype)
        # Keras adds up what the replicas of a strategy return.
        return -tf.reduce_mean(y_pred) / num_replicas()

    def train_step(self, data):
        """One gradient step; Keras's own, but for the refusal of missing gradients."""
        x, _, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        weights = self.trainable_weights
        with tf.GradientTape() as tape:
            log_prob = self(x, training=True)
            loss = self.compute_loss(y_pred=log_prob, sample_weight=sample_weight)
            scaled_loss = self.optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled_loss, weights)
        refuse_missing(gradients, weights)
        self.optimizer.apply_gradients(zip(gradients, weights, strict=True))
        self._loss_tracker.update_state(
            loss * num_replicas(), sample_weight=tf.shape(log_prob)[0]
        )
        return self.get_metrics_result()

    def fit(self, x=None, y=None, **kwargs):
        """Trains as `keras.Model.fit` does, and returns its history.

        Before the first step, data-dependent state (`Standardize`, `ActNorm`) is set from
        the training rows (the first 2**14 of a dataset), unless it is already. Training
        stops on a loss that is not finite, with the best weights so far (`StopOnNaN`).

        Args:
          x: `[N, *event]`; `(x, context)`; or a `tf.data.Dataset`.
          y: must be None: there are no targets.
          **kwargs: as of `keras.Model.fit`.

        Raises:
          ValueError: if nothing is trainable, `y` is given, or `x` has no rows.
        """
        if y is not None:
            raise ValueError(
                "Expected no targets `y`; got some. A context is the second input: "
                "fit((x, context))."
            )
        check_inputs(self.distribution, x)
        if not self.trainable_weights:
            raise ValueError(
                "Expected a `distribution` with trainable variables; it has none."
            )
        if not getattr(self.distribution, "is_initialized", True):
            self.initialize(x, validation_split=kwargs.get("validation_split", 0.0))
        if isinstance(x, tf.data.Dataset):
            kwargs.setdefault("shuffle", False)  # Keras's default only makes it warn
        if kwargs.get("validation_data") is not None:
            kwargs["validation_data"] = with_targets(kwargs["validation_data"])
        kwargs["callbacks"] = with_stop_on_nan(kwargs.get("callbacks"))
        y = targets_for(kwargs.get("sample_weight"))
        if self.optimizer is not None and not self.optimizer.built:
            # Replicas cannot create its variables within a training step.
            with self.distribute_strategy.scope():
                self.optimizer.build(self.trainable_weights)
        return super().fit(x, y, **kwargs)

    def evaluate(self, x=None, y=None, **kwargs):
        """Returns the mean negative log-likelihood in nats, as `keras.Model.evaluate`."""
        check_inputs(self.distribution, x)
        y = targets_for(kwargs.get("sample_weight")) if y is None else y
        return super().evaluate(x, y, **kwargs)

    def predict(self, x, **kwargs):
        """Returns `log_prob`, `[N]`, of rows as of `fit`, as `keras.Model.predict`."""
        check_inputs(self.distribution, x)
        return super().predict(x, **kwargs)

    def initialize(self, x, *, validation_split=0.0):
        """Sets the distribution's data-dependent state from training data.

        Args:
          x: as of `fit`.
          validation_split: share of the rows, the last ones, that do not count.
        """
        if isinstance(x, tf.data.Dataset):
            x = first_rows(x)
        rows, context = x if isinstance(x, (tuple, list)) else (x, None)
        count = math.floor(len(rows) * (1.0 - validation_split))  # as Keras splits
        self.distribution.initialize(
            np.asarray(rows[:count]),
            context=None if context is None else np.asarray(context[:count]),
        )

    def get_config(self):
        """Returns the distribution as plain data."""
        return {**super().get_config(), "distribution": serialize(self.distribution)}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Builds the model that `config` describes; its weights are loaded apart."""
        config = {k: v for k, v in config.items() if k in ("distribution", "name")}
        distribution = deserialize(config.pop("distribution"))
        return cls(distribution, **config)
