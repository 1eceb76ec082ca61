"""A line for every flow of `tfp_flows.flows`: all contract tests run on it."""

from functools import partial

from cases import Case

import tfp_flows as tff
from tfp_flows import transformers

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
    return Case(lambda t: build(dtype=t), (event_size,), context_size)


CASES = {
    "made": flow(tff.MADE, num_steps=None),
    "maf": flow(tff.MAF),
    "maf_random_batch_norm": flow(tff.MAF, random_orderings=True, batch_norm=True),
    "maf_context": flow(tff.MAF, context_size=2, act_norm=True, lu_mixing=True),
    "maf_random_lu_everything": flow(
        tff.MAF,
        random_orderings=True,
        lu_mixing=True,
        transformer=tff.Gated(),
        **EVERY_CONNECTION,
    ),
    "maf_one_variable_context": flow(tff.MAF, 1, context_size=2),
    "iaf_context": flow(tff.IAF, context_size=2),
    "iaf_everything": flow(tff.IAF, 4, transformer=tff.Affine(), **EVERY_CONNECTION),
    "nice": flow(tff.NICE, num_steps=3),
    "nice_context": flow(tff.NICE, context_size=2),
    "real_nvp": flow(tff.RealNVP),
    "real_nvp_even": flow(tff.RealNVP, 2, num_steps=3),
    "real_nvp_batch_norm": flow(tff.RealNVP, batch_norm=True),
    "real_nvp_act_norm": flow(tff.RealNVP, act_norm=True),
    "real_nvp_lu_mixing": flow(tff.RealNVP, lu_mixing=True),
    "real_nvp_residual": flow(tff.RealNVP, hidden_units=(4, 4), residual=True),
    "real_nvp_context": flow(tff.RealNVP, context_size=2, act_norm=True),
    "real_nvp_gated": flow(tff.RealNVP, transformer=tff.Gated()),
    "real_nvp_exp": flow(
        tff.RealNVP, transformer=tff.Affine(transformers.exp_scale), standardize=False
    ),
}
