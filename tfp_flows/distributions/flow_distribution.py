"""Flow distributions: a flow over a base, whose networks run once per density."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow.types.experimental import TensorLike
from tensorflow_probability import distributions as tfd

from tfp_flows.core import describe
from tfp_flows.core.composite import context_for
from tfp_flows.core.inputs import check_context, check_value
from tfp_flows.core.rows import initialize_part
from tfp_flows.core.serialization import Configured, RebuiltFromConfig
from tfp_flows.distributions.autoregressive import AutoregressiveDistribution
from tfp_flows.distributions.distribution_checks import check_base, check_slices
from tfp_flows.distributions.distribution_wrapper import InitializedByRows
from tfp_flows.distributions.draws import (
    SampleAndLogProb,
    context_rows,
    joint_shape,
    stateless,
)
from tfp_flows.distributions.moments import Moments, no_formula
from tfp_flows.distributions.univariate import OneVariable


class FlowDistribution(
    RebuiltFromConfig,
    InitializedByRows,
    Configured,
    SampleAndLogProb,
    OneVariable,
    Moments,
    tfd.TransformedDistribution,
):
    """The distribution of `y = bijector.forward(x)`, with `x` from the base.

    ```none
    log_prob(y) = base.log_prob(bijector^-1(y)) + log |det d bijector^-1 / dy (y)|
    ```

    A drop-in `tfd.TransformedDistribution` that takes `context` as one keyword, evaluates
    each network once, always uses the current weights, and draws the same samples for the
    same integer seed. `copy()` and slices of the batch axes share its weights. If it can be
    saved, `copy.deepcopy` and `pickle` copy them.

    With one variable, it has `cdf`, `quantile`, `survival_function` and their logarithms if
    the base has them. `mean`, `entropy` and others exist if TFP has a formula.

    Args:
      distribution: the base, any `tfd.Distribution`; its variables are trained, too. A base
        with a `context_size` receives the context: a `MixtureMADE`, or one of your own,
        whose `_log_prob(value, context)` broadcasts, and whose `_sample_n(n, seed,
        context)` draws a row for each of n contexts.
      bijector: a flow, or any `tfp.bijectors.Bijector`.
      validate_args: as in TFP.
      name: name of the distribution.
      weights: used by TFP only, which rebuilds distributions from their components.

    Raises:
      ValueError: if the base's events do not fit the bijector, or both are conditional
        with contexts of different widths.

    >>> import tfp_flows
    >>> dist = tfp_flows.FlowDistribution(tfp_flows.standard_normal(2), tfp_flows.MAF(2))
    >>> dist.sample_and_log_prob(5, seed=1)[1].shape
    TensorShape([5])
    """

    draws_for_each_context = True

    def __init__(
        self,
        distribution: tfd.Distribution,
        bijector: tfp.bijectors.Bijector,
        *,
        validate_args: bool = False,
        name: str | None = None,
        weights: object = None,
    ) -> None:
        """Takes the arguments that the class describes."""
        parameters = dict(locals())
        del parameters["weights"]
        bijector = check_base(distribution, bijector)
        super().__init__(
            distribution=distribution,
            bijector=bijector,
            kwargs_split_fn=self._split_keywords,
            validate_args=validate_args,
            parameters=parameters,
            name=name or f"{bijector.name}_{distribution.name}",
        )
        object.__setattr__(self, "_weights", weights)

    @property
    def weights(self) -> tuple[tf.Variable, ...]:
        """Variables of the bijector.

        They are also a constructor argument, so that a `tf.Module` finds them through a
        joint distribution that holds this one.
        """
        return self.bijector.variables if self._weights is None else self._weights

    @property
    def variables(self) -> tuple[tf.Variable, ...]:
        """Variables of the flow and of the base; those of a base of TFP come first."""
        variables = super().variables
        if not isinstance(self.distribution, AutoregressiveDistribution):
            return variables
        # TensorFlow lists composite tensors first. Saved files rely on this order.
        from_base = self.distribution.variables
        refs = {variable.ref() for variable in from_base}
        return (*(v for v in variables if v.ref() not in refs), *from_base)

    @property
    def trainable_variables(self) -> tuple[tf.Variable, ...]:
        """The trainable ones among the `variables`."""
        return tuple(variable for variable in self.variables if variable.trainable)

    @property
    def context_size(self) -> int:
        """Width of the conditioning tensor `[..., context_size]`; 0 if unconditional."""
        return self.bijector.context_size or self._base_context_size

    @property
    def is_initialized(self) -> bool:
        """Whether all data-dependent state of flow and base is set."""
        return self.bijector.is_initialized and self._base_is_initialized

    def _initialize(self, data, context, weight):
        """Sets the state of the flow from rows, and that of the base from latents."""
        flow, base = self.bijector, self.distribution
        from_flow = context_for(flow, context)
        if self._base_is_initialized:
            initialize_part(flow, data, from_flow, weight)
            return
        latents = flow.initialize_and_normalise(
            data, context=from_flow, sample_weight=weight
        )
        initialize_part(base, latents, context_for(base, context), weight)

    def check_support(self, data: TensorLike, *, argument: str = "data") -> None:
        """Refuses rows where the flow has no inverse, whose density is zero.

        Args:
          data: `[N, *event]`.
          argument: name of `data` in errors.

        Raises:
          ValueError: if there are such rows; names the first, its column, and the range.
        """
        self.bijector.check_support(data, argument=argument)

    def __getitem__(self, slices: Any) -> tfd.Distribution:
        check_slices(slices, self.batch_shape, self.name)
        return super().__getitem__(slices)

    def __str__(self) -> str:
        return "\n".join(describe.from_distribution(self))

    def __repr__(self) -> str:
        return f"<{describe.headline(self, self.event_shape)}>"

    def __copy__(self) -> FlowDistribution:
        return self.copy()

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        # Only the base has batch axes; bijectors of this package have none.
        properties = super()._parameter_properties(dtype, num_classes)
        properties["bijector"] = tfp.util.BatchedComponentProperties(event_ndims=None)
        return properties

    def _batch_shape(self):
        return self.distribution.batch_shape

    def _batch_shape_tensor(self):
        return self.distribution.batch_shape_tensor()

    def _log_prob(self, y, context=None, training=False, bijector_kwargs=None):
        kwargs, base_kwargs = self._keywords(context, training, bijector_kwargs)
        if self.bijector._event_shapes["inverse"] is None:
            self._check_width(y)
        x, log_det = self.bijector.inverse_and_log_det(y, **kwargs)
        return self.distribution.log_prob(x, **base_kwargs) + self._sum_event(log_det)

    def _prob(self, y, **kwargs):
        return tf.exp(self._log_prob(y, **kwargs))

    def _call_sample_n(
        self, sample_shape, seed, context=None, training=False, bijector_kwargs=None
    ):
        kwargs, base_kwargs = self._keywords(context, training, bijector_kwargs)
        x = _sample_base(
            self.distribution, sample_shape, seed, kwargs["context"], base_kwargs
        )
        return self.bijector.forward_and_log_det(x, **kwargs)[0]

    def _sample_and_log_prob(
        self, sample_shape, seed, context=None, training=False, bijector_kwargs=None
    ):
        kwargs, base_kwargs = self._keywords(context, training, bijector_kwargs)
        x, base_log_prob = _sample_base_and_log_prob(
            self.distribution, sample_shape, seed, kwargs["context"], base_kwargs
        )
        y, log_det = self.bijector.forward_and_log_det(x, **kwargs)
        return y, base_log_prob - self._sum_event(log_det)

    def _check_width(self, y):
        """Refuses rows that the bijector takes, and the base would broadcast."""
        shape = self.event_shape
        if isinstance(shape, tf.TensorShape) and shape.rank is not None:
            check_value(y, "value", shape.rank, shape, self.dtype)

    def _keywords(self, context, training, bijector_kwargs):
        """Keyword arguments of bijector and base, also from TFP's `bijector_kwargs`."""
        kwargs = {"context": context, "training": training, **(bijector_kwargs or {})}
        base, base_kwargs = self.distribution, {}
        if isinstance(base, (AutoregressiveDistribution, FlowDistribution)):
            base_kwargs["training"] = kwargs["training"]
        if self._base_context_size:
            context, size = kwargs["context"], self._base_context_size
            base_kwargs["context"] = check_context(context, size, self.dtype, base.name)
            if not self.bijector.context_size:
                kwargs["context"] = None
        return kwargs, base_kwargs

    def _split_keywords(self, kwargs):
        """Returns keyword arguments of a statistic for the base and for the bijector."""
        kwargs = {"context": None, "training": False, "bijector_kwargs": None, **kwargs}
        from_bijector, from_base = self._keywords(**kwargs)
        from_base.pop("training", None)
        return from_base, from_bijector

    @property
    def _base_is_initialized(self):
        return getattr(self.distribution, "is_initialized", True)

    @property
    def _base_context_size(self):
        return getattr(self.distribution, "context_size", 0)

    def _sum_event(self, log_det):
        extra = self.distribution.event_shape.rank - self.bijector.forward_min_event_ndims
        return tf.reduce_sum(log_det, axis=list(range(-extra, 0))) if extra else log_det


@tfd.RegisterKL(FlowDistribution, tfd.Distribution)
def _kl_divergence(a, b, name=None):
    """The divergence of two bases under one flow, as in TFP, whose error has no advice."""
    if getattr(b, "bijector", None) == a.bijector:
        return tfd.kl_divergence(a.distribution, b.distribution, name=name)
    raise no_formula("kl_divergence", a)


def _sample_base(base, sample_shape, seed, context, keywords):
    """Draws latents, one for each sample and each row of the flow's or the base's context.

    Conditional bases of this package, and others of unknown batch shape, draw for each
    context themselves. Other conditional bases give n draws for n contexts. `keywords` hold
    the base's own `context`, if it is conditional.
    """
    if "context" not in keywords:
        sample_shape = joint_shape(sample_shape, context, base.batch_shape.rank)
    if "context" not in keywords or _draws_for_each_context(base):
        return base.sample(sample_shape, seed=stateless(seed), **keywords)
    context = keywords["context"]
    shape = joint_shape(sample_shape, context)
    rows = context_rows(context, shape)
    drawn = base.sample(tf.shape(rows)[0], seed=stateless(seed), context=rows)
    return tf.reshape(drawn, tf.concat([shape, base.event_shape], axis=0))


def _sample_base_and_log_prob(base, sample_shape, seed, context, keywords):
    """Draws as `_sample_base` does, with the log-densities."""
    if "context" in keywords and not _draws_for_each_context(base):
        x = _sample_base(base, sample_shape, seed, context, keywords)
        return x, base.log_prob(x, **keywords)
    if "context" not in keywords:
        sample_shape = joint_shape(sample_shape, context, base.batch_shape.rank)
    return base.experimental_sample_and_log_prob(
        sample_shape, seed=stateless(seed), **keywords
    )


def _draws_for_each_context(base):
    return getattr(base, "draws_for_each_context", base.batch_shape.rank is None)
