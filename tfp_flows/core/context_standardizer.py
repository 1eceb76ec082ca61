"""Standardisation of contexts, by statistics saved with the weights."""

import numpy as np
import tensorflow as tf
from tensorflow.types.experimental import TensorLike

from tfp_flows.core.statistics import mean_and_scale


class ContextStandardizer(tf.Module):
    """Zero mean and unit variance for each entry of a context.

    ```none
    standardized = (context - mean) / scale
    ```

    It is the identity until `initialize` has seen the contexts of the training rows. It
    stays the identity for contexts from a network, for example in the posterior of a `VAE`.

    Args:
      context_size: width of the context, C.
      dtype: dtype of the statistics.
    """

    def __init__(self, context_size: int, dtype: tf.DType) -> None:
        super().__init__(name="context_standardizer")
        zeros, ones = tf.zeros(context_size, dtype), tf.ones(context_size, dtype)
        self._mean = tf.Variable(zeros, trainable=False, name="context_mean")
        self._scale = tf.Variable(ones, trainable=False, name="context_scale")
        self._initialized = tf.Variable(False, trainable=False, name="context_initialized")

    @property
    def is_initialized(self) -> bool:
        """Whether `initialize` has seen contexts."""
        return bool(self._initialized.numpy())

    def initialize(
        self, context: TensorLike, *, weight: np.ndarray | None = None
    ) -> tf.Tensor:
        """Sets mean and scale of contexts, `[N, C]`, once, and returns them standardised.

        Constant columns get scale 1. `weight` are weights of the rows, `[N]`; None: all
        equal.
        """
        if not self.is_initialized:
            mean, scale = mean_and_scale(
                context, self._mean.dtype, "context", weight=weight
            )
            self._mean.assign(mean)
            self._scale.assign(scale)
            self._initialized.assign(True)
        return self(tf.convert_to_tensor(context, self._mean.dtype))

    def __call__(self, context: tf.Tensor) -> tf.Tensor:
        """Returns `context`, `[..., C]`, standardised and clipped against overflow."""
        most = context.dtype.max**0.8  # the same bound as in `Standardize`
        return tf.clip_by_value((context - self._mean) / self._scale, -most, most)


def leave_contexts(part: tf.Module) -> None:
    """Makes a bijector or distribution leave contexts from a network unchanged."""
    for module in (part, *part.submodules):
        if isinstance(module, ContextStandardizer) and not module.is_initialized:
            module._initialized.assign(True)
