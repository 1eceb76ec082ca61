"""The causal attention network: each token's parameters depend on the tokens before it.

A transformer here is the attention model, not the elementwise map of `transformers/`.

In one pass, all tokens are known, and all positions are computed at the same time. In the
sequential direction, tokens are solved for one after another. Position t then computes its
own keys and values once, writes them into a cache, and attends to the cache. So T tokens
take T positions, not T passes over T positions.

The adjoint goes back over the positions in the same way. The adjoints of the keys and
values of position t are complete once all later positions are done, since only these
attend to them.
"""

from __future__ import annotations

import itertools
import typing
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.types.experimental import TensorLike

from tfp_flows.core.arguments import (
    check_each,
    check_entries,
    check_flag,
    check_seed,
    check_size,
    require,
)
from tfp_flows.core.compiled import traced_once
from tfp_flows.networks.context_network import (
    ContextNetwork,
    check_width,
    split_context,
)
from tfp_flows.networks.forward_substitution import (
    AutoregressiveNetwork,
    block_bounds,
    traced_without_gradient,
)
from tfp_flows.networks.packed_weights import PackedWeights, bias_part, dense, kernel_part

# Added to variances, as in most transformers.
_EPSILON = 1e-6
# Width of the hidden layer of each MLP, in widths of the network (Vaswani et al., 2017).
_WIDENING = 4


class _Sizes(typing.NamedTuple):
    """Sizes that determine the trace of a network."""

    num_tokens: int  # T
    token_size: int  # D
    num_parameters: int  # P
    num_heads: int


class _Layer(typing.NamedTuple):
    """A kernel and a bias of each dense map of a layer."""

    attention: Any  # to queries, keys and values
    merge: Any  # from the heads
    widen: Any  # the MLP
    narrow: Any


class _Arrays(typing.NamedTuple):
    """The network's arrays, in the order of its `PackedWeights`."""

    tokens: Any  # kernel from a token
    context: Any  # kernel from the context
    positions: Any  # [T, num_units]
    layers: list
    last: Any  # kernel and bias of the parameters


@keras.saving.register_keras_serializable(package="tfp_flows")
class CausalTransformer(AutoregressiveNetwork, ContextNetwork):
    """Causal transformer over tokens, with one pass for densities and a cache for samples.

    ```none
    h_t <- E x_{t-1} + position_t + C context            the first token: without E x
    h_t <- h_t + W attention_t(norm(h_1), ..., norm(h_t)) + b    for each of num_layers
    h_t <- h_t + V gelu(U norm(h_t) + c) + d
    parameters of token t = O norm(h_t) + e
    ```

    The parameters of all D variables of a token depend on the tokens before it, not on each
    other. `norm` standardises over the units; it has no weights, since a dense map follows.
    Attention has `num_heads` heads of `num_units / num_heads` units. Inputs beyond
    `dtype.max**0.4` are clipped, so that their squares do not overflow.

    Args:
      num_parameters: P, outputs for each variable.
      num_tokens: number of tokens, T.
      token_size: variables of each token, D.
      num_layers: number of layers, each of an attention and an MLP.
      num_units: width of the network, a multiple of `num_heads`.
      num_heads: number of attention heads.
      context_size: width of the context; 0 if there is none.
      reverse: whether the order of the tokens is reversed: the last token comes first.
      zero_last_layer: whether the last layer starts at zero.
      seed: integer that determines the initial weights; random if None.
      **kwargs: `name`, `dtype` of `keras.layers.Layer`.

    Raises:
      ValueError: if a size is below 1, or `num_heads` does not divide `num_units`.

    >>> import tensorflow as tf
    >>> import tfp_flows
    >>> network = tfp_flows.networks.CausalTransformer(2, num_tokens=3, token_size=4)
    >>> conditioner = tfp_flows.Conditioner(network, input_shape=12)
    >>> conditioner(tf.ones([5, 12])).shape
    TensorShape([5, 24])

    Reference:
      Vaswani et al. (2017), Attention is all you need. https://arxiv.org/abs/1706.03762
      Zhai et al. (2024), Normalizing flows are capable generative models.
      https://arxiv.org/abs/2412.06329
    """

    def __init__(
        self,
        num_parameters: int,
        num_tokens: int,
        token_size: int = 1,
        *,
        num_layers: int = 2,
        num_units: int = 64,
        num_heads: int = 4,
        context_size: int = 0,
        reverse: bool = False,
        zero_last_layer: bool = True,
        seed: int | None = None,
        **kwargs: object,
    ) -> None:
        check_each(
            check_size,
            num_parameters=num_parameters,
            num_tokens=num_tokens,
            token_size=token_size,
            num_layers=num_layers,
            num_units=num_units,
            num_heads=num_heads,
        )
        check_size("context_size", context_size, minimum=0)
        require(
            num_units % num_heads == 0,
            f"`num_units` that {num_heads} heads divide",
            num_units,
        )
        check_each(check_flag, reverse=reverse, zero_last_layer=zero_last_layer)
        check_seed("seed", seed)
        super().__init__(**kwargs)
        self.input_spec = keras.layers.InputSpec(ndim=2)
        self.num_parameters = int(num_parameters)
        self.num_tokens = int(num_tokens)
        self.token_size = int(token_size)
        self.num_layers = int(num_layers)
        self.num_units = int(num_units)
        self.num_heads = int(num_heads)
        self.context_size = int(context_size)
        self.reverse = bool(reverse)
        self.zero_last_layer = zero_last_layer
        self.seed = seed

    @property
    def event_size(self) -> int:
        """Number of variables, T * D."""
        return self.num_tokens * self.token_size

    @property
    def ordering(self) -> np.ndarray:
        """Degree of each variable, `[T * D]`: the place of its token, from 1 to T."""
        tokens = np.arange(1, self.num_tokens + 1)
        return np.repeat(tokens[::-1] if self.reverse else tokens, self.token_size)

    def build(self, input_shape: Sequence) -> None:
        """Creates all weights for inputs `[N, T * D + context_size]`."""
        check_width(input_shape, self.event_size, self.context_size)
        units, outputs = self.num_units, self.num_parameters * self.token_size
        check_entries("num_units", self.num_layers, units, _WIDENING * units)
        check_entries("num_tokens", self.num_tokens, units)
        check_entries("context_size", self.context_size, units)
        layer = _Layer(
            attention=_dense_parts(units, 3 * units),
            merge=_dense_parts(units, units),
            widen=_dense_parts(units, _WIDENING * units),
            narrow=_dense_parts(_WIDENING * units, units),
        )
        # The last kernel starts at zero, so that a fresh step is the identity.
        last = kernel_part((units, outputs), zero=self.zero_last_layer), bias_part(outputs)
        parts = _Arrays(
            tokens=kernel_part((self.token_size, units)),
            context=kernel_part((self.context_size, units)),
            positions=kernel_part((self.num_tokens, units), units),
            layers=[layer] * self.num_layers,
            last=last,
        )
        self._layout = PackedWeights(parts, seed=self.seed)
        self._packed = self._layout.add_to(self, "kernels_and_biases")
        self.built = True

    def call(
        self, x: TensorLike, context: TensorLike | None = None, training: bool = False
    ) -> tf.Tensor:
        """Maps `[N, T * D]` and a context to parameters `[N, P * T * D]`."""
        del training  # there is no dropout
        x, context = split_context(x, context, self.event_size, self.context_size)
        weights = self._layout.unpack(self._packed)
        tokens = self._in_order(tf.reshape(x, [-1, self.num_tokens, self.token_size]), 1)
        from_context = _from_context(weights, _as_list(context))
        outputs, _ = _one_pass(self._sizes, weights, from_context, tokens)
        shape = [-1, self.num_tokens, self.num_parameters, self.token_size]
        outputs = self._in_order(tf.reshape(outputs, shape), 1)
        outputs = tf.transpose(outputs, [0, 2, 1, 3])
        return tf.reshape(outputs, [-1, self.num_parameters * self.event_size])

    def solve(self, values: Any, context: Any, solve_one: Callable) -> tuple:
        """Solves for the variables: `values` is `[N, T * D]`, or `[N, T * D, V]`."""
        weights = self._layout.unpack(self._packed)
        values = values[..., None] if values.shape.rank == 2 else values
        values = self._by_token(tf.transpose(values, [2, 0, 1]))  # [T, V, N, D]
        tensors = weights, _as_list(context), values
        u, log_det = traced_without_gradient(_solve, (self._sizes, solve_one), tensors)
        return self._from_tokens(u), log_det

    def solve_adjoint(
        self, u: Any, context: Any, u_bar: Any, u_by_p: Any, offset: Any
    ) -> tf.Tensor:
        """Solves `p_bar = u_by_p * (u_bar + J^T p_bar) + offset`, the last token first."""
        weights = self._layout.unpack(self._packed)
        arrays = [self._by_token(array) for array in (u, u_bar, u_by_p, offset)]
        tensors = weights, _as_list(context), *arrays
        p_bar = traced_without_gradient(_solve_adjoint, (self._sizes,), tensors)
        return self._from_tokens(p_bar)

    def compute_output_shape(self, input_shape: Sequence) -> tuple:
        """Shape of the output for inputs of `input_shape`."""
        return (*input_shape[:-1], self.num_parameters * self.event_size)

    @property
    def _sizes(self):
        sizes = self.num_tokens, self.token_size, self.num_parameters, self.num_heads
        return _Sizes(*sizes)

    def _in_order(self, tokens, axis):
        return tf.reverse(tokens, [axis]) if self.reverse else tokens

    def _by_token(self, array):
        """Returns `[..., T * D]` as `[T, ..., D]`, the first token first."""
        leading = tf.shape(array)[:-1]
        shape = tf.concat([leading, [self.num_tokens, self.token_size]], axis=0)
        rank = array.shape.rank
        order = [rank - 1, *range(rank - 1), rank]
        return self._in_order(tf.transpose(tf.reshape(array, shape), order), 0)

    def _from_tokens(self, array):
        """Undoes `_by_token`."""
        rank = array.shape.rank
        order = [*range(1, rank - 1), 0, rank - 1]
        array = tf.transpose(self._in_order(array, 0), order)
        shape = tf.concat([tf.shape(array)[:-2], [self.event_size]], axis=0)
        return tf.reshape(array, shape)


def _dense_parts(num_inputs, num_units):
    return kernel_part((num_inputs, num_units)), bias_part(num_units)


def _as_list(context):
    return [] if context is None else [context]


def _from_context(weights, contexts):
    """Returns the term of a context, if there is one, in the first values, `[N, units]`."""
    if not contexts:
        return tf.zeros_like(weights.positions[:1])
    return contexts[0] @ weights.context


def _one_pass(sizes, weights, from_context, tokens):
    """Computes all positions of known tokens, `[N, T, D]`, at once.

    Returns parameters, `[N * T, P * D]`, and the keys and values of all layers, a list of
    `[N, heads, T, units / heads]`.
    """
    num_tokens = sizes.num_tokens
    # Position t sees token t - 1.
    before = tf.pad(tokens[:, :-1], [[0, 0], [1, 0], [0, 0]])
    hidden = tf.reshape(_within_floats(before), [-1, sizes.token_size]) @ weights.tokens
    hidden = tf.reshape(hidden, [-1, num_tokens, hidden.shape[-1]])
    hidden += weights.positions + from_context[:, None, :]
    positions = tf.range(num_tokens)
    is_seen = positions[None, :] <= positions[:, None]
    caches = []

    def attend(arrays):
        queries, *new = (_to_heads(sizes, array, num_tokens) for array in arrays)
        caches.extend(new)
        return _attention(queries, [(*new, is_seen)])

    hidden = tf.reshape(hidden, [-1, hidden.shape[-1]])
    return _through_layers(weights, hidden, attend), caches


def _one_position(sizes, weights, from_context, t, before, caches, earlier=()):
    """Computes position t, given the token before it, `[N, D]`, and the caches.

    The caches are keys and values of all layers at the positions of a block, a list of
    `[N, heads, positions, size]`; entries from position t on are not used. `earlier` are
    those at all positions before the block. Returns parameters, `[N, P * D]`, and the
    caches with the keys and values of position t.
    """
    first = earlier[0].shape[2] if earlier else 0
    positions = first + tf.range(caches[0].shape[2])
    is_seen, is_now = (positions <= t)[None, :], (positions == t)[:, None]
    hidden = _within_floats(before) @ weights.tokens
    hidden += tf.gather(weights.positions, t) + from_context
    old, known, written = iter(earlier), iter(caches), []

    def attend(arrays):
        queries, *new = (_to_heads(sizes, array, 1) for array in arrays)
        new = [tf.where(is_now, array, next(known)) for array in new]
        written.extend(new)
        seen = [(next(old), next(old), None)] if earlier else []
        return _attention(queries, [*seen, (*new, is_seen)])

    return _through_layers(weights, hidden, attend), written


def _through_layers(weights, hidden, attend):
    """Maps the first hidden values, `[rows, units]`, to parameters, `[rows, P * D]`."""
    for layer in weights.layers:
        before = hidden, layer.attention
        arrays = traced_once(_before_attention, (), before, inline=True)
        after = hidden, attend(arrays), layer.merge, layer.widen, layer.narrow
        hidden = traced_once(_after_attention, (), after, inline=True)
    return dense(_norm(hidden), weights.last)


def _before_attention(hidden, attention):
    return tf.split(dense(_norm(hidden), attention), 3, axis=-1)


def _after_attention(hidden, seen, merge, widen, narrow):
    hidden += dense(seen, merge)
    return hidden + dense(tf.nn.gelu(dense(_norm(hidden), widen)), narrow)


def _norm(hidden):
    """Standardises over the units, in float32 or better."""
    wide = hidden if hidden.dtype.size >= 4 else tf.cast(hidden, tf.float32)
    wide -= tf.reduce_mean(wide, axis=-1, keepdims=True)
    variance = tf.reduce_mean(tf.square(wide), axis=-1, keepdims=True)
    return tf.cast(wide * tf.math.rsqrt(variance + _EPSILON), hidden.dtype)


def _to_heads(sizes, array, num_positions):
    """Returns `[N * positions, units]` as `[N, heads, positions, units / heads]`."""
    size = array.shape[-1] // sizes.num_heads
    array = tf.reshape(array, [-1, num_positions, sizes.num_heads, size])
    return tf.transpose(array, [0, 2, 1, 3])


def _attention(queries, seen):
    """Returns the means of values, weighted by attention, `[N * positions, units]`.

    Queries are `[N, heads, positions, size]`. `seen` is a list of keys, values, each
    `[N, heads, S, size]`, and booleans `[positions, S]`, or None if all are seen.
    """
    num_heads, size = queries.shape[1], queries.shape[-1]
    all_logits = []
    for keys, _, is_seen in seen:
        logits = tf.matmul(queries * size**-0.5, keys, transpose_b=True)
        logits = logits if logits.dtype.size >= 4 else tf.cast(logits, tf.float32)
        least = tf.constant(logits.dtype.min, logits.dtype)
        all_logits.append(logits if is_seen is None else tf.where(is_seen, logits, least))
    shares = tf.cast(tf.nn.softmax(tf.concat(all_logits, axis=-1)), queries.dtype)
    shares = tf.split(shares, [keys.shape[2] for keys, *_ in seen], axis=-1)
    values = (values for _, values, _ in seen)
    result = tf.add_n([tf.matmul(*pair) for pair in zip(shares, values, strict=True)])
    return tf.reshape(tf.transpose(result, [0, 2, 1, 3]), [-1, num_heads * size])


def _within_floats(tokens):
    """Clips tokens so that the squares of hidden values do not overflow."""
    most = tokens.dtype.max**0.4
    return tf.clip_by_value(tokens, -most, most)


def _solve(sizes, solve_one, weights, contexts, values):
    """Solves for the tokens one after another: `values` is `[T, V, N, D]`.

    A loop rewrites its caches at each position. So positions are solved for in blocks: the
    caches of a block are small, and the loop only reads the caches of earlier blocks.
    """
    num_values, num_rows = values.shape[1], tf.shape(values)[2]
    token_size = sizes.token_size
    from_context = _from_context(weights, contexts)
    # Not constants, since XLA fails on some constants that enter a loop.
    zero = tf.zeros([], values.dtype)
    before = tf.fill([num_rows, token_size], zero)
    log_det = tf.fill([num_rows], zero)
    blocks: list[tf.Tensor] = []
    earlier: list[tf.Tensor] = []

    def body(t, before, u, log_det, caches):
        outputs, caches = _one_position(
            sizes, weights, from_context, t, before, caches, earlier
        )
        parameters = tf.reshape(outputs, [-1, sizes.num_parameters, token_size])
        # All variables of the token as one variable of many rows: [V, N * D], [P, N * D].
        parameters = tf.transpose(parameters, [1, 0, 2])
        rows = tf.reshape(parameters, [sizes.num_parameters, -1])
        inputs = tf.reshape(tf.gather(values, t), [num_values, -1])
        solved, summand = solve_one(inputs, rows)
        summand = tf.reshape(summand + tf.zeros_like(solved), [-1, token_size])
        token = tf.reshape(solved, [-1, token_size])
        u = tf.tensor_scatter_nd_update(u, [[t - first]], token[None])
        return t + 1, token, u, log_det + tf.reduce_sum(summand, axis=-1), caches

    for first, end in itertools.pairwise(block_bounds(sizes.num_tokens)):
        u = tf.fill([end - first, num_rows, token_size], zero)
        caches = _empty_caches(sizes, weights, [num_rows, end - first], zero)
        state = tf.constant(first), before, u, log_det, caches
        _, before, u, log_det, caches = tf.while_loop(
            lambda t, *_, end=end: t < end, body, state
        )
        blocks.append(u)
        pairs = zip(earlier, caches, strict=True) if earlier else ([c] for c in caches)
        earlier = [tf.concat(pair, axis=2) for pair in pairs]
    return tf.concat(blocks, axis=0), log_det


def _empty_caches(sizes, weights, counts, zero):
    num_rows, num_positions = counts
    head_size = weights.positions.shape[-1] // sizes.num_heads
    shape = [num_rows, sizes.num_heads, num_positions, head_size]
    return [tf.fill(shape, zero) for _ in range(2 * len(weights.layers))]


def _solve_adjoint(sizes, weights, contexts, u, u_bar, u_by_p, offset):
    """Goes back over the positions: `u`, `[T, N, D]`; `u_by_p`, `[T, N, P, D]`."""
    tokens = tf.transpose(u, [1, 0, 2])
    from_context = _from_context(weights, contexts)
    _, caches = _one_pass(sizes, weights, from_context, tokens)
    befores = tf.pad(u[:-1], [[1, 0], [0, 0], [0, 0]])

    def body(t, from_later, cache_bars, p_bars):
        u_bar_now = (tf.gather(u_bar, t) + from_later)[:, None, :]
        p_bar = tf.gather(u_by_p, t) * u_bar_now + tf.gather(offset, t)
        before = tf.gather(befores, t)
        with tf.GradientTape() as tape:
            tape.watch([before, *caches])
            outputs, written = _one_position(
                sizes, weights, from_context, t, before, caches
            )
        bars = [tf.reshape(p_bar, tf.shape(outputs)), *cache_bars]
        # Position t overwrites its entries of the cache, so their earlier adjoint is 0.
        from_later, *cache_bars = tape.gradient(
            [outputs, *written], [before, *caches], output_gradients=bars
        )
        p_bars = tf.tensor_scatter_nd_update(p_bars, [[t]], p_bar[None])
        return t - 1, from_later, cache_bars, p_bars

    start = tf.constant(sizes.num_tokens - 1)
    zeros = [tf.zeros_like(array) for array in caches]
    state = start, tf.zeros_like(u[0]), zeros, tf.zeros_like(offset)
    return tf.while_loop(lambda t, *_: t >= 0, body, state)[-1]
