"""A line for every flow of `tfp_flows.flows`: all contract tests run on it."""

from functools import partial

from cases import Case, normal, open_unit

import tfp_flows as tff
from tfp_flows import transformers

SPLINE = transformers.RationalQuadraticSpline(3)
SMALL = {"num_steps": 2, "hidden_units": (4,), "activation": "tanh", "seed": 3}
EVERY_CONNECTION = {
    "hidden_units": (3, 3),
    "residual": True,
    "direct": True,
    "degree_seed": 2,
}


def flow(constructor, event_size=3, context_size=0, **arguments):
    """A case of a flow on vectors, tiny unless `arguments` say otherwise."""
    arguments = {**SMALL, "context_size": context_size, **arguments}
    arguments = {k: v for k, v in arguments.items() if v is not None}
    build = partial(constructor, event_size, **arguments)
    return Case(lambda t, **more: build(dtype=t, **more), (event_size,), context_size)


def glow(image_shape=(4, 4, 1), context_size=0, constructor=tff.Glow, **arguments):
    """A case of Glow, or a step of it, on tiny images."""
    sizes = {"num_levels": 2, "num_steps": 1} if constructor is tff.Glow else {}
    arguments = {"hidden_channels": 2, "seed": 3, **sizes, **arguments}
    build = partial(constructor, image_shape, context_size=context_size, **arguments)
    return Case(lambda t, **more: build(dtype=t, **more), image_shape, context_size)


def real_nvp_image(image_shape=(4, 2, 1), context_size=0, **arguments):
    """A case of the multi-scale RealNVP on tiny images."""
    arguments = {"hidden_channels": 2, "num_blocks": 1, "seed": 3, **arguments}
    build = partial(tff.RealNVPImage, image_shape, context_size=context_size, **arguments)
    return Case(
        lambda t, **more: build(dtype=t, **more), image_shape, context_size, data=open_unit
    )


def tarflow(event_shape, context_size=0, **arguments):
    """A case of a TarFlow with tiny networks."""
    arguments = {"num_units": 8, "num_heads": 2, "num_layers": 1, **arguments}
    arguments = {"num_blocks": 2, "seed": 3, "context_size": context_size, **arguments}
    build = partial(tff.TarFlow, event_shape, **arguments)
    data = open_unit if "patch_size" in arguments else normal
    return Case(
        lambda t, **more: build(dtype=t, **more), event_shape, context_size, data=data
    )


IMAGES = {
    "glow": glow((4, 4, 1), 2),
    "glow_recompute": glow((4, 2, 2), 2, num_levels=1, num_steps=2, recompute=True),
    "glow_step": glow((2, 2, 3), constructor=tff.flows.GlowStep),
    "glow_spline": glow((4, 4, 1), 2, transformer=SPLINE),
    "real_nvp_image": real_nvp_image((2, 2, 1), 2, num_levels=1),
    "real_nvp_image_levels": real_nvp_image((4, 2, 1), 2),
    "tarflow_image": tarflow((4, 2, 1), patch_size=2, num_layers=2),
}

CASES = {
    **IMAGES,
    "made": flow(tff.MADE, num_steps=None),
    "spline": flow(tff.NeuralSplineFlow, num_bins=3, random_permutations=False),
    "spline_one_variable": flow(
        tff.NeuralSplineFlow, 1, 2, num_bins=3, num_steps=1, residual=False
    ),
    "spline_coupling": flow(tff.NeuralSplineFlow, 3, 2, num_bins=3, coupling=True),
    "maf": flow(tff.MAF),
    "maf_context": flow(tff.MAF, 2, context_size=2, act_norm=True, lu_mixing=True),
    "maf_random_lu_everything": flow(
        tff.MAF,
        random_orderings=True,
        lu_mixing=True,
        transformer=tff.transformers.Gated(),
        **EVERY_CONNECTION,
    ),
    "iaf_context": flow(tff.IAF, 2, context_size=2),
    "tarflow_tokens": tarflow((3, 2), 2, transformer=SPLINE, recompute=True),
    "tarflow_vector": tarflow((3,), 2),
    "nice": flow(tff.NICE, num_steps=3),
    "nice_context": flow(tff.NICE, context_size=2),
    "real_nvp": flow(tff.RealNVP),
    "real_nvp_recompute": flow(
        tff.RealNVP, context_size=2, act_norm=True, lu_mixing=True, recompute=True
    ),
    "real_nvp_lu_mixing": flow(tff.RealNVP, lu_mixing=True),
}
