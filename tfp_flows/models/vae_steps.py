"""One step of training a variational autoencoder, or of measuring it."""

import keras
import tensorflow as tf

from tfp_flows.distributions.draws import fold_in
from tfp_flows.models import objectives
from tfp_flows.models.fitting import num_replicas
from tfp_flows.models.fitting import refuse_missing
from tfp_flows.models.latent_variable_model import Bound
from tfp_flows.models.shared_batch import SharedBatch

__all__ = ["VAESteps"]

# What draws are for: training must not see those that it is validated on.
_TRAINING, _EVALUATION = 1, 2


class VAESteps:
    """Methods of a `VAE` that Keras calls for a batch, and what they are made of."""

    def rows_of(self, data):
        """Returns what `nats_of_rows` wants of a batch as Keras hands it to a step."""
        x, _, weight = keras.utils.unpack_x_y_sample_weight(data)
        x = tf.cast(x, self.compute_dtype)  # Keras hands arrays on in its own dtype
        if weight is None:
            return x, None
        return x, tf.reshape(tf.cast(weight, self.compute_dtype), [-1])

    def nats_of_rows(self, x, sample_weight=None, *, training=False):
        """Returns what the metrics are means of: nats of each row, `[n]`, by name.

        Args:
          x: `[n, *event]`, in order the rows of this replica of a `tf.distribute` strategy;
            its noise is that of the same rows without replicas.
          sample_weight: `[n]`, what the rows count; None if one each.
          training: whether "loss" is the training objective, with its warm-up and free
            bits, of the next step.
        """
        batch = SharedBatch(tf.shape(x)[0])
        terms = self._probabilities.terms(
            x,
            self.num_samples,
            self._next_seed(training),
            training=training,
            through_sample_only=training and self.sticking_the_landing,
            share=batch.share,
        )
        if training:
            objective = self._objective(terms, batch, sample_weight)
        else:
            objective = self.bound(terms.log_likelihood - terms.kl)
        reconstruction, kl = (tf.reduce_mean(term, axis=0) for term in terms)
        bound = Bound(reconstruction - kl, reconstruction, kl)
        nats = {"loss": -objective, **bound._asdict()}
        if sample_weight is None:
            return nats
        # As Keras does: the weights are not normalised, so zero weights drop rows.
        return {name: sample_weight * values for name, values in nats.items()}

    def train_step(self, data):
        """One gradient step."""
        weights = self.trainable_weights
        with tf.GradientTape() as tape:
            nats = self.nats_of_rows(*self.rows_of(data), training=True)
            # Keras adds up the gradients of replicas.
            nats["loss"] += sum(tf.cast(p, nats["loss"].dtype) for p in self.losses)
            loss = tf.reduce_mean(nats["loss"]) / num_replicas()
            scaled_loss = self.optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled_loss, weights)
        refuse_missing(gradients, weights)
        self.optimizer.apply_gradients(zip(gradients, weights, strict=True))
        return self._measured(nats)

    def test_step(self, data):
        """Measures a batch."""
        return self._measured(self.nats_of_rows(*self.rows_of(data)))

    def _next_seed(self, training):
        if training:
            return fold_in(fold_in(self.seed, _TRAINING), self.optimizer.iterations)
        # Each replica counts its share.
        count = tf.round(self._trackers[0].count * num_replicas())
        return fold_in(fold_in(self.seed, _EVALUATION), count)

    def _objective(self, terms, batch, sample_weight):
        """What a training step maximises, of each row, `[n]`."""
        weight = tf.cast(self.kl_weight, terms.kl.dtype)
        if not self.free_bits:
            return self.bound(terms.log_likelihood - weight * terms.kl)
        kl = tf.reduce_mean(terms.kl, axis=0)[:, tf.newaxis]
        minimum = self.free_bits * self.latent_size
        cost = objectives.free_bits_of_rows(kl, minimum, batch.mean(kl, sample_weight))
        return tf.reduce_mean(terms.log_likelihood, axis=0) - weight * cost

    def _measured(self, nats):
        for metric in (self._loss_tracker, *self._trackers):
            metric.update_state(nats[metric.name])
        return self.get_metrics_result()
