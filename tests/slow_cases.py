"""Which parameters only `make test-slow` runs: other tests have what they are made of."""

import pytest

# Cases on which `make test` tries what base classes do; `make test-slow` tries all.
REPRESENTATIVES = {
    # bijectors
    "act_norm",  # weights without a network
    "bounds",  # no weights, data of an interval
    "chain_mixed",  # with stock parts
    "chain_nested",  # with inverted conditional steps
    "conditional",  # a network on vectors
    "masked_shift_context",  # one direction by a loop
    "multi_scale_context",  # of images, between two shapes
    "stock_scale",  # a stock bijector
    # flows
    "glow_step",
    "maf",
    "nice",
    # distributions
    "binary_masks_context",
    "binary_random",
    "mixture_context",
}


def representatives(names):
    """The parameters `names`, of which those that represent no others are slow."""
    return with_slow(names, set(names) - REPRESENTATIVES)


def with_slow(names, slow):
    """The parameters `names`, of which those in `slow` are marked."""
    return [pytest.param(n, marks=pytest.mark.slow) if n in slow else n for n in names]
