"""The steps of a likelihood model: what one batch adds to its weights and metrics."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfp_flows.models.global_batch import GlobalBatch
from tfp_flows.models.gradients import complete_gradient
from tfp_flows.models.keras_model import KerasModel
from tfp_flows.models.row_format import RowFormat
from tfp_flows.models.row_format import Rows

__all__ = ["LikelihoodSteps"]

# Key of the mean weight of a batch's rows among the means of the metrics.
_WEIGHT = "sample_weight"


class LikelihoodSteps(KerasModel):
    """A Keras model whose steps maximise a likelihood of rows, or a bound of it.

    Metrics are means over all rows, `sum(w nats) / sum(w)` where rows have weights w, and
    the objective of a step is `sum(w nats) / n` over its n rows, as Keras has it: batches
    then add up to the objective of all rows, whatever their weights. It makes no difference
    how a `tf.distribute` strategy divides a batch among replicas. A subclass has the
    attribute `_row_format`.
    """

    _row_format: RowFormat

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """Takes one gradient step on a batch, and returns the metrics by name."""
        weights = self.trainable_weights
        with tf.GradientTape() as tape:
            summands, batch = self._summands(data, training=True)
            loss = summands["loss"]
            # The regularisers of networks, which the metric shows.
            shown = sum((tf.cast(r, loss.dtype) for r in self.losses), tf.zeros_like(loss))
            penalty = (shown + self._penalty(loss.dtype)) / batch.num_replicas
            scaled_loss = self.optimizer.scale_loss(loss + penalty)
        gradients = complete_gradient(tape, scaled_loss, weights)
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

        Args:
          rows: `Rows` of tensors in the model's dtype.
          batch: the `GlobalBatch` that they are part of.
          training: whether "loss" is the training objective.
        """
        raise NotImplementedError

    def _summands(self, data, *, training=False):
        """What the rows of a replica add to the means over the `GlobalBatch`, and that.

        The mean of the weights is among them, if there are weights.
        """
        inputs, _, weight = keras.utils.unpack_x_y_sample_weight(data)
        rows = self._row_format.of_inputs(inputs)._replace(weight=weight)
        dtype = self._row_format.dtype  # Keras hands arrays on in its own
        rows = Rows(*(None if part is None else tf.cast(part, dtype) for part in rows))
        if weight is not None:
            rows = rows._replace(weight=tf.reshape(rows.weight, [-1]))
        batch = GlobalBatch(tf.shape(rows.x)[0])
        nats = self.nats_of_rows(rows, batch, training=training)
        if weight is not None:
            nats = {name: rows.weight * values for name, values in nats.items()}
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
        for name, mean in means.items():
            # As `update_state` with a `sample_weight` does, in a third of the ops.
            trackers[name].total.assign_add(tf.cast(mean, dtype) * share)
            trackers[name].count.assign_add(weight)
        return self._step_logs()

    def _penalty(self, dtype):
        return tf.zeros([], dtype)  # what is added to the loss, and no metric shows

    def _refuse_targets(self, y):
        if y is not None:
            self._row_format.refuse_targets()

    def _check_trainable(self, y, class_weight):
        self._refuse_targets(y)
        if class_weight is not None:
            raise ValueError(
                "Expected no `class_weight`, since there are no classes; got "
                f"{class_weight}. Give `sample_weight`."
            )
        if not self.trainable_weights:
            raise ValueError("Expected a model with trainable variables; it has none.")
