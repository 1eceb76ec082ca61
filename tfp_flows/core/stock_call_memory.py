"""The memory of a bijector between two calls that TFP makes on it in a row."""

import sys
import weakref
from types import FrameType
from typing import Any, NamedTuple

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.core.event_shapes import OPPOSITE

_TRANSFORMED = tfp.distributions.TransformedDistribution
_SCORES = _TRANSFORMED.experimental_local_measure.__code__
_SAMPLES_AND_SCORES = _TRANSFORMED._sample_and_log_prob.__code__


class _Kept(NamedTuple):
    """The result of a call, and a weak reference to the tensor private to a stock call."""

    key: weakref.ref
    direction: str
    result: Any
    log_det: tf.Tensor


class StockCallMemory:
    """The last value and log-det produced inside a stock `log_prob`.

    `tfd.TransformedDistribution.log_prob(y)` asks for `x = inverse(y)` and then for
    `forward_log_det_jacobian(x)`. Answering the second call afresh would run every
    network again, and an autoregressive step in its sequential direction. TFP bridges
    the two calls with a cache that outlives them, and so returns stale log-dets after
    a weight has changed and cuts gradients of `log_prob(sample)`.

    This memory cannot do either. It keeps a pair only if a stock call is on the stack,
    and finds it again only by a tensor that nobody outside that call can hold: the
    `x` that we have just made for `log_prob`, or the base's sample in
    `experimental_sample_and_log_prob`. When the call returns, that tensor dies.
    """

    def __init__(self) -> None:
        # One attribute, read and written once a method: other threads may replace it at any
        # time, and then a call finds nothing and computes.
        self._kept: _Kept | None = None

    def remember(self, direction: str, value: Any, result: Any, log_det: tf.Tensor) -> None:
        """Keeps `direction(value) == result` if a stock call will ask for it again."""
        caller = _stock_caller()
        if caller is _SCORES:
            self._keep(result, OPPOSITE[direction], value, -log_det)
        elif caller is _SAMPLES_AND_SCORES:
            self._keep(value, direction, result, log_det)

    def recall(self, direction: str, value: Any) -> tuple | None:
        """Returns `(result, log_det)` of `direction(value)`, or None."""
        kept = self._kept
        if kept is None:
            return None
        is_asked_for = kept.key() is _first(value) and kept.direction == direction
        return (kept.result, kept.log_det) if is_asked_for else None

    def _keep(self, tensor, *result):
        self._kept = _Kept(weakref.ref(_first(tensor), self._forget), *result)

    def _forget(self, key):
        kept = self._kept
        if kept is not None and kept.key is key:
            self._kept = None


def _first(value):
    """The first tensor of a structure; most values are tensors."""
    return tf.nest.flatten(value)[0] if isinstance(value, (list, tuple, dict)) else value


def _stock_caller():
    """Returns the code of the innermost `TransformedDistribution` method running."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        if frame.f_code in (_SCORES, _SAMPLES_AND_SCORES):
            return frame.f_code
        frame = frame.f_back
    return None
