"""What may follow each step of a flow on vectors: a norm, and a linear mixing."""

from tfp_flows.bijectors.act_norm import ActNorm
from tfp_flows.bijectors.batch_norm import BatchNorm
from tfp_flows.bijectors.linear import InvertibleLinear

__all__ = ["between_steps"]


def between_steps(event_size, *, batch_norm, act_norm, lu_mixing, dtype):
    """Returns the list of bijectors that are asked for, new ones for each step.

    Args:
      event_size: number of variables, D.
      batch_norm: whether a `BatchNorm` is.
      act_norm: whether an `ActNorm` is.
      lu_mixing: whether an `InvertibleLinear` is, the identity at first.
      dtype: of inputs and weights.

    Raises:
      ValueError: if both norms are.
    """
    if batch_norm and act_norm:
        raise ValueError("Expected one of `batch_norm` and `act_norm`; got both.")
    bijectors = []
    if batch_norm:
        bijectors.append(BatchNorm(event_size, dtype=dtype))
    if act_norm:
        bijectors.append(ActNorm(event_size, dtype=dtype))
    if lu_mixing:
        bijectors.append(InvertibleLinear(event_size, dtype=dtype))
    return bijectors
