"""Which tests only `make test-slow` runs: others have what they are made of."""

from pathlib import Path

import pytest
from bijector_cases import STEPS

__all__ = ["REPRESENTATIVES", "SLOW_CASES", "is_slow", "representatives", "with_slow"]

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
    "binary",
    "binary_masks",
    "mixture_context",
}

# Steps of these transformers are tried in `make test`: by a formula and by a root finder,
# with a bounded domain, with parameters of a few and of many numbers. Every transformer has
# the contract of its own there, and `make test-slow` tries steps of all.
_STEPS = {"curved_coupling", "curved_masked", "curved_inverse", "affine_exp_coupling"}
_STEPS |= {"gated_inverse", "spline_coupling", "spline_masked"}

# Cases that are slow in all tests; `real_nvp_image` has one of its two levels.
SLOW_CASES = {"real_nvp_image_levels", "glow_spline", "real_nvp_image_spline"}
SLOW_CASES |= {"spline_coupling_plain", "spline_circular", *(STEPS.keys() - _STEPS)}


def _read(path):
    """The beginnings of the names of tests, by module."""
    table, names = {}, []
    for line in path.read_text().splitlines():
        if line.startswith("  "):
            names.append(line.strip())
        elif line and not line.startswith("#"):
            names = table.setdefault(line, [])
    return table


SLOW_TESTS = _read(Path(__file__).parent / "slow_tests.txt")


def is_slow(module, test):
    """Whether a test of a module, such as `flows/test_glow.py`, is in the table."""
    return any(test.startswith(name) for name in SLOW_TESTS.get(module, ()))


def representatives(names):
    """The parameters `names`, of which those that represent no others are slow."""
    return with_slow(names, set(names) - REPRESENTATIVES)


def with_slow(names, slow):
    """The parameters `names`, of which those in `slow` are marked."""
    return [pytest.param(n, marks=pytest.mark.slow) if n in slow else n for n in names]
