"""A line for every form of an autoregressive distribution: all contract tests run on it."""

import dataclasses
import functools
from collections.abc import Callable

import numpy as np
from random_weights import randomize

import tfp_flows as tff


@dataclasses.dataclass(frozen=True)
class DistributionCase:
    """How to build a distribution of `event_size` variables, and points of its support."""

    build: Callable
    event_size: int
    context_size: int
    is_binary: bool

    def points(self, batch_shape, seed=0):
        """Valid points, float64."""
        x = np.random.default_rng(seed).normal(size=(*batch_shape, self.event_size))
        return (x > 0.0).astype(np.float64) if self.is_binary else x

    def context(self, batch_shape, seed=0):
        """Keyword arguments with a context of these batch axes, if there is one."""
        if not self.context_size:
            return {}
        rng = np.random.default_rng(seed + 100)
        return {"context": rng.normal(size=(*batch_shape, self.context_size))}


def _binary(event_size=8, context_size=0, **options):
    return _case(tff.BinaryMADE, event_size, context_size, True, options)


def _mixture(event_size=3, context_size=0, **options):
    options = {"num_components": 3, **options}
    return _case(tff.MixtureMADE, event_size, context_size, False, options)


def _case(constructor, event_size, context_size, is_binary, options):
    options = {"hidden_units": (12, 12), "activation": "tanh", "seed": 3, **options}
    build = functools.partial(constructor, event_size, context_size=context_size, **options)
    return DistributionCase(lambda t: build(dtype=t), event_size, context_size, is_binary)


_RANDOM = tff.random_ordering(8, seed=4)
BINARY = {
    "binary": _binary(),
    "binary_reversed": _binary(ordering=tff.reversed_ordering(8)),
    "binary_random": _binary(ordering=_RANDOM, direct=True),
    "binary_residual_context": _binary(context_size=2, residual=True),
    "binary_masks": _binary(num_masks=3),
    "binary_masks_context": _binary(
        num_masks=2, context_size=2, residual=True, direct=True
    ),
    "binary_masks_of_one_ordering": _binary(num_masks=3, ordering=_RANDOM),
    "binary_of_one_variable": _binary(1, hidden_units=(2,)),
}
MIXTURES = {
    "mixture": _mixture(),
    "mixture_of_one": _mixture(num_components=1, ordering=[2, 3, 1], direct=True),
    "mixture_context": _mixture(2, context_size=2),
    "mixture_masks": _mixture(3, num_masks=2),
}
CASES = BINARY | MIXTURES


@functools.cache
def built(name):
    """The distribution of a case, in float64 with random weights."""
    return randomize(CASES[name].build("float64"))
