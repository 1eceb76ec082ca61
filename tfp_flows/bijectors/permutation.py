"""A fixed permutation of the variables, saved with the weights."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfp_flows.bijectors.positionwise import Positionwise
from tfp_flows.core.arguments import check_array, check_seed, check_size


class Permutation(Positionwise):
    """Reorders the entries of the last axis.

    ```none
    forward:  y[i] = x[permutation[i]],  log_det = 0
    ```

    The permutation is a variable, so a checkpoint holds it. With a constant, a checkpoint
    restored into another flow would load the weights, and the density would be wrong.

    Args:
      permutation: integers, a permutation of `0, ..., D - 1`; `reverse_permutation` and
        `random_permutation` make the usual ones.
      event_ndims: axes of one event: 1 for vectors, 3 for images.
      dtype: dtype of inputs.
      name: name of the bijector.

    Raises:
      ValueError: if `permutation` is not a permutation.

    >>> import tfp_flows
    >>> tfp_flows.Permutation([1, 2, 0]).forward([[10.0, 20.0, 30.0]]).numpy()
    array([[20., 30., 10.]], dtype=float32)
    """

    def __init__(
        self,
        permutation: npt.ArrayLike,
        *,
        event_ndims: int = 1,
        dtype: tf.DType | str = tf.float32,
        name: str = "permutation",
    ) -> None:
        permutation = check_permutation(permutation)
        super().__init__(len(permutation), event_ndims=event_ndims, dtype=dtype, name=name)
        self._permutation = _fixed(permutation, name="permutation")
        self._inverse_permutation = _fixed(np.argsort(permutation), name="inverse")

    @property
    def _is_permutation(self):
        return True

    def _forward_and_log_det(self, x, context, training):
        return self._reorder(x, self._permutation, self._inverse_permutation)

    def _inverse_and_log_det(self, y, context, training):
        return self._reorder(y, self._inverse_permutation, self._permutation)

    def _reorder(self, value, indices, inverse_indices):
        @tf.custom_gradient
        def gather(value, indices, inverse_indices):
            # The gradient is the inverse permutation. TensorFlow's gradient of a gather is
            # a scatter, which is many times as slow.
            def gradient(upstream):
                return tf.gather(upstream, inverse_indices, axis=-1), None, None

            return tf.gather(value, indices, axis=-1), gradient

        reordered = gather(
            value, tf.convert_to_tensor(indices), tf.convert_to_tensor(inverse_indices)
        )
        return reordered, tf.zeros(tf.shape(value)[:1], value.dtype)


def check_permutation(
    permutation: npt.ArrayLike, event_size: int | None = None
) -> np.ndarray:
    """Returns `permutation`, of the integers 0 to D - 1, as an array."""
    permutation = check_array("permutation", permutation)
    is_one = permutation.ndim == 1 and permutation.dtype.kind in "iu"
    is_one = is_one and event_size in (None, len(permutation))
    if not is_one or sorted(permutation) != list(range(len(permutation))):
        highest = "D - 1" if event_size is None else event_size - 1
        raise ValueError(
            f"Expected `permutation` of the integers 0 to {highest}; got "
            f"{permutation.tolist()}."
        )
    return permutation


def reverse_permutation(event_size: int) -> np.ndarray:
    """The permutation `D - 1, ..., 0`, as an array.

    >>> import tfp_flows
    >>> tfp_flows.bijectors.reverse_permutation(3).tolist()
    [2, 1, 0]
    """
    check_size("event_size", event_size)
    return np.arange(event_size)[::-1]


def random_permutation(event_size: int, seed: int | None) -> np.ndarray:
    """A uniformly drawn permutation of `0, ..., D - 1`; the same for the same seed.

    >>> import tfp_flows
    >>> sorted(tfp_flows.bijectors.random_permutation(3, seed=0).tolist())
    [0, 1, 2]
    """
    check_size("event_size", event_size)
    check_seed("seed", seed)
    return np.random.default_rng(seed).permutation(event_size)


def _fixed(value, name):
    return tf.Variable(value.astype(np.int32), trainable=False, name=name)
