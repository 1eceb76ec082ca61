"""Which tests only `make test-slow` runs: others have what they are made of."""

import fnmatch

import pytest
from bijector_cases import CASES as BIJECTORS
from bijector_cases import STEPS
from distribution_cases import CASES as DISTRIBUTIONS
from flow_cases import CASES as FLOWS

__all__ = [
    "REPRESENTATIVES",
    "SLOW_CASES",
    "asked",
    "representatives",
    "with_slow",
]

# Cases on which `make test` tries what base classes do; `make test-slow` tries all.
REPRESENTATIVES = {
    # bijectors
    "act_norm",  # weights without a network
    "bounds",  # no weights, data of an interval
    "chain_mixed",  # with stock parts
    "chain_nested",  # with inverted conditional steps
    "conditional",  # a network on vectors
    "gated_inverse_step",  # one direction by a loop
    "multi_scale_context",  # of images, between two shapes
    "stock_scale",  # a stock bijector
    # flows
    "glow_step",
    "maf",
    # distributions
    "binary",
    "binary_masks",
    "categorical_random_context",
    "mixture_context",
}

# Steps of these transformers are tried in `make test`: by a formula and by a root finder,
# with a bounded domain, with parameters of a few and of many numbers. Every transformer has
# the contract of its own there, and `make test-slow` tries steps of all.
_STEPS = {"curved_coupling", "curved_masked", "affine_exp_coupling"}
_STEPS |= {"gated_inverse", "spline_coupling", "spline_masked"}
_OTHER_STEPS = STEPS.keys() - {f"{name}_step" for name in _STEPS}

# Cases of `make test`, and those that are like it but for a mask, an ordering, the lack of
# a context, or one option more, which the case has too or which is a case of its own.
_LIKE = {
    # bijectors
    "irregular": ["alternating_*", "half_flipped"],
    "checkerboard_context": ["checkerboard_*"],
    "inverse_affine_everything": ["masked_drawn_*", "inverse_gated"],
    "masked_reversed_residual": ["masked_affine"],
    "channels_context": ["channels"],
    "conv_net_context": ["conv_net"],
    "res_net_context": ["res_net"],
    "invert_context": ["invert"],
    "multi_scale_context": ["multi_scale"],
    # flows
    "batch_norm": ["real_nvp_batch_norm"],
    "maf": ["maf_one_*", "maf_recompute", "maf_random_batch_norm"],
    "maf_random_lu_everything": ["iaf_everything"],
    "nice": ["nice_*"],
    "residual": ["real_nvp_residual"],
    "affine_exp_coupling_step": ["real_nvp_exp"],
    "gated_inverse_step": ["real_nvp_gated"],
    "real_nvp": ["real_nvp_even"],
    "real_nvp_recompute": ["real_nvp_act_norm", "real_nvp_lu_mixing", "real_nvp_context"],
    "iaf_context": ["maf_context"],
    "glow": ["glow_recompute", "glow_step_additive", "glow_spline"],
    "real_nvp_image": ["real_nvp_image_*"],
    "spline_circular_coupling": ["spline_circular"],
    "spline_one_variable": ["spline"],
    "spline_coupling": ["spline_coupling_plain", "spline_coupling_step"],
    # distributions
    "binary_random": ["binary_reversed"],
    "binary_masks": ["binary_masks_of_one_ordering"],
    "mixture_masks": ["mixture"],
}


def _slow_cases(names):
    for stays, patterns in _LIKE.items():
        assert stays in names, stays
        for pattern in patterns:
            like = set(fnmatch.filter(names, pattern)) - _LIKE.keys()
            assert like, pattern
            yield from like


_NAMES = BIJECTORS.keys() | FLOWS.keys() | DISTRIBUTIONS.keys()
SLOW_CASES = {*_OTHER_STEPS, *_slow_cases(_NAMES)}


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
