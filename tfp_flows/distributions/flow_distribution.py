"""A flow and a base, as a distribution that runs every network once."""

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bijectors import structure
from tfp_flows.bijectors.flow_bijector import FlowBijector
from tfp_flows.bijectors.flow_chain import FlowChain
from tfp_flows.bijectors.serialization import deserialize
from tfp_flows.bijectors.serialization import serialize
from tfp_flows.distributions.autoregressive_distribution import AutoregressiveDistribution
from tfp_flows.distributions.draws import joint_shape
from tfp_flows.distributions.draws import stateless

__all__ = ["FlowDistribution"]

tfd = tfp.distributions


class FlowDistribution(tfd.TransformedDistribution):
    """The distribution of `y = bijector.forward(x)`, with `x` from the base.

    ```none
    log_prob(y) = base.log_prob(bijector^-1(y)) + log |det d bijector^-1 / dy (y)|
    ```

    A drop-in `tfd.TransformedDistribution` that takes `context` as one keyword, evaluates
    each network once, computes with the weights of now, and draws the same samples for
    the same integer seed. `copy()` shares its weights; `copy.deepcopy` and `pickle` give
    weights of their own, of whatever can be saved.

    Args:
      distribution: the base, any `tfd.Distribution`; its trainable variables count too. A
        conditional one of this package (`MixtureMADE`) is given the context as well.
      bijector: a flow, or any `tfp.bijectors.Bijector`.
      validate_args: as in TFP.
      name: name of the distribution.
      weights: for TFP only, which rebuilds distributions of what their type is made of.

    Raises:
      ValueError: if the base's events do not fit the bijector, or both are conditional
        with contexts of different widths.
    """

    def __init__(
        self, distribution, bijector, *, validate_args=False, name=None, weights=None
    ):
        """Takes the arguments that the class describes."""
        parameters = dict(locals())
        del parameters["weights"]
        if not isinstance(bijector, FlowBijector):
            bijector = FlowChain([bijector])
        needed = bijector.forward_min_event_ndims
        if distribution.event_shape.rank < needed:
            raise ValueError(
                f"Expected a `distribution` whose events have {needed} axes, as those of "
                f"`{bijector.name}`; got event shape {distribution.event_shape}."
            )
        sizes = {bijector.context_size, getattr(distribution, "context_size", 0)} - {0}
        if len(sizes) > 1:
            raise ValueError(
                f"Expected one width of `context` for `{bijector.name}` and "
                f"`{distribution.name}`; got {bijector.context_size} and "
                f"{distribution.context_size}."
            )
        super().__init__(
            distribution=distribution,
            bijector=bijector,
            validate_args=validate_args,
            parameters=parameters,
            name=name or f"{bijector.name}_{distribution.name}",
        )
        object.__setattr__(self, "_weights", weights)

    @property
    def weights(self):
        """Variables of the bijector.

        An argument of the constructor too, since a `tf.Module` does not look into a
        composite tensor that it holds, but into the arguments that make it up. So joint
        distributions, `tfd.Sample` and others list these variables as theirs.
        """
        return self.bijector.variables if self._weights is None else self._weights

    @property
    def context_size(self):
        """Width of the conditioning tensor `[..., context_size]`; 0 if unconditional."""
        return self.bijector.context_size or self._base_context_size

    @property
    def is_initialized(self):
        """Whether all data-dependent state of the flow is set."""
        return self.bijector.is_initialized

    def initialize(self, data, *, context=None):
        """Sets the flow's data-dependent state from `data`, `[N, *event]`."""
        context = context if self.bijector.context_size else None
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

    def __str__(self):
        base = self.distribution
        return "\n".join(
            [
                structure.headline(self, self.event_shape),
                f'base "{base.name}": event shape {base.event_shape}, '
                f"{structure.count_parameters(base)} parameters",
                structure.headline(self.bijector, self.event_shape),
                *structure.as_table(structure.lines(self.bijector, self.event_shape)),
            ]
        )

    def __repr__(self):
        return f"<{structure.headline(self, self.event_shape)}>"

    def __copy__(self):
        return self.copy()

    def __reduce__(self):
        # As plain data, since stock distributions cannot be rebuilt from their attributes.
        return _rebuild, (serialize(self), [v.numpy() for v in self.variables])

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return {}

    def _batch_shape(self):
        return self.distribution.batch_shape

    def _batch_shape_tensor(self):
        return self.distribution.batch_shape_tensor()

    def _log_prob(self, y, context=None, training=False, bijector_kwargs=None):
        kwargs, base_kwargs = self._keywords(context, training, bijector_kwargs)
        x, log_det = self.bijector.inverse_and_log_det(y, **kwargs)
        return self.distribution.log_prob(x, **base_kwargs) + self._sum_event(log_det)

    def _prob(self, y, **kwargs):
        return tf.exp(self._log_prob(y, **kwargs))

    def _call_sample_n(
        self, sample_shape, seed, context=None, training=False, bijector_kwargs=None
    ):
        kwargs, base_kwargs = self._keywords(context, training, bijector_kwargs)
        shape = self._latent_shape(sample_shape, kwargs["context"])
        x = self.distribution.sample(shape, seed=stateless(seed), **base_kwargs)
        return self.bijector.forward_and_log_det(x, **kwargs)[0]

    def _sample_and_log_prob(
        self, sample_shape, seed, context=None, training=False, bijector_kwargs=None
    ):
        kwargs, base_kwargs = self._keywords(context, training, bijector_kwargs)
        x, base_log_prob = self.distribution.experimental_sample_and_log_prob(
            self._latent_shape(sample_shape, kwargs["context"]),
            seed=stateless(seed),
            **base_kwargs,
        )
        y, log_det = self.bijector.forward_and_log_det(x, **kwargs)
        return y, base_log_prob - self._sum_event(log_det)

    def _latent_shape(self, sample_shape, context):
        if self._base_context_size:  # it draws for each context by itself
            return sample_shape
        return joint_shape(sample_shape, context, self.distribution.batch_shape.rank)

    def _keywords(self, context, training, bijector_kwargs):
        """Keyword arguments of the bijector and of the base.

        Also takes the stock spelling, `bijector_kwargs={"context": c}`.
        """
        kwargs = {"context": context, "training": training, **(bijector_kwargs or {})}
        base_kwargs = {}
        if isinstance(self.distribution, (AutoregressiveDistribution, FlowDistribution)):
            base_kwargs["training"] = kwargs["training"]
        if self._base_context_size:
            base_kwargs["context"] = kwargs["context"]
            if not self.bijector.context_size:
                kwargs["context"] = None
        return kwargs, base_kwargs

    @property
    def _base_context_size(self):
        return getattr(self.distribution, "context_size", 0)

    def _sum_event(self, log_det):
        extra = self.distribution.event_shape.rank - self.bijector.forward_min_event_ndims
        return tf.reduce_sum(log_det, axis=list(range(-extra, 0))) if extra else log_det


def _rebuild(data, values):
    distribution = deserialize(data)
    for variable, value in zip(distribution.variables, values, strict=True):
        variable.assign(value)
    return distribution
