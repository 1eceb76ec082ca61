"""One network of each kind that a `Conditioner` may hold, for the contract of all."""

import dataclasses
import functools
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from random_weights import randomize

import tfp_flows as tff


@dataclasses.dataclass(frozen=True)
class Case:
    """A network, and what its conditioner is shown.

    Attributes:
      network: function of a dtype that builds it.
      input_shape: of an event that it is shown.
      context_size: width of the context.
      ordering: of an autoregressive network: the degrees of the variables.
      is_connected: whether each output depends on all that it may depend on.
    """

    network: Callable
    input_shape: tuple
    context_size: int = 0
    ordering: tuple = ()
    is_connected: bool = True

    def build(self, dtype="float64"):
        """Returns a `Conditioner` with random weights."""
        conditioner = tff.Conditioner(
            self.network(dtype=dtype), self.input_shape, context_size=self.context_size
        )
        return randomize(conditioner)

    def inputs(self, batch_shape, dtype="float64"):
        """Returns `(x, context)`, the context None where there is none."""
        rng = np.random.default_rng(0)
        x = rng.normal(size=(*batch_shape, *self.input_shape))
        context = rng.normal(size=(*batch_shape, self.context_size))
        return tf.constant(x, dtype), tf.constant(context, dtype) if context.size else None


def _masked(ordering, *hidden_units, is_connected=True, **options):
    options = {"activation": "tanh", **options}
    return Case(
        functools.partial(tff.MaskedMLP, 2, hidden_units, ordering, **options),
        (len(ordering),),
        options.get("context_size", 0),
        tuple(ordering),
        is_connected,
    )


def _cycle(*hidden_units, event_size=6, is_connected=True, **options):
    network = functools.partial(
        tff.networks.OrderAgnosticMLP,
        2,
        hidden_units,
        event_size,
        num_masks=3,
        mask_seed=7,
        **options,
    )
    ordering = tuple(options.get("fixed_ordering") or range(1, event_size + 1))
    context_size = options.get("context_size", 0)
    return Case(network, (event_size,), context_size, ordering, is_connected)


def _tokens(num_tokens, token_size, **options):
    options = {"num_layers": 2, "num_units": 8, "num_heads": 2, **options}
    ordering = np.repeat(np.arange(1, num_tokens + 1), token_size)
    return Case(
        functools.partial(
            tff.networks.CausalTransformer, 2, num_tokens, token_size, **options
        ),
        (num_tokens * token_size,),
        options.get("context_size", 0),
        tuple(ordering[::-1] if options.get("reverse") else ordering),
    )


_EXPLICIT = [4, 1, 6, 2, 3, 5]
_RANDOM = tff.networks.random_ordering(7, seed=3).tolist()
_MANY = tff.networks.random_ordering(37, seed=4).tolist()  # more than one block of levels
_EVERYTHING = {"context_size": 2, "residual": True, "direct": True, "degree_seed": 3}

# Widths, orderings, activations and seeds of masks vary in `test_flow_properties.py`, too.
CASES = {
    "user's layer": Case(functools.partial(keras.layers.Dense, 5), (3,), 2),
    "user's network on images": Case(
        functools.partial(keras.layers.Conv2D, 5, 3, padding="same"), (4, 6, 2), 3
    ),
    "mlp": Case(functools.partial(tff.MLP, 4, (8,), activation="tanh"), (3,), 2),
    "residual mlp": Case(
        functools.partial(tff.MLP, 4, (8, 8), activation="elu", residual=True), (3,)
    ),
    "conv net": Case(functools.partial(tff.networks.ConvNet, 4, 6), (4, 5, 2), 3),
    "res net": Case(
        functools.partial(tff.networks.ResNet, 4, 3, num_blocks=1), (4, 6, 2), 3
    ),
    "masked, context": _masked(_EXPLICIT, 32, 32, context_size=2, residual=True),
    "masked, everything": _masked(_RANDOM, 5, 5, 5, **_EVERYTHING, is_connected=False),
    "masked, no hidden layer": _masked(_EXPLICIT, context_size=2, direct=True),
    "masked, many, everything": _masked(_MANY, 50, 50, **_EVERYTHING, is_connected=False),
    "cycle, no hidden layer": _cycle(context_size=2),
    "cycle, one ordering": _cycle(32, 32, fixed_ordering=_EXPLICIT),
    "tokens, context": _tokens(4, 3, context_size=2),
    "tokens of one variable, reversed": _tokens(18, 1, reverse=True),
    "cycle, many": _cycle(90, 90, event_size=19, context_size=2, direct=True),
}
