"""A line for every form of an autoregressive distribution: all contract tests run on it."""

import dataclasses
import functools
import itertools

import numpy as np
from cases import Case
from random_weights import randomize

import tfp_flows as tff


@dataclasses.dataclass(frozen=True)
class DistributionCase(Case):
    """How to build a distribution, and points of its support.

    `num_values` is the number of values of each variable, where it is discrete.
    """

    num_values: tuple | None = None

    def points(self, batch_shape, seed=0):
        """Valid points, float64."""
        if self.num_values is None:
            return super().points(batch_shape, seed)
        shape = (*batch_shape, *self.event_shape)
        rng = np.random.default_rng(seed)
        return rng.integers(self.num_values, size=shape).astype(np.float64)

    def all_points(self):
        """All values of a discrete distribution, float64."""
        return np.array(list(itertools.product(*map(range, self.num_values))), np.float64)

    def cells(self, x):
        """Indices of the values `x` among `all_points`."""
        return np.ravel_multi_index(x.astype(int).T, self.num_values)


def _binary(event_size=8, context_size=0, **options):
    build = functools.partial(tff.BinaryMADE, event_size)
    return _case(build, event_size, context_size, (2,) * event_size, options)


def _categorical(num_values, context_size=0, **options):
    build = functools.partial(tff.CategoricalMADE, num_values)
    return _case(build, len(num_values), context_size, num_values, options)


def _mixture(event_size=3, context_size=0, **options):
    options = {"num_components": 3, **options}
    build = functools.partial(tff.MixtureMADE, event_size)
    return _case(build, event_size, context_size, None, options)


def _case(constructor, event_size, context_size, num_values, options):
    options = {"hidden_units": (12, 12), "activation": "tanh", "seed": 3, **options}
    build = functools.partial(constructor, context_size=context_size, **options)
    return DistributionCase(
        lambda t: build(dtype=t), (event_size,), context_size, num_values=num_values
    )


_RANDOM = tff.networks.random_ordering(8, seed=4)
BINARY = {
    "binary": _binary(),
    "binary_random": _binary(ordering=_RANDOM, direct=True, dropout=0.2),
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
    "mixture_of_one": _mixture(
        num_components=1, ordering=[2, 3, 1], direct=True, dropout=0.2
    ),
    "mixture_context": _mixture(2, context_size=2),
    "mixture_masks": _mixture(3, num_masks=2),
}
CATEGORICAL = {
    "categorical": _categorical((4, 2, 3, 5)),
    "categorical_random_context": _categorical(
        (3, 1, 4, 2), 2, ordering=[2, 4, 1, 3], residual=True, direct=True
    ),
    "categorical_of_one_variable": _categorical((4,)),
    "categorical_in_blocks": _categorical((3,) * 8, ordering=_RANDOM, dropout=0.2),
}
DISCRETE = BINARY | CATEGORICAL
CASES = DISCRETE | MIXTURES


@functools.cache
def built(name):
    """The distribution of a case, in float64 with random weights."""
    return randomize(CASES[name].build("float64"))
