"""One bijector under test: how to build it and what data it takes."""

import dataclasses
from collections.abc import Callable

import numpy as np


def normal(rng, shape):
    return rng.normal(size=shape)


def open_unit(rng, shape):
    return rng.uniform(0.05, 0.95, size=shape)


def positive(rng, shape):
    return np.exp(0.5 * rng.normal(size=shape))


@dataclasses.dataclass(frozen=True)
class Case:
    """A line of the tables `bijector_cases.CASES` and `flow_cases.CASES`.

    `build(dtype)` returns a bijector, `event_shape` is that of its data end, and
    `data(rng, shape)` draws points of its support.
    """

    build: Callable
    event_shape: tuple
    context_size: int = 0
    data: Callable = normal

    def points(self, batch_shape, seed=0):
        """Valid points at the data end, float64, `[*batch_shape, *event_shape]`."""
        rng = np.random.default_rng(seed)
        return self.data(rng, (*batch_shape, *self.event_shape))

    def context(self, batch_shape, seed=0):
        """Keyword arguments with a context of these batch axes, if there is one."""
        if not self.context_size:
            return {}
        rng = np.random.default_rng(seed + 100)
        return {"context": rng.normal(size=(*batch_shape, self.context_size))}
