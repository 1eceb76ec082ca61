"""Small flows and distributions on three variables, and rows and contexts for them."""

import functools

import numpy as np

import tfp_flows as tff

TINY = {"num_steps": 1, "hidden_units": (4,), "seed": 0}

ROWS = np.random.default_rng(0).normal(size=(16, 3)).astype(np.float32)

CONTEXT = np.random.default_rng(1).normal(size=(16, 2)).astype(np.float32)


@functools.cache
def flow():
    return tff.RealNVP(3, **TINY)


@functools.cache
def conditional_flow():
    return tff.MAF(3, context_size=2, **TINY)


def on(base, bijector=None):
    return tff.FlowDistribution(base, bijector or flow())


@functools.cache
def unconditional():
    return tff.FlowDistribution(tff.standard_normal(3), flow())


@functools.cache
def conditional():
    return tff.FlowDistribution(tff.standard_normal(3), conditional_flow())
