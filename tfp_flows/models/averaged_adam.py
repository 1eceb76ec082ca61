"""Adam on some weights, of which it keeps an average, and of gradients that are bounded."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

__all__ = ["AveragedAdam"]

_DECAY_OF_MEAN, _DECAY_OF_SQUARE, _SMALL = 0.9, 0.999, 1e-8
_DECAY_OF_NORM, _CLIP = 0.9, 4.0


class AveragedAdam(tf.Module):
    """Adam whose gradients are scaled down to four times their running norm.

    A step may be left out, without a trace in any of the variables.

    Args:
      weights: variables of one dtype.
    """

    def __init__(self, weights: Sequence[tf.Variable]) -> None:
        super().__init__(name="averaged_adam")
        self._weights = weights
        self.mean, self.square, self.average = (
            [
                tf.Variable(tf.zeros_like(w), trainable=False, name=name)
                for w in self._weights
            ]
            for name in ("mean", "square", "average")
        )
        dtype = weights[0].dtype
        self.norm = tf.Variable(0.0, dtype=dtype, trainable=False, name="norm")
        self.step = tf.Variable(0, trainable=False, name="step")

    def start_again(self) -> None:
        """Forgets all steps; weights stay."""
        for variable in self.variables:
            if not any(variable is weight for weight in self._weights):
                variable.assign(tf.zeros_like(variable))

    def take(
        self, gradient: Sequence[tf.Tensor], is_taken: tf.Tensor, rate: tf.Tensor
    ) -> None:
        """One step of size `rate`, where `is_taken`."""
        norm = tf.linalg.global_norm(gradient)
        usual = tf.where(self.norm > 0.0, self.norm, norm)
        bounded = tf.minimum(norm, _CLIP * usual)
        factor = bounded / tf.maximum(norm, 1e-30)
        self.norm.assign(
            tf.where(is_taken, _mix(usual, bounded, _DECAY_OF_NORM), self.norm)
        )
        self.step.assign_add(tf.cast(is_taken, tf.int32))
        t = tf.cast(tf.maximum(self.step, 1), self.norm.dtype)
        of_mean, of_square = 1.0 - _DECAY_OF_MEAN**t, 1.0 - _DECAY_OF_SQUARE**t
        for weight, mean, square, g in zip(
            self._weights, self.mean, self.square, gradient, strict=True
        ):
            g = factor * g
            mean.assign(tf.where(is_taken, _mix(mean, g, _DECAY_OF_MEAN), mean))
            square.assign(tf.where(is_taken, _mix(square, g**2, _DECAY_OF_SQUARE), square))
            change = rate * (mean / of_mean) / (tf.sqrt(square / of_square) + _SMALL)
            weight.assign_sub(tf.where(is_taken, change, tf.zeros_like(change)))

    def add_to_average(self, i: tf.Tensor) -> None:
        """Averages weights from step 0 on; before it, the last ones stand alone."""
        count = tf.cast(tf.maximum(i + 1, 1), self.norm.dtype)
        for weight, average in zip(self._weights, self.average, strict=True):
            average.assign(_mix(average, weight, 1.0 - 1.0 / count))

    def use_average(self) -> None:
        """Sets the weights to their average."""
        for weight, average in zip(self._weights, self.average, strict=True):
            weight.assign(average)


def _mix(old, new, decay):
    return old * decay + new * (1.0 - decay)
