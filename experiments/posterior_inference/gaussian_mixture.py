"""A mixture of two normals, whose means are in rising order."""

import functools

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from experiments.posterior_inference.targets import Target

__all__ = ["Ascending", "two_normals"]

tfd = tfp.distributions
_Root = tfd.JointDistributionCoroutine.Root


class Ascending(tfd.Sample):
    """Independent draws of one distribution, in rising order.

    Its density is n! times that of the draws, where these are in rising order.
    """

    def _log_prob(self, value, **kwargs):
        size = tf.cast(self.event_shape[-1], value.dtype)
        return super()._log_prob(value, **kwargs) + tf.math.lgamma(size + 1.0)

    def _sample_n(self, n, seed, **kwargs):
        return tf.sort(super()._sample_n(n, seed, **kwargs), axis=-1)

    def _default_event_space_bijector(self):
        return tfp.bijectors.Ascending()


def two_normals(data):
    """Returns the `Target` of a mixture of two normals.

    Args:
      data: `y`, `[N]`.
    """

    def model():
        mu = yield _Root(Ascending(tfd.Normal(0.0, 2.0), 2, name="mu"))
        sigma = yield _Root(tfd.Sample(tfd.HalfNormal(2.0), 2, name="sigma"))
        theta = yield _Root(tfd.Beta(5.0, 5.0, name="theta"))
        mixture = tfd.MixtureSameFamily(
            tfd.Categorical(probs=tf.stack([theta, 1.0 - theta], axis=-1)),
            tfd.Normal(mu, sigma),
        )
        yield tfd.Sample(mixture, len(data["y"]), name="y")

    build = functools.partial(tfd.JointDistributionCoroutine, model)
    return Target(build, {"y": data["y"].astype(np.float32)})
