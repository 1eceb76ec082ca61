"""Cases that only `make test-slow` runs, and helpers that mark parameters as slow."""

import pytest

# Cases on which `make test` tries what base classes do; `make test-slow` tries all.
REPRESENTATIVES = {
    # bijectors
    "act_norm",  # weights without a network
    "bounds",  # no weights, data of an interval
    "chain_mixed",  # with stock parts
    "chain_nested",  # with inverted conditional steps
    "conditional",  # a network on vectors
    "gated_inverse_context",  # one direction by a loop
    "multi_scale_context",  # of images, between two shapes
    "stock_scale",  # a stock bijector
    # a flow
    "glow_step",
    # distributions
    "binary_masks",
    "categorical_random_context",
    "mixture_context",
}

# Cases of `make test`, each with the slow cases that differ from it in one option.
_LIKE = {
    "iaf_context": ["maf_context"],
    "glow": ["glow_recompute", "glow_spline"],
    "nice": ["nice_context"],
    "real_nvp_image": ["real_nvp_image_levels"],
    "real_nvp_recompute": ["real_nvp_lu_mixing"],
    "maf": ["made", "maf_random_lu_everything"],
    "spline_one_variable": ["spline"],
    "tarflow_tokens": ["tarflow_image", "tarflow_vector"],
    "binary_masks": ["binary_masks_of_one_ordering", "binary_masks_context"],
    "mixture_masks": ["mixture"],
}
SLOW_CASES = {name for names in _LIKE.values() for name in names}


def asked(request, parameter, names):
    """Which of `names` the tests that run in the requesting module have as `parameter`."""
    values = {
        item.callspec.params.get(parameter)
        for item in request.session.items
        if item.module is request.module and hasattr(item, "callspec")
    }
    return [name for name in map(_name_of, names) if name in values]


def _name_of(name):
    return name if isinstance(name, str) else name.values[0]


def representatives(names):
    """The parameters `names`, of which those that represent no others are slow."""
    return with_slow(names, set(names) - REPRESENTATIVES)


def with_slow(names, slow):
    """The parameters `names`, of which those in `slow` are marked."""
    return [pytest.param(n, marks=pytest.mark.slow) if n in slow else n for n in names]
