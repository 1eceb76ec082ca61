"""The arithmetic of autoregressive distributions: a network under each of its masks."""

import math
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.core.arguments import require
from tfp_flows.core.compiled import CompiledCall, graph_function
from tfp_flows.core.rows import at_least_one_row
from tfp_flows.distributions import draws
from tfp_flows.distributions.log_add_exp import log_add_exp
from tfp_flows.networks.conditioner import Conditioner


class MaskEnsemble(tf.Module):
    """The mean of the distributions of a network under each of its masks.

    It computes for an `AutoregressiveDistribution`. Rows are `[N, D]`, contexts `[N, C]`,
    noise `[N, D, num_noise]`. Eager calls run compiled.

    Args:
      network: a `MaskedMLP`, or an `OrderAgnosticMLP`.
      conditional: a family of `conditionals.py`.
    """

    def __init__(self, network: Any, conditional: Any) -> None:
        super().__init__()
        self._conditioner = Conditioner(
            network,
            network.event_size,
            context_size=network.context_size,
            dropout_in_training=bool(network.dropout),
        )
        self._conditional = conditional
        self.num_masks = network.num_masks
        if self.num_masks > 1:
            # A variable, so that a resumed run continues the cycle of masks.
            self._num_steps = tf.Variable(
                np.int64(0),
                trainable=False,
                aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
                name="num_steps",
            )
        self._set_transient_state()

    @property
    def network(self) -> Any:
        """The network."""
        return self._conditioner.network

    def come_first(self, observed: np.ndarray) -> bool:
        """Whether the observed variables, `[..., D]`, come first under every mask."""
        if self.has_own_orderings:
            return bool((observed.all(axis=-1) | ~observed.any(axis=-1)).all())
        is_cycle = self.num_masks > 1
        ordering = self.network.fixed_ordering if is_cycle else self.network.ordering
        in_order = observed[..., np.argsort(ordering)]
        return bool((in_order[..., :-1] >= in_order[..., 1:]).all())

    def masks(self, mask_index: Any, seed: tf.Tensor | None, num_rows: Any) -> tf.Tensor:
        """Returns the given mask, or all in random order, at most one a row, `[G]`."""
        if mask_index is not None:
            known = tf.get_static_value(tf.convert_to_tensor(mask_index))
            fits = known is None or (known.ndim == 0 and known in range(self.num_masks))
            require(fits, f"`mask_index` from 0 to {self.num_masks - 1}", mask_index)
            return tf.reshape(tf.cast(mask_index, tf.int32), [1])
        shuffled = tf.argsort(draws.uniform([self.num_masks], seed, tf.float64))
        return shuffled[: tf.clip_by_value(num_rows, 1, self.num_masks)]

    def log_prob(
        self, x: tf.Tensor, context: tf.Tensor | None, training: bool
    ) -> tf.Tensor:
        """Returns the log-probabilities, `[N]`; in training, those under the next mask."""
        if tf.executing_eagerly():
            return self._compiled_log_prob(x, context, training)
        return self._log_prob_of_rows(x, context, training)

    def draw(
        self, noise: tf.Tensor, masks: tf.Tensor, *context: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns samples, `[N, D]`, and their log-probabilities under their masks, `[N]`.

        `masks`, as the method returns them, take rows in turn.
        """
        method = self._compiled_draw if tf.executing_eagerly() else self._draw
        return method(noise, masks, *context)

    def complete(
        self, noise: Any, proposals: Any, x: Any, observed: Any, *context: Any
    ) -> tuple:
        """Returns rows with their missing variables drawn, and their log-weights, `[N]`.

        A choice by weight among draws of all masks is a draw from the conditional of the
        mean over the masks, in the limit of many draws. One draw from each mask is enough
        if the observed variables come first under each.

        Masks with their own orderings draw in two ways: each variable given those before
        it, which can draw every probable completion; and with the observed variables before
        all others, given all of them. Weights are for equally many draws in both ways.

        Proposals, `[G]`, take rows in turn: each is the index of a mask, or the index plus
        K, to put the observed variables before all others. `observed` is boolean, `[N, D]`;
        all rows are equal if masks have own orderings.
        """
        method = self._compiled_complete if tf.executing_eagerly() else self._complete
        return method(noise, proposals, x, observed, *context)

    def log_prob_under(
        self, mask: tf.Tensor, x: tf.Tensor, context: tf.Tensor | None
    ) -> tf.Tensor:
        """Returns the log-probabilities, `[N]`, under one mask."""
        return _log_prob(self.network.member(mask), self._conditional, x, context)

    def log_probs(
        self, x: tf.Tensor, present: tf.Tensor, context: tf.Tensor | None, training: bool
    ) -> tf.Tensor:
        """Returns log-probabilities of variables given those before, `[N, D]`; one mask.

        They are 0 where a variable is not `present`, booleans `[N, D]`.
        """
        mode = {"training": True} if training and self.network.dropout else {}
        outputs = self.network(x, context, **mode)
        shape = [-1, self._conditional.num_parameters, self.network.event_size]
        zero = tf.zeros([], x.dtype)
        values = tf.where(present, x, zero)
        log_probs = self._conditional.log_prob(values, tf.reshape(outputs, shape))
        return tf.where(present, log_probs, zero)

    def parameters_of_one_variable(self, context: tf.Tensor | None) -> tf.Tensor:
        """Returns the parameters of the one variable, by mask, `[K, N, P]`."""
        num_rows = 1 if context is None else tf.shape(context)[0]
        x = tf.zeros([num_rows, self.network.event_size], self.network.dtype)
        outputs = [self.network.member(mask)(x, context) for mask in range(self.num_masks)]
        return tf.stack(outputs)

    def _log_prob_of_rows(self, x, context, training):
        if self.num_masks == 1:
            mode = {"training": True} if training and self.network.dropout else {}
            return _log_prob(self.network, self._conditional, x, context, **mode)
        if training:
            mask = tf.identity(self._num_steps) % self.num_masks
            self._num_steps.assign_add(1)
            return self.log_prob_under(mask, x, context)
        return self._log_mean_over_masks(x, context)

    def _log_mean_over_masks(self, x, context):
        """Takes one mask at a time, so memory does not grow with the number of masks."""

        def add(mask, total):
            log_prob = self.log_prob_under(mask, x, context)
            return mask + 1, log_add_exp(total, log_prob)

        _, total = tf.while_loop(
            lambda mask, _: mask < self.num_masks,
            add,
            (tf.constant(1), self.log_prob_under(tf.constant(0), x, context)),
            parallel_iterations=1,
            maximum_iterations=self.num_masks - 1,
        )
        return total - math.log(self.num_masks)

    def _draw(self, noise, masks, context=None):
        noise, context, as_given = at_least_one_row(noise, context)
        if self.num_masks == 1:
            return as_given(
                _draw_with_gradient(self.network, self._conditional, noise, context)
            )

        def draw_group(mask, noise, context=None):
            return _draw_in_order(
                self.network.member(mask), self._conditional, noise, context
            )

        # Masks are in random order, so each sample is a draw from the mean over the masks.
        # Since each mask has equally many rows, averages over rows vary less than averages
        # over independent draws.
        inputs = [noise] if context is None else [noise, context]
        x, total = _by_mask(draw_group, masks, *inputs)
        return as_given((tf.stop_gradient(x), tf.stop_gradient(total)))

    def _complete(self, noise, proposals, x, observed, context=None):
        noise, x, observed, context, as_given = at_least_one_row(
            noise, x, observed, context
        )
        inputs = [noise, x, observed] + ([] if context is None else [context])
        if self.num_masks == 1:
            return as_given(self._completed(proposals[0], *inputs))
        return as_given(_by_mask(self._completed, proposals, *inputs))

    def _completed(self, proposal, noise, x, observed, context=None):
        network = self.network.member(proposal % self.num_masks)
        inputs = self._conditional, noise, x, observed, context
        if not self.has_own_orderings:
            return _complete_in_order(network, *inputs)
        puts_first = observed[0] & (proposal >= self.num_masks)
        drawn, _ = _complete_in_order(network.with_first(puts_first), *inputs)
        log_probs, log_probs_with_first = (
            _log_probs(ordered, self._conditional, drawn, context)
            for ordered in (network, network.with_first(observed[0]))
        )
        log_drawn = log_add_exp(
            _sum_where(~observed, log_probs),
            _sum_where(~observed, log_probs_with_first),
        )
        return drawn, tf.reduce_sum(log_probs, axis=1) - log_drawn + math.log(2.0)

    @property
    def has_own_orderings(self) -> bool:
        """Whether each of several masks has its own ordering."""
        return self.num_masks > 1 and self.network.fixed_ordering is None

    # Copies and pickles keep the weights and drop the compiled functions.

    def _set_transient_state(self):
        network, dtype = self.network, tf.as_dtype(self.network.dtype)
        rows = tf.TensorSpec([None, network.event_size], dtype)
        noise = tf.TensorSpec([*rows.shape, self._conditional.num_noise], dtype)
        context = [tf.TensorSpec([None, network.context_size], dtype)]
        context = context if network.context_size else []
        indices = tf.TensorSpec([None], tf.int32)
        observed = tf.TensorSpec([None, network.event_size], tf.bool)
        to_draw = [noise, indices, *context]
        to_complete = [noise, indices, rows, observed, *context]
        compiled = {
            "log_prob": CompiledCall(self._log_prob_of_rows),
            "draw": graph_function(self._draw, input_signature=to_draw),
            "complete": graph_function(self._complete, input_signature=to_complete),
        }
        for name, value in compiled.items():
            object.__setattr__(self, f"_compiled_{name}", value)

    def __getstate__(self) -> dict:
        return {k: v for k, v in self.__dict__.items() if not k.startswith("_compiled_")}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self._set_transient_state()


def _sum_where(mask, terms):
    return tf.reduce_sum(tf.where(mask, terms, tf.zeros([], terms.dtype)), axis=1)


def _log_prob(network, conditional, x, context, **training):
    """Returns the log-probabilities, `[N]`, in one pass; the network takes `training`."""
    return tf.reduce_sum(_log_probs(network, conditional, x, context, **training), axis=-1)


def _log_probs(network, conditional, x, context, **training):
    """Returns log-probabilities of each variable given those before it, `[N, D]`."""
    outputs = network(x, context, **training)
    shape = [-1, conditional.num_parameters, network.event_size]
    return conditional.log_prob(x, tf.reshape(outputs, shape))


def _draw_with_gradient(network, conditional, noise, context):
    """Returns samples, `[N, D]`, and their log-probabilities, `[N]`, in one pass.

    The gradient of the log-probabilities is that of `log_prob` at fixed samples, without
    back-propagation through the loop. Samples have no gradient.
    """

    @tf.custom_gradient
    def solve(noise, *contexts):
        x, total = _draw_in_order(network, conditional, noise, *(contexts or [None]))

        def gradient(_, adjoint, variables=()):
            sources = [*contexts, *variables]
            with tf.GradientTape() as tape:
                tape.watch(sources)
                again = _log_prob(network, conditional, x, *(contexts or [None]))
            gradients = tape.gradient(again, sources, adjoint)
            inputs = [None, *gradients[: len(contexts)]]
            return (inputs, gradients[len(contexts) :]) if variables else inputs

        return (x, total), gradient

    return solve(noise) if context is None else solve(noise, context)


def _by_mask(method, masks, noise, *others):
    """Calls a method for each of several masks, `[G]`, which take rows in turn.

    It maps a mask and its rows, `[n, ...]`, to rows, `[n, D]`, and logarithms, `[n]`. The
    results, `[N, D]` and `[N]`, are in the order of the arguments.
    """
    num_rows, num_masks = tf.shape(noise)[0], tf.shape(masks)[0]
    size = -(-num_rows // num_masks)
    # The last groups are padded with the last row.
    index = tf.reshape(tf.minimum(tf.range(size * num_masks), num_rows - 1), [size, -1])
    groups = [tf.gather(t, tf.transpose(index)) for t in (noise, *others)]
    kinds: tuple = (tf.TensorSpec([None, noise.shape[1]], noise.dtype),)
    kinds += (tf.TensorSpec([None], noise.dtype),)
    x, total = tf.map_fn(
        tf.autograph.experimental.do_not_convert(lambda group: method(*group)),
        (masks, *groups),
        fn_output_signature=kinds,
        parallel_iterations=1,
    )
    x = tf.reshape(tf.transpose(x, [1, 0, 2]), [-1, noise.shape[1]])
    return x[:num_rows], tf.reshape(tf.transpose(total), [-1])[:num_rows]


def _complete_in_order(network, conditional, noise, x, observed, context):
    """Draws missing variables given those before them, and keeps the observed ones.

    Returns rows, `[N, D]`, and the log-probability of the observed variables given all
    before them, `[N]`: the importance weight of the row.
    """
    x = tf.where(observed, x, tf.zeros([], x.dtype))
    is_observed = tf.broadcast_to(tf.cast(observed, x.dtype), tf.shape(x))
    values = tf.concat([noise, tf.stack([x, is_observed], axis=-1)], axis=-1)

    def solve(values, parameters):
        noise, x, is_observed = values[:-2], values[-2], values[-1]
        drawn, _ = _draw_one(conditional, noise, parameters)
        value = tf.where(is_observed > 0.0, x, drawn)
        log_prob = conditional.log_prob(value[None], parameters[None])[0]
        return value, is_observed * log_prob

    return network.solve(values, context, solve)


def _draw_in_order(network, conditional, noise, context):
    def solve(noise, parameters):
        return _draw_one(conditional, noise, parameters)

    return network.solve(noise, context, solve)


def _draw_one(conditional, noise, parameters):
    """Draws one variable of N rows as N variables of one row.

    Noise is `[num_noise, N]`, and parameters are `[P, N]`.
    """
    parameters = parameters[None]
    x = conditional.sample(tf.transpose(noise)[None], parameters)
    return x[0], conditional.log_prob(x, parameters)[0]
