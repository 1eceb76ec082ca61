"""Boolean masks of a coupling: True where a variable passes unchanged."""

import numpy as np

__all__ = ["alternating", "half"]


def alternating(event_size, *, start=True):
    """Every other variable passes; neighbours swap roles when `start` flips.

    Args:
      event_size: number of variables, D.
      start: whether variable 0 passes unchanged.

    Returns:
      Boolean array of shape `[D]`.

    Reference:
      Dinh, Krueger, Bengio (2014), NICE, section 5.1 (odd and even components).
      https://arxiv.org/abs/1410.8516
    """
    return (np.arange(event_size) % 2 == 0) == start


def half(event_size, *, start=True):
    """The first half passes unchanged (`D // 2` variables), or the rest does.

    Args:
      event_size: number of variables, D.
      start: whether the first half passes unchanged.

    Returns:
      Boolean array of shape `[D]`.
    """
    return (np.arange(event_size) < event_size // 2) == start
