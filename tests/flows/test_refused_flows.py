"""Arguments of flows that are refused."""

import pytest
import tensorflow_probability as tfp
from refusals import all_refused, bad_calls
from small_parts import TINY, on

import tfp_flows as tff

tfb = tfp.bijectors

VECTOR_FLOWS = [tff.NICE, tff.RealNVP, tff.MADE, tff.MAF, tff.IAF]

OF_VECTOR_FLOWS = [
    (lambda flow: flow(True), "`event_size | True"),
    (lambda flow: flow(3, context_size=-1), "`context_size` | -1"),
    (lambda flow: flow(3, seed="a"), "`seed` | 'a'"),
    (lambda flow: flow(3, dtype="int32"), "`dtype` float32 or float64 | 'int32'"),
    (lambda flow: flow(3, dtype="float16"), "`dtype` float32 or float64 | 'float16'"),
    (lambda flow: flow(3, network_dtype="mixed"), "`network_dtype` | 'mixed'"),
    (lambda flow: flow(3, hidden_units="64"), "positive `hidden_units` | '64'"),
    (lambda flow: flow(3, activation="rectify"), "`activation` | 'rectify'"),
]

IMAGE_FLOWS = [tff.flows.GlowStep, tff.Glow, tff.RealNVPImage]

OF_IMAGE_FLOWS = [
    (lambda flow: flow(True), "`image_shape | True"),
    (lambda flow: flow((8, 8, 2), dtype="int32"), "`dtype` float32 or float64 | 'int32'"),
]


def angle_flow():
    return tff.NeuralSplineFlow(1, circular=[0], **TINY)


def tar_flow(context_size):
    sizes = {"num_blocks": 1, "num_layers": 1, "num_units": 4, "num_heads": 1}
    return tff.TarFlow(3, context_size=context_size, **sizes)


BAD_CALLS = [
    (
        lambda: tff.RealNVP(1),
        "`event_size` of at least 2 | got 1. | NeuralSplineFlow(1) | MAF(1, transf",
    ),
    (lambda: tff.MAF(3, num_steps=0), "`num_steps` of at least 1 | got 0"),
    (lambda: tff.RealNVP(3, batch_norm=True, act_norm=True), "one of `batch_norm` | both"),
    (lambda: tff.NeuralSplineFlow(3, random_permutations=2), "permutations` | got 2"),
    (lambda: tff.NeuralSplineFlow(3, circular=[3]), "`circular` | 3 variables | [3]"),
    (
        lambda: tff.at_temperature(on(tff.circular_base(1, [0]), angle_flow()), 0.5),
        "`distribution` | line | angles",
    ),
    (
        lambda: on(tff.standard_normal(1), angle_flow()),
        "`distribution` | circle | [0] | circular_base",
    ),
    (
        lambda: tff.MAF(3, transformer=tfb.Exp()),
        "`transformer` | num_parameters | exp | A bijector has no parameters",
    ),
    (lambda: tff.RealNVP(3, transformer="affine"), "`transformer` | 'affine'"),
    (lambda: tff.MAF(3, batch_norm=True, recompute=True), "batch"),
    (lambda: tff.NICE(3, heavy_tails="t"), "`heavy_tails` | 't'"),
    (
        lambda: tff.MAF(3, dtype="float64", network_dtype="mixed_bfloat16"),
        "`network_dtype`, None or 'float64' in a flow of float64 | 'mixed_bfloat16'",
    ),
    (lambda: tff.RealNVP(3, name=3), "string `name` | got 3"),
    (lambda: tff.MAF(3, 5), "positional"),
    (lambda: tff.MAF(3, steps=5), "num_steps | standardize | `MAF`; got | ['steps']"),
    (lambda: tff.Glow((8, 8)), "`image_shape` | (H, W, C) | (8, 8)"),
    (lambda: tff.Glow((8, 8, 1), 1, 1, hidden_channels=2, logit_alpha=1.0), "`alpha`"),
    (lambda: tff.Glow((8, 8, 1), 1, 1, normal_scores=1), "`normal_scores` | 1"),
    (lambda: tff.MAF(2, num_quantiles=1), "`num_quantiles` | 1"),
    (lambda: tff.flows.GlowStep((8, 8, 1)), "`image_shape` | 2 channels | (8, 8, 1)"),
    (lambda: tff.RealNVPImage((8, 8, 1), hidden_channels=(4, 4)), "`hidden_channels`"),
    (lambda: tff.TarFlow((8, 8, 1)), "`event_shape` of (T, D) | `patch_size` | (8, 8, 1)"),
    (lambda: tff.TarFlow((4, 0)), "`event_shape` | (4, 0)"),
    (lambda: tff.TarFlow(8, patch_size=2), "`event_shape` of (H, W, C) | by 2; got (8,)"),
    (lambda: tff.TarFlow((8, 6, 1), patch_size=4), "divisible by 4; got (8, 6, 1)"),
    (lambda: tff.TarFlow((8, 8, 1), patch_size=0), "`patch_size` of at least 1; got 0"),
    (lambda: tff.TarFlow((2, 2, 1), patch_size=2, logit_alpha=1.0), "`alpha`"),
    (lambda: tff.TarFlow(3, num_blocks=0), "`num_blocks` of at least 1; got 0"),
    (lambda: tff.TarFlow(3, transformer="affine"), "`transformer` | 'affine'"),
    (lambda: tff.TarFlow(3, standardize="no"), "`standardize` | 'no'"),
    (lambda: tff.TarFlow(3, num_units=6), "`num_units` that 4 heads divide; got 6"),
    (lambda: tff.flows.Guided(tff.MAF(3, context_size=2), 1.0), "`flow`, a `TarFlow`"),
    (lambda: tff.flows.Guided(tar_flow(0), 1.0), "`flow` | context; got none"),
    (lambda: tff.flows.Guided(tar_flow(2), -1.0), "`weight` of at least 0; got -1.0"),
    (
        lambda: tff.flows.Guided(tar_flow(2), 1.0, [0.0, 0.0, 0.0]),
        "`null_context` of shape [2]; got [3]",
    ),
]


@pytest.mark.parametrize("flow", VECTOR_FLOWS)
@bad_calls(OF_VECTOR_FLOWS)
def test_all_flows_on_vectors_refuse(flow, call, words, check_refused):
    check_refused(lambda: call(flow), words)


@pytest.mark.parametrize("flow", IMAGE_FLOWS)
@bad_calls(OF_IMAGE_FLOWS)
def test_all_flows_on_images_refuse(flow, call, words, check_refused):
    check_refused(lambda: call(flow), words)


test_bad_call_is_refused_in_words = all_refused(BAD_CALLS)
