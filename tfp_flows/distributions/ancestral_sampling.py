"""Densities, samples and completions of rows under one autoregressive network.

A `network` is an `AutoregressiveNetwork`; a `conditional` is one of
`conditionals.py`; rows are `[N, D]`, noise `[N, D, V]`, contexts `[N, C]` or None.
"""

from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

__all__ = [
    "check_observed",
    "complete",
    "draw",
    "draw_dealt",
    "in_hands",
    "log_prob",
    "log_probs",
]


def log_prob(
    network: Any,
    conditional: Any,
    x: tf.Tensor,
    context: tf.Tensor | None,
    **training: bool,
) -> tf.Tensor:
    """Returns the log-probabilities, `[N]`, in one pass; `training` is the network's."""
    return tf.reduce_sum(log_probs(network, conditional, x, context, **training), axis=-1)


def log_probs(
    network: Any,
    conditional: Any,
    x: tf.Tensor,
    context: tf.Tensor | None,
    **training: bool,
) -> tf.Tensor:
    """Returns those of each variable given the ones before it, `[N, D]`."""
    outputs = network(x, context, **training)
    shape = [-1, conditional.num_parameters, network.event_size]
    return conditional.log_prob(x, tf.reshape(outputs, shape))


def draw(
    network: Any,
    conditional: Any,
    noise: tf.Tensor,
    context: tf.Tensor | None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns samples, `[N, D]`, and their log-probabilities, `[N]`, in one pass.

    The gradient of the log-probabilities is that at fixed samples, and does not go back
    through the loop: it is that of `log_prob`. Samples have none.
    """

    @tf.custom_gradient
    def solve(noise, *contexts):
        x, total = _draw(network, conditional, noise, *(contexts or [None]))

        def gradient(_, adjoint, variables=()):
            sources = [*contexts, *variables]
            with tf.GradientTape() as tape:
                tape.watch(sources)
                again = log_prob(network, conditional, x, *(contexts or [None]))
            gradients = tape.gradient(again, sources, adjoint)
            inputs = [None, *gradients[: len(contexts)]]
            return (inputs, gradients[len(contexts) :]) if variables else inputs

        return (x, total), gradient

    return solve(noise) if context is None else solve(noise, context)


def draw_dealt(
    member: Callable,
    masks: tf.Tensor,
    conditional: Any,
    noise: tf.Tensor,
    context: tf.Tensor | None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns samples under several masks, to which the rows are dealt in turn.

    With their log-probabilities, each under its own mask; neither has a gradient.

    Each row's mask is as random as `masks` are, so each sample is one of the mean over the
    masks. Since equally many rows have each mask, averages over rows vary less than those
    over independent draws.

    Args:
      member: function from a mask's index to a network.
      masks: `[G]`, indices in random order.
      conditional: as of `draw`.
      noise: as of `draw`.
      context: as of `draw`.
    """

    def draw_hand(mask, noise, *context):
        return _draw(member(mask), conditional, noise, *(context or [None]))

    given = [noise] if context is None else [noise, context]
    x, total = in_hands(draw_hand, masks, *given)
    return tf.stop_gradient(x), tf.stop_gradient(total)


def in_hands(
    method: Callable, masks: tf.Tensor, noise: tf.Tensor, *others: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Calls a method for each of several masks, to which rows are dealt in turn.

    Args:
      method: function from a mask and its rows of the other arguments to rows, `[n, D]`,
        and their logarithms, `[n]`.
      masks: `[G]`, indices: row r has that of index r modulo G.
      noise: `[N, D, V]`.
      *others: more tensors with N rows.

    Returns:
      Rows, `[N, D]`, and logarithms, `[N]`, in the order of the arguments.
    """
    num_rows, num_masks = tf.shape(noise)[0], tf.shape(masks)[0]
    size = -(-num_rows // num_masks)
    # The last row fills up.
    deal = tf.reshape(tf.minimum(tf.range(size * num_masks), num_rows - 1), [size, -1])
    dealt = [tf.gather(t, tf.transpose(deal)) for t in (noise, *others)]
    kinds: tuple = (tf.TensorSpec([None, noise.shape[1]], noise.dtype),)
    kinds += (tf.TensorSpec([None], noise.dtype),)
    x, total = tf.map_fn(
        lambda hand: method(*hand),
        (masks, *dealt),
        fn_output_signature=kinds,
        parallel_iterations=1,
    )
    x = tf.reshape(tf.transpose(x, [1, 0, 2]), [-1, noise.shape[1]])
    return x[:num_rows], tf.reshape(tf.transpose(total), [-1])[:num_rows]


def check_observed(observed: npt.ArrayLike, shape: Sequence[int | None]) -> np.ndarray:
    """Returns `observed` as a boolean array, `[D]` or of `shape`, or refuses it."""
    observed, shape = np.asarray(observed), list(shape)
    of_rows = "" if len(shape) == 1 else f" or {shape}"
    if list(observed.shape) not in (shape[-1:], shape) or observed.dtype != bool:
        raise ValueError(
            f"Expected boolean `observed` of shape {shape[-1:]}{of_rows}; got "
            f"{observed.dtype} of shape {observed.shape}."
        )
    return observed


def complete(
    network: Any,
    conditional: Any,
    noise: tf.Tensor,
    x: tf.Tensor,
    observed: tf.Tensor,
    context: tf.Tensor | None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Draws missing variables given those before them, and keeps the observed ones.

    Args:
      network: as of `draw`.
      conditional: as of `draw`.
      noise: as of `draw`.
      x: `[N, D]`.
      observed: boolean, `[D]` or `[N, D]`.
      context: as of `draw`.

    Returns:
      Completed rows, `[N, D]`, and the log-probability of the observed variables given all
      before them, `[N]`: the importance weight of the row.
    """
    x = tf.where(observed, x, tf.zeros([], x.dtype))
    is_observed = tf.broadcast_to(tf.cast(observed, x.dtype), tf.shape(x))
    values = tf.concat([noise, tf.stack([x, is_observed], axis=-1)], axis=-1)

    def solve(values, parameters):
        noise, given, is_observed = values[:-2], values[-2], values[-1]
        drawn, _ = _draw_one(conditional, noise, parameters)
        value = tf.where(is_observed > 0.0, given, drawn)
        log_prob = conditional.log_prob(value[None], parameters[None])[0]
        return value, is_observed * log_prob

    return network.solve(values, context, solve)


def _draw(network, conditional, noise, context):
    def solve(noise, parameters):
        return _draw_one(conditional, noise, parameters)

    return network.solve(noise, context, solve)


def _draw_one(conditional, noise, parameters):
    """One variable of N rows, `[V, N]` and `[P, N]`, as N variables of one row."""
    parameters = parameters[None]
    x = conditional.sample(tf.transpose(noise)[None], parameters)
    return x[0], conditional.log_prob(x, parameters)[0]
