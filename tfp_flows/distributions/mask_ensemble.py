"""An autoregressive network under each of its masks, on rows."""

import math
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.core.compiled_call import CompiledCall
from tfp_flows.core.compiled_call import graph_function
from tfp_flows.distributions import ancestral_sampling
from tfp_flows.distributions import draws
from tfp_flows.distributions.batches_of_rows import never_empty
from tfp_flows.networks.conditioner import Conditioner

__all__ = ["MaskEnsemble"]


class MaskEnsemble(tf.Module):
    """The mean of the distributions that a network describes under its masks.

    What an `AutoregressiveDistribution` computes with: rows are `[N, D]`, contexts
    `[N, C]`, noise `[N, D, V]`. Eager calls run compiled.

    Args:
      network: a `MaskedMLP`, or a `MaskCycleMLP`.
      conditional: one of `conditionals.py`.
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
            # A variable, since a run that goes on must go on in the cycle.
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
        """Whether some variables, `[..., D]`, are before all others under every mask."""
        if self.has_own_orderings:
            return bool((observed.all(axis=-1) | ~observed.any(axis=-1)).all())
        is_cycle = self.num_masks > 1
        ordering = self.network.fixed_ordering if is_cycle else self.network.ordering
        in_order = observed[..., np.argsort(ordering)]
        return bool((in_order[..., :-1] >= in_order[..., 1:]).all())

    def masks(self, mask_index: Any, seed: tf.Tensor | None, num_rows: Any) -> tf.Tensor:
        """Returns the given mask, or as many different ones as there are rows for, `[G]`.

        Args:
          mask_index: integer, or None.
          seed: stateless seed that determines their order.
          num_rows: number of rows.
        """
        if mask_index is not None:
            known = tf.get_static_value(tf.convert_to_tensor(mask_index))
            if known is not None and not 0 <= known < self.num_masks:
                raise ValueError(
                    f"Expected `mask_index` from 0 to {self.num_masks - 1}; got {known}."
                )
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

        Args:
          noise: of the conditional.
          masks: what `masks` returns, to which the rows are dealt in turn.
          *context: the context, if any.
        """
        method = self._compiled_draw if tf.executing_eagerly() else self._draw
        return method(noise, masks, *context)

    def complete(
        self, noise: Any, proposals: Any, x: Any, observed: Any, *context: Any
    ) -> tuple:
        """Returns rows whose missing variables are drawn, and their importance weights.

        A choice by weight among draws of all masks is from the conditional of the mean over
        the masks: in the limit of many draws; and of one draw of each mask, if under each
        the observed variables come first.

        Masks with own orderings draw in two ways: each variable given those before it,
        which can draw whatever is probable; and, with the observed variables before all
        others, given all of them. The weights are those of equally many draws in both ways.

        Args:
          noise: of the conditional.
          proposals: `[G]`, to which the rows are dealt in turn: a mask's index; plus the
            number of masks, to put the observed variables before all others.
          x: `[N, D]`.
          observed: boolean, `[N, D]`; all rows are alike where masks have own orderings.
          *context: the context, if any.

        Returns:
          Rows, `[N, D]`, and the logarithms of their weights, `[N]`.
        """
        method = self._compiled_complete if tf.executing_eagerly() else self._complete
        return method(noise, proposals, x, observed, *context)

    def log_prob_under(
        self, mask: tf.Tensor, x: tf.Tensor, context: tf.Tensor | None
    ) -> tf.Tensor:
        """Returns the log-probabilities, `[N]`, under one mask."""
        return ancestral_sampling.log_prob(
            self._member(mask), self._conditional, x, context
        )

    def parameters_of_one_variable(self, context: tf.Tensor | None) -> tf.Tensor:
        """Returns the parameters of the one variable, by mask, `[K, N, P]`.

        Args:
          context: `[N, C]`, or None: then N is 1.
        """
        num_rows = 1 if context is None else tf.shape(context)[0]
        x = tf.zeros([num_rows, self.network.event_size], self.network.dtype)
        outputs = [self._member(mask)(x, context) for mask in range(self.num_masks)]
        return tf.stack(outputs)

    def _log_prob_of_rows(self, x, context, training):
        if self.num_masks == 1:
            mode = {"training": True} if training and self.network.dropout else {}
            return ancestral_sampling.log_prob(
                self.network, self._conditional, x, context, **mode
            )
        if training:
            mask = tf.identity(self._num_steps) % self.num_masks
            self._num_steps.assign_add(1)
            return self.log_prob_under(mask, x, context)
        return self._log_mean_over_masks(x, context)

    def _log_mean_over_masks(self, x, context):
        """One mask at a time, so that memory does not grow with their number."""

        def add(mask, total):
            log_prob = self.log_prob_under(mask, x, context)
            return mask + 1, tfp.math.log_add_exp(total, log_prob)

        _, total = tf.while_loop(
            lambda mask, _: mask < self.num_masks,
            add,
            (tf.constant(1), self.log_prob_under(tf.constant(0), x, context)),
            parallel_iterations=1,
            maximum_iterations=self.num_masks - 1,
        )
        return total - math.log(self.num_masks)

    def _draw(self, noise, masks, context=None):
        noise, context, as_given = never_empty(noise, context)
        arguments = self._conditional, noise, context
        if self.num_masks == 1:
            return as_given(ancestral_sampling.draw(self.network, *arguments))
        drawn = ancestral_sampling.draw_dealt(self._member, masks, *arguments)
        return as_given(drawn)

    def _complete(self, noise, proposals, x, observed, context=None):
        noise, x, observed, context, as_given = never_empty(noise, x, observed, context)
        given = [noise, x, observed] + ([] if context is None else [context])
        if self.num_masks == 1:
            return as_given(self._completed(proposals[0], *given))
        return as_given(ancestral_sampling.in_hands(self._completed, proposals, *given))

    def _completed(self, proposal, noise, x, observed, context=None):
        network = self._member(proposal % self.num_masks)
        given = self._conditional, noise, x, observed, context
        if not self.has_own_orderings:
            return ancestral_sampling.complete(network, *given)
        puts_first = observed[0] & (proposal >= self.num_masks)
        drawn, _ = ancestral_sampling.complete(network.with_first(puts_first), *given)
        each, each_with_first = (
            ancestral_sampling.log_probs(ordered, self._conditional, drawn, context)
            for ordered in (network, network.with_first(observed[0]))
        )
        log_drawn = tfp.math.log_add_exp(
            _sum_where(~observed, each), _sum_where(~observed, each_with_first)
        )
        return drawn, tf.reduce_sum(each, axis=1) - log_drawn + math.log(2.0)

    def _member(self, mask):
        return self.network.member(mask)

    @property
    def has_own_orderings(self) -> bool:
        """Whether each of several masks has its own ordering."""
        return self.num_masks > 1 and self.network.fixed_ordering is None

    # Copies and pickles keep the weights and drop what belongs to this one object.

    def _set_transient_state(self):
        network, dtype = self.network, tf.as_dtype(self.network.dtype)
        rows = tf.TensorSpec([None, network.event_size], dtype)
        noise = tf.TensorSpec([*rows.shape, self._conditional.num_noise], dtype)
        context = [tf.TensorSpec([None, network.context_size], dtype)]
        context = context if network.context_size else []
        indices = tf.TensorSpec([None], tf.int32)
        observed = tf.TensorSpec([None, network.event_size], tf.bool)
        transient = {
            "_compiled_log_prob": CompiledCall(self._log_prob_of_rows),
            "_compiled_draw": graph_function(
                self._draw, input_signature=[noise, indices, *context]
            ),
            "_compiled_complete": graph_function(
                self._complete, input_signature=[noise, indices, rows, observed, *context]
            ),
        }
        for name, value in transient.items():
            object.__setattr__(self, name, value)

    def __getstate__(self) -> dict:
        return {k: v for k, v in self.__dict__.items() if not k.startswith("_compiled_")}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self._set_transient_state()


def _sum_where(mask, terms):
    return tf.reduce_sum(tf.where(mask, terms, tf.zeros([], terms.dtype)), axis=1)
