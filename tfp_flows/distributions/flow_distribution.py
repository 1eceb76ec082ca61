"""A flow and a base, as a distribution that runs every network once."""

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bijectors.flow_bijector import FlowBijector
from tfp_flows.bijectors.flow_chain import FlowChain

__all__ = ["FlowDistribution", "standard_logistic", "standard_normal"]

tfd = tfp.distributions


class FlowDistribution(tfd.TransformedDistribution):
    """The distribution of `y = bijector.forward(x)`, with `x` from the base.

    ```none
    log_prob(y) = base.log_prob(bijector^-1(y)) + log |det d bijector^-1 / dy (y)|
    ```

    A drop-in `tfd.TransformedDistribution` that takes `context` as one keyword, evaluates
    each network once, computes with the weights of now, and draws the same samples for
    the same integer seed.

    Args:
      distribution: the base, any `tfd.Distribution`; its trainable variables count too.
      bijector: a flow, or any `tfp.bijectors.Bijector`.
      validate_args: as in TFP.
      name: name of the distribution.

    Raises:
      ValueError: if the base's events do not fit the bijector.
    """

    def __init__(self, distribution, bijector, *, validate_args=False, name=None):
        parameters = dict(locals())
        if not isinstance(bijector, FlowBijector):
            bijector = FlowChain([bijector])
        needed = bijector.forward_min_event_ndims
        if distribution.event_shape.rank < needed:
            raise ValueError(
                f"Expected a `distribution` whose events have {needed} axes, as those of "
                f"`{bijector.name}`; got event shape {distribution.event_shape}."
            )
        super().__init__(
            distribution=distribution,
            bijector=bijector,
            validate_args=validate_args,
            parameters=parameters,
            name=name or f"{bijector.name}_{distribution.name}",
        )

    @property
    def context_size(self):
        """Width of the conditioning tensor `[..., context_size]`; 0 if unconditional."""
        return self.bijector.context_size

    @property
    def is_initialized(self):
        """Whether all data-dependent state of the flow is set."""
        return self.bijector.is_initialized

    def initialize(self, data, *, context=None):
        """Sets the flow's data-dependent state from `data`, `[N, *event]`."""
        self.bijector.initialize(data, context=context)

    def sample_and_log_prob(self, sample_shape=(), seed=None, *, context=None):
        """Draws samples with their log-densities, in one pass of the flow.

        Args:
          sample_shape: shape of the draw, before the context's batch axes.
          seed: integer, or anything that `tfp.random.sanitize_seed` takes.
          context: `[..., context_size]`.

        Returns:
          Samples, `[*sample_shape, *batch, *event]`, and `log_prob`, without the event.
        """
        return self.experimental_sample_and_log_prob(
            sample_shape, seed=seed, **({} if context is None else {"context": context})
        )

    def get_config(self):
        """Returns the constructor's arguments."""
        return dict(self.parameters)

    @classmethod
    def from_config(cls, config):
        """Builds the distribution that `config` describes."""
        return cls(**config)

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return {}

    def _batch_shape(self):
        return self.distribution.batch_shape

    def _batch_shape_tensor(self):
        return self.distribution.batch_shape_tensor()

    def _log_prob(self, y, context=None, training=False, bijector_kwargs=None):
        x, log_det = self.bijector.inverse_and_log_det(
            y, **_flow_kwargs(context, training, bijector_kwargs)
        )
        return self.distribution.log_prob(x) + self._sum_event(log_det)

    def _prob(self, y, **kwargs):
        return tf.exp(self._log_prob(y, **kwargs))

    def _call_sample_n(
        self, sample_shape, seed, context=None, training=False, bijector_kwargs=None
    ):
        kwargs = _flow_kwargs(context, training, bijector_kwargs)
        x = self.distribution.sample(
            self._latent_shape(sample_shape, kwargs["context"]), seed=_stateless(seed)
        )
        return self.bijector.forward_and_log_det(x, **kwargs)[0]

    def _sample_and_log_prob(
        self, sample_shape, seed, context=None, training=False, bijector_kwargs=None
    ):
        kwargs = _flow_kwargs(context, training, bijector_kwargs)
        x, base_log_prob = self.distribution.experimental_sample_and_log_prob(
            self._latent_shape(sample_shape, kwargs["context"]), seed=_stateless(seed)
        )
        y, log_det = self.bijector.forward_and_log_det(x, **kwargs)
        return y, base_log_prob - self._sum_event(log_det)

    def _latent_shape(self, sample_shape, context):
        """`sample(5, context=[16, C])` draws `[5, 16, *event]`."""
        sample_shape = tf.reshape(tf.cast(sample_shape, tf.int32), [-1])
        if context is None:
            return sample_shape
        context = tf.convert_to_tensor(context)
        # What the base's own batch already accounts for is not drawn again.
        ndims = max(0, context.shape.rank - 1 - self.distribution.batch_shape.rank)
        return tf.concat([sample_shape, tf.shape(context)[:ndims]], axis=0)

    def _sum_event(self, log_det):
        extra = self.distribution.event_shape.rank - self.bijector.forward_min_event_ndims
        return tf.reduce_sum(log_det, axis=list(range(-extra, 0))) if extra else log_det


def standard_normal(event_shape, *, dtype=tf.float32):
    """Independent standard normals: the usual base.

    Args:
      event_shape: integer, or shape of one event.
      dtype: of the samples.
    """
    return _independent(tfd.Normal, event_shape, dtype)


def standard_logistic(event_shape, *, dtype=tf.float32):
    """Independent standard logistic variables: NICE's base.

    Args:
      event_shape: integer, or shape of one event.
      dtype: of the samples.

    Reference:
      Dinh, Krueger, Bengio (2014), NICE, section 3.4. https://arxiv.org/abs/1410.8516
    """
    return _independent(tfd.Logistic, event_shape, dtype)


def _independent(family, event_shape, dtype):
    event_shape = tuple(int(size) for size in np.atleast_1d(event_shape))
    one = tf.ones([], dtype)
    return tfd.Independent(
        family(loc=tf.zeros(event_shape, dtype), scale=one),
        reinterpreted_batch_ndims=len(event_shape),
    )


def _flow_kwargs(context, training, bijector_kwargs):
    """Also takes the stock spelling, `bijector_kwargs={"context": c}`."""
    return {"context": context, "training": training, **(bijector_kwargs or {})}


def _stateless(seed):
    """Makes an integer a stateless seed: TFP draws anew from the same one in eager mode."""
    if isinstance(seed, (int, np.integer)):
        seed = tf.constant([0, seed], tf.int32)
    return tfp.random.sanitize_seed(seed)
