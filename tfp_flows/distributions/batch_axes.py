"""What can be sliced of a distribution: the axes of its batch."""

import tensorflow as tf

__all__ = ["check_slices", "refuse_slices"]


def check_slices(slices, batch_shape, name):
    """Refuses more indices than there are batch axes.

    Args:
      slices: what stands in the brackets.
      batch_shape: `tf.TensorShape`.
      name: of the distribution, for the error.

    Raises:
      ValueError: if there are more.
    """
    indices = [s for s in _listed(slices) if s is not Ellipsis and s is not tf.newaxis]
    if len(indices) > batch_shape.rank:
        raise ValueError(
            f"Expected at most {batch_shape.rank} indices of `{name}`, whose batch shape "
            f"is {batch_shape}; got {len(indices)}."
        )


def refuse_slices(slices, name):
    """Refuses all but `[...]`, of a distribution that never has batch axes.

    Args:
      slices: what stands in the brackets.
      name: of the distribution, for the error.

    Raises:
      ValueError: if there is anything else.
    """
    if any(s is not Ellipsis for s in _listed(slices)):
        raise ValueError(
            f"Expected no indices of `{name}`, which has no batch axes "
            f"(`tfd.BatchBroadcast` adds them); got {slices}."
        )


def _listed(slices):
    return slices if isinstance(slices, tuple) else (slices,)
