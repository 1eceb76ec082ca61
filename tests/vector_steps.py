"""Couplings and autoregressive steps on vectors, with tiny networks, and cases of them."""

import functools

from cases import Case

import tfp_flows as tff


def coupling(mask, dtype, transformer=None, context_size=0, **mlp):
    """A coupling on vectors with a tiny network."""
    transformer = transformer or tff.Affine()
    units = transformer.num_parameters * int((~mask).sum())
    mlp = {"hidden_units": (4,), "activation": "tanh", "seed": 1, **mlp}
    network = tff.MLP(units, dtype=dtype, **mlp)
    conditioner = tff.Conditioner(network, int(mask.sum()), context_size=context_size)
    return tff.Coupling(mask, conditioner, transformer, dtype=dtype)


def conditional(mask, transformer=None):
    build = lambda t: coupling(mask, t, transformer, context_size=2)  # noqa: E731
    return Case(build, mask.shape, context_size=2)


def autoregressive(constructor, ordering, dtype, transformer=None, context_size=0, **mlp):
    """A masked or inverse autoregressive step with a tiny network."""
    transformer = transformer or tff.Affine()
    mlp = {"hidden_units": (6, 6), "activation": "tanh", "seed": 1, **mlp}
    network = tff.MaskedMLP(
        transformer.num_parameters,
        ordering=ordering,
        context_size=context_size,
        dtype=dtype,
        **mlp,
    )
    conditioner = tff.Conditioner(network, len(ordering), context_size=context_size)
    return constructor(len(ordering), conditioner, transformer, dtype=dtype)


def masked(ordering, context_size=0, **arguments):
    build = functools.partial(
        autoregressive, tff.MaskedAutoregressive, ordering, context_size=context_size
    )
    return Case(lambda t: build(dtype=t, **arguments), (len(ordering),), context_size)


def inverse_masked(ordering, context_size=0, **arguments):
    build = functools.partial(
        autoregressive, tff.InverseAutoregressive, ordering, context_size=context_size
    )
    return Case(lambda t: build(dtype=t, **arguments), (len(ordering),), context_size)
