"""An autoregressive network and a family of conditionals, as a distribution."""

import functools
import math

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bijectors.compiled_call import CompiledCall
from tfp_flows.bijectors.inputs import align_batch_axes
from tfp_flows.bijectors.inputs import check_context
from tfp_flows.bijectors.inputs import check_value
from tfp_flows.distributions.column_wise_sampling import complete
from tfp_flows.distributions.column_wise_sampling import draw
from tfp_flows.distributions.column_wise_sampling import draw_dealt
from tfp_flows.distributions.column_wise_sampling import log_prob
from tfp_flows.distributions.draws import joint_shape
from tfp_flows.distributions.draws import stateless
from tfp_flows.networks.conditioner import Conditioner

__all__ = ["AutoregressiveDistribution"]

tfd = tfp.distributions


class AutoregressiveDistribution(tfd.Distribution):
    """Variables one after another, each with a conditional that a network parameterises.

    ```none
    one mask:   p(x) = product over i of  p(x_i; parameters_i(x_<i, context))
    K masks:    p(x) = 1/K  sum over k of  p_k(x)
    ```

    `log_prob` costs one pass of the network a mask. `sample` draws one variable after
    another, which costs about one pass too (`networks/column_wise.py`). A step of training
    (`training=True`) takes the next mask of the cycle alone; the mean of the logarithms it
    thus maximises is a lower bound of the logarithm of the mean.

    Args:
      network: a `MaskedMLP`, or a `MaskCycleMLP` where there are several masks.
      conditional: the family, as `conditionals.Bernoulli()`; its `num_parameters` are the
        network's.
      validate_args: as in TFP.
      parameters: the constructor's arguments of a subclass, which `get_config` returns.
      name: name of the distribution.

    Raises:
      ValueError: if the network has another number of parameters; from every method, if
        `context` is missing, unwanted, or of another width.

    Reference:
      Germain, Gregor, Murray, Larochelle (2015), MADE. https://arxiv.org/abs/1502.03509
      Uria, Murray, Larochelle (2014), A deep and tractable density estimator (the mean
      over orders). https://arxiv.org/abs/1310.1757
    """

    def __init__(
        self,
        network,
        conditional,
        *,
        validate_args=False,
        parameters=None,
        name="autoregressive",
    ):
        if parameters is None:
            parameters = {"network": network, "conditional": conditional}
            parameters |= {"validate_args": validate_args, "name": name}
        if network.num_parameters != conditional.num_parameters:
            raise ValueError(
                f"Expected a `network` of {conditional.num_parameters} parameters a "
                f"variable; got {network.num_parameters}."
            )
        super().__init__(
            dtype=tf.as_dtype(network.dtype),
            reparameterization_type=tfd.NOT_REPARAMETERIZED,
            validate_args=validate_args,
            allow_nan_stats=False,
            parameters=parameters,
            name=name,
        )
        self._conditioner = Conditioner(
            network, network.event_size, context_size=network.context_size
        )
        self._conditional = conditional
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
    def event_size(self):
        """Number of variables, D."""
        return self._network.event_size

    @property
    def context_size(self):
        """Width of the conditioning tensor `[..., context_size]`; 0 if unconditional."""
        return self._conditioner.context_size

    @property
    def num_masks(self):
        """Number of masks, K."""
        return getattr(self._network, "num_masks", 1)

    @property
    def is_initialized(self):
        """True: there is no data-dependent state."""
        return True

    def initialize(self, data, *, context=None):
        """Does nothing, as there is no data-dependent state."""

    def sample_and_log_prob(self, sample_shape=(), seed=None, **kwargs):
        """Draws samples with their log-probabilities, in one pass where there is one mask.

        Args:
          sample_shape: shape of the draw, before the context's batch axes.
          seed: integer, or anything that `tfp.random.sanitize_seed` takes.
          **kwargs: `context`, `[..., context_size]`; `mask_index`.

        Returns:
          Samples, `[*sample_shape, *batch, D]`, and `log_prob`, without the event.
        """
        return self.experimental_sample_and_log_prob(sample_shape, seed=seed, **kwargs)

    def impute(
        self,
        x,
        observed,
        *,
        context=None,
        num_candidates=64,
        mask_index=None,
        seed=None,
    ):
        """Draws the missing variables of each row, given its observed ones.

        Where the observed variables come first, this is the exact conditional: if
        `observed` is a prefix of the ordering; or if each mask has an own ordering, since
        then one is made that has the observed first and else keeps the mask's order. The
        latter is exact under that ordering, which need not be in the cycle: how far
        orderings agree is a matter of how many the network has seen.

        Elsewhere (one fixed ordering, observed variables after missing ones) the missing
        are drawn given what comes before them, `num_candidates` times, and one of these
        is chosen in proportion to the probability of the observed after it. That is the
        conditional in the limit of many candidates only; with one it is the ordinary
        clamped sampling, which ignores what comes later.

        Args:
          x: `[..., D]`; the values at missing variables do not matter.
          observed: boolean, `[D]`; True keeps its value.
          context: `[..., context_size]`.
          num_candidates: number of draws to choose from, where it is not exact.
          mask_index: which mask of the cycle; drawn if None.
          seed: integer, or anything that `tfp.random.sanitize_seed` takes.

        Returns:
          `[..., D]`.
        """
        observed = _check_observed(observed, self.event_size)
        x, context = self._checked(x, context)
        count = 1 if self._can_come_first(observed) else num_candidates
        noise_seed, mask_seed, choice_seed = tfp.random.split_seed(stateless(seed), 3)
        # Each row and its context, `count` times.
        rows, *contexts = (
            tf.repeat(tf.reshape(t, [-1, t.shape[-1]]), count, axis=0)
            for t in ([x] if context is None else [x, context])
        )
        noise = self._conditional.noise(tf.shape(rows), noise_seed, self.dtype)
        mask = self._masks(mask_index, mask_seed, 1)[0]
        method = self._compiled_complete if tf.executing_eagerly() else self._complete_rows
        completed, log_weights = method(noise, mask, rows, observed, *contexts)
        completed = tf.reshape(completed, [-1, count, self.event_size])
        chosen = tf.random.stateless_categorical(
            tf.reshape(log_weights, [-1, count]), 1, choice_seed
        )
        return tf.reshape(tf.gather(completed, chosen[:, 0], batch_dims=1), tf.shape(x))

    def copy(self, **overrides):
        """Returns this distribution, or a new one, with new weights, where `overrides`."""
        if overrides:
            return type(self)(**{**self.get_config(), **overrides})
        return self

    def get_config(self):
        """Returns the constructor's arguments."""
        return dict(self.parameters)

    @classmethod
    def from_config(cls, config):
        """Builds the distribution that `config` describes."""
        return cls(**config)

    @property
    def _network(self):
        return self._conditioner.network

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return {}

    def _event_shape(self):
        return tf.TensorShape([self.event_size])

    def _event_shape_tensor(self):
        return tf.constant([self.event_size])

    def _batch_shape(self):
        return tf.TensorShape([])

    def _batch_shape_tensor(self):
        return tf.constant([], tf.int32)

    def _prob(self, x, **kwargs):
        return tf.exp(self._log_prob(x, **kwargs))

    def _log_prob(self, x, context=None, training=False, mask_index=None):
        x, context = self._checked(x, context)
        if mask_index is not None:
            member = self._member(self._masks(mask_index, None, 1)[0])
            method = functools.partial(log_prob, member, self._conditional)
            return _by_rows(method, x, context)
        if tf.executing_eagerly():
            return self._compiled_log_prob(x, context, training, 1)
        return _by_rows(self._log_prob_of_rows, x, context, training)

    def _call_sample_n(self, sample_shape, seed, **kwargs):
        return self._draw(sample_shape, seed, **kwargs)[0]

    def _sample_and_log_prob(self, sample_shape, seed, **kwargs):
        x, log_prob_of_member = self._draw(sample_shape, seed, **kwargs)
        if self.num_masks == 1 or kwargs.get("mask_index") is not None:
            return x, log_prob_of_member
        return x, self._log_prob(x, context=kwargs.get("context"))

    def _draw(self, sample_shape, seed, context=None, training=False, mask_index=None):
        context = check_context(context, self.context_size, self.dtype, self.name)
        shape = joint_shape(sample_shape, context)
        noise_seed, mask_seed = tfp.random.split_seed(stateless(seed), 2)
        num_rows = tf.reduce_prod(shape)
        noise = self._conditional.noise([num_rows, self.event_size], noise_seed, self.dtype)
        arguments = [noise, self._masks(mask_index, mask_seed, num_rows)]
        if context is not None:
            each = tf.broadcast_to(context, tf.concat([shape, [self.context_size]], axis=0))
            arguments.append(tf.reshape(each, [-1, self.context_size]))
        method = self._compiled_draw if tf.executing_eagerly() else self._draw_rows
        x, log_probs = method(*arguments)
        event_shape = [self.event_size]
        return tf.reshape(x, tf.concat([shape, event_shape], 0)), tf.reshape(
            log_probs, shape
        )

    # What follows sees rows only: `[N, D]`, and contexts `[N, C]`.

    def _log_prob_of_rows(self, x, context, training):
        if self.num_masks == 1:
            return log_prob(self._network, self._conditional, x, context)
        if training:
            index = tf.identity(self._num_steps) % self.num_masks
            self._num_steps.assign_add(1)
            return log_prob(self._member(index), self._conditional, x, context)
        return self._log_mean_over_masks(x, context)

    def _log_mean_over_masks(self, x, context):
        """One mask at a time, so that memory does not grow with their number."""

        def under(index):
            return log_prob(self._member(index), self._conditional, x, context)

        _, total = tf.while_loop(
            lambda index, _: index < self.num_masks,
            lambda index, total: (index + 1, tfp.math.log_add_exp(total, under(index))),
            (tf.constant(1), under(tf.constant(0))),
            parallel_iterations=1,
            maximum_iterations=self.num_masks - 1,
        )
        return total - math.log(self.num_masks)

    def _draw_rows(self, noise, masks, context=None):
        if self.num_masks == 1:
            return draw(self._network, self._conditional, noise, context)
        return draw_dealt(self._member, masks, self._conditional, noise, context)

    def _complete_rows(self, noise, mask, x, observed, context=None):
        member = self._member(mask)
        if self._has_own_orderings:
            member = member.with_first(observed)
        return complete(member, self._conditional, noise, x, observed, context)

    def _member(self, index):
        return self._network.member(index) if self.num_masks > 1 else self._network

    def _masks(self, mask_index, seed, num_rows):
        """The given mask, or as many different ones as there are rows for."""
        if mask_index is not None:
            known = tf.get_static_value(tf.convert_to_tensor(mask_index))
            if known is not None and not 0 <= known < self.num_masks:
                raise ValueError(
                    f"Expected `mask_index` from 0 to {self.num_masks - 1}; got {known}."
                )
            return tf.reshape(tf.cast(mask_index, tf.int32), [1])
        shuffled = tf.argsort(tf.random.stateless_uniform([self.num_masks], seed))
        return shuffled[: tf.minimum(self.num_masks, num_rows)]

    @property
    def _has_own_orderings(self):
        return self.num_masks > 1 and self._network.fixed_ordering is None

    def _can_come_first(self, observed):
        if self._has_own_orderings:
            return True
        ordering = self._network.ordering
        if self.num_masks > 1:
            ordering = self._network.fixed_ordering
        return observed[np.argsort(ordering)][: observed.sum()].all()

    def _checked(self, x, context):
        x = check_value(x, "x", 1, self.event_shape, self.dtype)
        context = check_context(context, self.context_size, self.dtype, self.name)
        return (x, None) if context is None else align_batch_axes(x, context, 1)

    # Copies and pickles keep the weights and drop what belongs to this one object.

    def _set_transient_state(self):
        event_size, num_noise = self.event_size, self._conditional.num_noise
        noise = tf.TensorSpec([None, event_size, num_noise], self.dtype)
        rows = tf.TensorSpec([None, event_size], self.dtype)
        context = [tf.TensorSpec([None, self.context_size], self.dtype)]
        context = context if self.context_size else []
        masks, mask = tf.TensorSpec([None], tf.int32), tf.TensorSpec([], tf.int32)
        observed = tf.TensorSpec([event_size], tf.bool)
        compiled = functools.partial(tf.function, autograph=False)
        transient = {
            "_compiled_log_prob": CompiledCall(self._log_prob_of_rows),
            "_compiled_draw": compiled(
                self._draw_rows, input_signature=[noise, masks, *context]
            ),
            "_compiled_complete": compiled(
                self._complete_rows,
                input_signature=[noise, mask, rows, observed, *context],
            ),
        }
        for name, value in transient.items():
            object.__setattr__(self, name, value)

    def __getstate__(self):
        return {k: v for k, v in self.__dict__.items() if not k.startswith("_compiled_")}

    def __setstate__(self, state):
        self.__dict__.update(state)
        self._set_transient_state()


def _by_rows(method, x, context, *arguments):
    if context is not None:
        context = tf.reshape(context, [-1, context.shape[-1]])
    rows = tf.reshape(x, [-1, x.shape[-1]])
    return tf.reshape(method(rows, context, *arguments), tf.shape(x)[:-1])


def _check_observed(observed, event_size):
    observed = np.asarray(observed)
    if observed.shape != (event_size,) or observed.dtype != bool:
        raise ValueError(
            f"Expected boolean `observed` of shape [{event_size}]; got {observed.dtype} of "
            f"shape {observed.shape}."
        )
    return observed
