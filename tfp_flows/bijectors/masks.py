"""Boolean masks of a coupling: True where a variable passes unchanged."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tfp_flows.core.arguments import check_flag, check_image_shape, check_size

__all__ = ["alternating", "channel_half", "checkerboard", "half"]


def alternating(event_size: int, *, start: bool = True) -> np.ndarray:
    """Every other variable passes; neighbours swap roles when `start` flips.

    Args:
      event_size: number of variables, D.
      start: whether variable 0 passes unchanged.

    Returns:
      Boolean array of shape `[D]`.

    >>> import tfp_flows
    >>> tfp_flows.masks.alternating(4).tolist()
    [True, False, True, False]

    Reference:
      Dinh, Krueger, Bengio (2014), NICE, section 5.1 (odd and even components).
      https://arxiv.org/abs/1410.8516
    """
    check_size("event_size", event_size)
    check_flag("start", start)
    return (np.arange(event_size) % 2 == 0) == start


def half(event_size: int, *, start: bool = True) -> np.ndarray:
    """The first half (`D // 2` variables) or the other half passes unchanged.

    Args:
      event_size: number of variables, D.
      start: whether the first half passes unchanged.

    Returns:
      Boolean array of shape `[D]`.

    >>> import tfp_flows
    >>> tfp_flows.masks.half(3).tolist()
    [True, False, False]
    """
    check_size("event_size", event_size)
    check_flag("start", start)
    return (np.arange(event_size) < event_size // 2) == start


def checkerboard(image_shape: Sequence[int], *, start: bool = True) -> np.ndarray:
    """Pixels whose row and column have an even sum pass, in all channels.

    Args:
      image_shape: `(H, W, C)`.
      start: whether the first pixel passes unchanged.

    Returns:
      Boolean array of shape `[H, W, C]`.

    >>> import tfp_flows
    >>> tfp_flows.masks.checkerboard((2, 2, 1))[..., 0].tolist()
    [[True, False], [False, True]]

    Reference:
      Dinh, Sohl-Dickstein, Bengio (2016), RealNVP, section 3.4 and figure 3.
      https://arxiv.org/abs/1605.08803
    """
    check_flag("start", start)
    row, column, _ = np.indices(check_image_shape(image_shape))
    return ((row + column) % 2 == 0) == start


def channel_half(image_shape: Sequence[int], *, start: bool = True) -> np.ndarray:
    """The first half of the channels (`C // 2`) or the other half passes unchanged.

    Args:
      image_shape: `(H, W, C)`.
      start: whether the first half passes unchanged.

    Returns:
      Boolean array of shape `[H, W, C]`.

    >>> import tfp_flows
    >>> tfp_flows.masks.channel_half((1, 1, 4)).tolist()
    [[[True, True, False, False]]]
    """
    image_shape = check_image_shape(image_shape)
    return np.broadcast_to(half(image_shape[-1], start=start), image_shape)
