"""What distributions check of the rows that they are fitted to."""

import tensorflow as tf

from tfp_flows.core.rows import check_rows

__all__ = ["check_rows_of"]


def check_rows_of(distribution, data, context=None, *, argument="data"):
    """Refuses rows that are no events of `distribution`, or have density zero.

    Args:
      distribution: ours, or any `tfd.Distribution`; one of several tensors is not looked
        at.
      data: `[N, *event]`; of a `tf.TensorSpec`, the shape counts.
      context: `[N, context_size]`, where the distribution is conditional.
      argument: what an error calls `data`.

    Raises:
      ValueError: if a shape does not fit, there are no rows, a context is missing or
        unwanted, or a row lies out of the support.
    """
    event_shape = getattr(distribution, "event_shape", tf.TensorShape(None))
    if not isinstance(event_shape, tf.TensorShape):
        return
    context_size = getattr(distribution, "context_size", 0)
    check_rows(data, context, event_shape, context_size, argument=argument)
    if hasattr(distribution, "check_support") and not isinstance(data, tf.TensorSpec):
        distribution.check_support(data, argument=argument)
