"""What a chain makes of the bijectors that it is given."""

import tensorflow_probability as tfp

from tfp_flows.bijectors.invert import Invert
from tfp_flows.bijectors.tfp_bijector import TFPBijector
from tfp_flows.core.flow_bijector import FlowBijector

__all__ = ["as_steps"]

tfb = tfp.bijectors


def as_steps(bijectors):
    """Brings all bijectors under the protocol, with the event's rank along the chain.

    Args:
      bijectors: list of `tfp.bijectors.Bijector`s, data side first.

    Returns:
      List of `FlowBijector`s.
    """
    bijectors = [part for b in bijectors for part in _flatten(b)]
    event_ndims = tfb.Chain(bijectors).forward_min_event_ndims
    steps = []
    for bijector in reversed(bijectors):
        if not isinstance(bijector, FlowBijector):
            bijector = TFPBijector(bijector, event_ndims)
        steps.insert(0, bijector)
        event_ndims = bijector.forward_event_ndims(event_ndims)
    return steps


def _flatten(bijector):
    """Takes stock chains and inversions apart, since they would not hand context on."""
    if _is_a(bijector, tfb.Chain):
        return [part for b in bijector.bijectors for part in _flatten(b)]
    if _is_a(bijector, tfb.Invert) and isinstance(bijector.bijector, FlowBijector):
        return [Invert(bijector.bijector)]
    return [bijector]


def _is_a(bijector, stock_class):
    # Where a part is no `CompositeTensor`, as ours, TFP builds the class's base instead.
    return isinstance(bijector, stock_class.__mro__[1])
