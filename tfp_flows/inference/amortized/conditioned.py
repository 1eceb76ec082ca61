"""A conditional density of unconstrained parameters, given fixed data."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfp_flows.distributions import draws
from tfp_flows.distributions.mixture import Mixture

if TYPE_CHECKING:
    from tfp_flows.inference.amortized.truncation import TruncatedPrior

# Numbers of draws that estimate the probability of a truncated prior's region: for one
# context; for all contexts of a batch together; and the least number for each of them.
_NUM_DRAWS, _NUM_OF_ALL, _NUM_AT_LEAST = 10_000, 100_000, 400
_MOST_TRIES = 20  # a row outside of the region is drawn again so often
_SEED = 17


class Conditioned(draws.SampleAndLogProb, tfd.Distribution):
    """A mixture of conditional distributions of rows, given fixed contexts.

    With a truncated prior, it is truncated to the prior's region R:

    ```none
    p(u) = mixture(u | context) / P(R),  P(R) = probability of R under the mixture
    ```

    The mixture has rows `[..., D]`, the context is `[*batch, C]`, and the dtype is that of
    the rows here. The prior is None if it is that of the model.
    """

    def __init__(
        self,
        mixture: Mixture,
        context: np.ndarray,
        *,
        dtype: tf.DType,
        prior: TruncatedPrior | None = None,
        name: str = "conditioned",
    ) -> None:
        self._mixture, self.prior = mixture, prior
        self._context = tf.constant(context, mixture.dtype)
        super().__init__(
            dtype=dtype,
            reparameterization_type=tfd.NOT_REPARAMETERIZED,
            validate_args=False,
            allow_nan_stats=True,
            name=name,
        )

    context_size = 0  # callers give no context

    def log_density(self, value: tf.Tensor) -> tf.Tensor:
        """Returns log-densities of rows, `[..., D]`, under the mixture, not truncated."""
        value = tf.cast(value, self._mixture.dtype)
        batch = [tf.shape(part)[:-1] for part in (value, self._context)]
        shape = tf.broadcast_dynamic_shape(*batch)
        value, context = (
            tf.broadcast_to(part, tf.concat([shape, tf.shape(part)[-1:]], axis=0))
            for part in (value, self._context)
        )
        return tf.cast(self._mixture.log_prob(value, context=context), self.dtype)

    def contains(self, value: tf.Tensor) -> tf.Tensor:
        """Whether rows, `[..., D]`, lie in the region of the prior, `[...]`."""
        if self.prior is None:
            return tf.ones(tf.shape(value)[:-1], tf.bool)
        return self.prior.contains(value)

    @functools.cached_property
    def share(self) -> np.ndarray:
        """Probability of the truncated prior's region under the mixture, `[*batch]`.

        It is estimated from draws: its standard error is at most 0.005 for one context,
        and 0.025 for each of many.
        """
        with tf.init_scope():
            contexts = tf.reshape(self._context, [-1, self._context.shape[-1]])
            count = _NUM_DRAWS
            if len(contexts) > 1:
                count = max(_NUM_AT_LEAST, min(count, _NUM_OF_ALL // len(contexts)))
            seed, found = draws.stateless(_SEED), []
            for k, context in enumerate(contexts):
                repeated = tf.repeat(context[None], count, axis=0)
                rows = self._rows(repeated, draws.fold_in(seed, k))
                found.append(np.mean(self.contains(rows)))
        return np.reshape(found, self._context.shape[:-1])

    def _batch_shape(self):
        return self._context.shape[:-1]

    def _event_shape(self):
        return self._mixture.event_shape

    def _sample_n(self, n, seed=None):
        shape = tf.concat([[n], tf.shape(self._context)], axis=0)
        contexts = tf.reshape(tf.broadcast_to(self._context, shape), [-1, shape[-1]])
        seed = draws.stateless(seed)
        rows = self._rows(contexts, seed)
        if self.prior is not None:
            rows = self._moved_inside(rows, contexts, seed)
        return tf.reshape(rows, tf.concat([shape[:-1], self.event_shape], axis=0))

    def _rows(self, contexts, seed):
        rows = self._mixture.draw_rows(tf.shape(contexts)[0], seed, contexts)
        return tf.cast(rows, self.dtype)

    def _moved_inside(self, rows, contexts, seed):
        """Draws the rows that are outside of the region again, until they are inside."""

        def again(k, rows, is_outside):
            place = tf.where(is_outside)
            chosen = tf.gather(contexts, place[:, 0])
            new = self._rows(chosen, draws.fold_in(seed, k))
            rows = tf.tensor_scatter_nd_update(rows, place, new)
            is_outside = tf.tensor_scatter_nd_update(is_outside, place, ~self.contains(new))
            return k + 1, rows, is_outside

        first = tf.constant(1), rows, ~self.contains(rows)
        return tf.while_loop(
            lambda k, rows, is_outside: tf.reduce_any(is_outside) & (k < _MOST_TRIES),
            again,
            first,
        )[1]

    def _log_prob(self, value):
        log_density = self.log_density(value)
        if self.prior is None:
            return log_density
        with np.errstate(divide="ignore"):
            log_share = tf.constant(np.log(self.share), self.dtype)
        inside = self.contains(value)
        outside = tf.constant(-np.inf, self.dtype)
        return tf.where(
            inside & tf.math.is_finite(log_share), log_density - log_share, outside
        )
