"""What only `make test-slow` runs: of whatever it is made, other tests have it too."""

import pytest
from bijector_cases import STEPS

_QUICK_STEPS = {"affine_exp_coupling", "gated_coupling"}
_QUICK_STEPS |= {"curved_coupling", "curved_masked", "curved_inverse"}

# Lines of the tables of cases.
SLOW = {
    *(STEPS.keys() - _QUICK_STEPS),
    # bijectors
    "act_norm",
    "alternating_even",
    "alternating_even_flipped",
    "alternating_odd",
    "batch_norm",
    "channel_affine",
    "channels",
    "checkerboard_context",
    "checkerboard_dense",
    "conv_net",
    "half_flipped",
    "inverse_affine_everything",
    "inverse_one_variable_shift_context",
    "invert",
    "invertible_linear_seed",
    "logit",
    "masked_one_variable_shift",
    "masked_reversed_residual",
    "multi_scale",
    "permutation_reverse",
    "plain_linear",
    "res_net",
    "residual",
    # flows
    "glow_recompute",
    "glow_step_additive",
    "iaf_everything",
    "maf",
    "maf_one_variable_context",
    "maf_random_batch_norm",
    "maf_random_lu_everything",
    "maf_recompute",
    "nice",
    "real_nvp_act_norm",
    "real_nvp_batch_norm",
    "real_nvp_even",
    "real_nvp_exp",
    "real_nvp_gated",
    "real_nvp_image_act_norm",
    "real_nvp_lu_mixing",
    "real_nvp_recompute",
    "real_nvp_residual",
    # distributions
    "binary",
    "binary_masks",
    "binary_masks_of_one_ordering",
    "binary_reversed",
    "mixture",
    "mixture_of_one",
}


def with_slow(names, slow):
    """The parameters `names`, of which those in `slow` are marked."""
    return [pytest.param(n, marks=pytest.mark.slow) if n in slow else n for n in names]
