"""What can be sliced of a distribution: the axes of its batch."""

import tensorflow as tf

__all__ = ["check_slices"]


def check_slices(slices, batch_shape, name):
    """Refuses more indices than there are batch axes.

    Args:
      slices: what stands in the brackets.
      batch_shape: `tf.TensorShape`.
      name: of the distribution, for the error.

    Raises:
      ValueError: if there are more.
    """
    slices = slices if isinstance(slices, tuple) else (slices,)
    indices = [s for s in slices if s is not Ellipsis and s is not tf.newaxis]
    if len(indices) > batch_shape.rank:
        raise ValueError(
            f"Expected at most {batch_shape.rank} indices of `{name}`, whose batch shape "
            f"is {batch_shape}; got {len(indices)}."
        )
