"""Bad calls of the papers' flows."""

import tensorflow_probability as tfp

import tfp_flows as tff
from bad_calls.bad_call import BadCall

tfb = tfp.bijectors
ON_VECTORS = (tff.NICE, tff.RealNVP, tff.MADE, tff.MAF, tff.IAF)
ON_IMAGES = (tff.GlowStep, tff.Glow, tff.RealNVPImage)


def _of_any(flow, on):
    """What every flow refuses alike."""
    name = flow.__name__
    return {
        f"{name} of True": BadCall(lambda: flow(True), f"`{on}", "True"),
        f"{name}, negative context": BadCall(
            lambda: flow(_good(on), context_size=-1), "`context_size`", "-1"
        ),
        f"{name}, context of True": BadCall(
            lambda: flow(_good(on), context_size=True), "`context_size`", "True"
        ),
        f"{name}, seed of letters": BadCall(
            lambda: flow(_good(on), seed="a"), "`seed`", "'a'"
        ),
        f"{name} of integers": BadCall(
            lambda: flow(_good(on), dtype="int32"), "floating-point `dtype`", "'int32'"
        ),
    }


def _of_vectors(flow):
    name = flow.__name__
    return {
        **_of_any(flow, "event_size"),
        f"{name} of a string": BadCall(lambda: flow("3"), "`event_size`", "'3'"),
        f"{name} of a fraction": BadCall(lambda: flow(2.5), "`event_size`", "2.5"),
        f"{name} of nothing": BadCall(lambda: flow(0), "`event_size`", "got 0"),
        f"{name}, widths of a string": BadCall(
            lambda: flow(3, hidden_units="64"), "positive `hidden_units`", "'64'"
        ),
        f"{name}, unknown activation": BadCall(
            lambda: flow(3, activation="rectify"), "`activation`", "'rectify'"
        ),
    }


def _good(on):
    return 3 if on == "event_size" else (8, 8, 2)


CALLS = {
    **{k: v for flow in ON_VECTORS for k, v in _of_vectors(flow).items()},
    **{k: v for flow in ON_IMAGES for k, v in _of_any(flow, "image_shape").items()},
    "RealNVP of one variable": BadCall(
        lambda: tff.RealNVP(1), "`event_size` of at least 2", "got 1"
    ),
    "RealNVP of half a step": BadCall(
        lambda: tff.RealNVP(3, num_steps=2.5), "integer `num_steps`", "2.5"
    ),
    "RealNVP of 2.0 steps": BadCall(
        lambda: tff.RealNVP(3, num_steps=2.0), "integer `num_steps`", "2.0"
    ),
    "RealNVP of steps in letters": BadCall(
        lambda: tff.RealNVP(3, num_steps="8"), "integer `num_steps`", "'8'"
    ),
    "NICE of no steps": BadCall(
        lambda: tff.NICE(3, num_steps=0), "`num_steps` of at least 1", "got 0"
    ),
    "MAF, transformer of a bijector": BadCall(
        lambda: tff.MAF(3, transformer=tfb.Exp()),
        "`transformer`",
        "num_parameters",
        "exp",
        "A bijector has no parameters",
    ),
    "IAF, transformer of a class": BadCall(
        lambda: tff.IAF(3, transformer=tff.Gated), "`transformer`", "the class Gated; call"
    ),
    "RealNVP, transformer of a string": BadCall(
        lambda: tff.RealNVP(3, transformer="affine"), "`transformer`", "'affine'"
    ),
    "RealNVP with both norms": BadCall(
        lambda: tff.RealNVP(3, batch_norm=True, act_norm=True),
        "`batch_norm` and `act_norm`",
        "both",
    ),
    "MAF, batch norm recomputed": BadCall(
        lambda: tff.MAF(3, batch_norm=True, recompute=True), "batch"
    ),
    "MADE, standardize of letters": BadCall(
        lambda: tff.MADE(3, standardize="off"), "`standardize`", "'off'"
    ),
    "MAF, degrees of letters": BadCall(
        lambda: tff.MAF(3, degree_seed="a"), "`degree_seed`", "'a'"
    ),
    "RealNVP, unknown dtype": BadCall(
        lambda: tff.RealNVP(3, dtype="single precision"), "`dtype`", "single precision"
    ),
    "RealNVP, complex": BadCall(
        lambda: tff.RealNVP(3, dtype="complex64"), "floating-point `dtype`", "complex64"
    ),
    "RealNVP, no dtype": BadCall(
        lambda: tff.RealNVP(3, dtype=None), "floating-point `dtype`", "None"
    ),
    "RealNVP, name of a number": BadCall(
        lambda: tff.RealNVP(3, name=3), "string `name`", "got 3"
    ),
    "MAF with its steps by position": BadCall(lambda: tff.MAF(3, 5), "positional"),
    "MAF with an unknown argument": BadCall(
        lambda: tff.MAF(3, number_of_steps=5), "number_of_steps"
    ),
    "Glow without channels": BadCall(
        lambda: tff.Glow((8, 8)), "`image_shape`", "(H, W, C)", "(8, 8)"
    ),
    "Glow of a size": BadCall(lambda: tff.Glow(28), "`image_shape`", "got 28"),
    "Glow of letters": BadCall(lambda: tff.Glow("8x8x1"), "`image_shape`", "'8x8x1'"),
    "Glow of fractions": BadCall(
        lambda: tff.Glow((8.5, 8, 1)), "`image_shape`", "(8.5, 8, 1)"
    ),
    "Glow of an odd image": BadCall(
        lambda: tff.Glow((6, 6, 1), 2), "`image_shape`", "divisible by 4", "(6, 6, 1)"
    ),
    "Glow of half a level": BadCall(
        lambda: tff.Glow((8, 8, 1), 1.5), "integer `num_levels`", "1.5"
    ),
    "Glow of half a step": BadCall(
        lambda: tff.Glow((8, 8, 1), 1, num_steps=1.5), "integer `num_steps`", "1.5"
    ),
    "Glow, widths of a string": BadCall(
        lambda: tff.Glow((8, 8, 1), 1, 1, hidden_channels="64"), "`hidden_channels`"
    ),
    "Glow, alpha of one": BadCall(
        lambda: tff.Glow((8, 8, 1), 1, 1, hidden_channels=2, logit_alpha=1.0), "`alpha`"
    ),
    "GlowStep of one channel": BadCall(
        lambda: tff.GlowStep((8, 8, 1)), "`image_shape`", "2 channels", "(8, 8, 1)"
    ),
    "RealNVPImage without channels": BadCall(
        lambda: tff.RealNVPImage((8, 8)), "`image_shape`", "(8, 8)"
    ),
    "RealNVPImage, two widths": BadCall(
        lambda: tff.RealNVPImage((8, 8, 1), hidden_channels=(4, 4)), "`hidden_channels`"
    ),
    "RealNVPImage of no block": BadCall(
        lambda: tff.RealNVPImage((8, 8, 1), num_blocks=0), "`num_blocks`", "got 0"
    ),
    "RealNVPImage of a single pixel": BadCall(
        lambda: tff.RealNVPImage((2, 2, 1), 2), "`image_shape`", "(2, 2, 1)"
    ),
}
