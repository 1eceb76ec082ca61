"""A `FlowBijector` with its two directions swapped."""

from __future__ import annotations

from tensorflow.types.experimental import TensorLike

from tfp_flows.core.arguments import check_instance
from tfp_flows.core.composite import Composite
from tfp_flows.core.data_dependent_state import weight_keyword
from tfp_flows.core.event_shapes import OPPOSITE
from tfp_flows.core.event_shapes import event_shape_after
from tfp_flows.core.flow_bijector import FlowBijector

__all__ = ["Invert"]


class Invert(Composite):
    """Swaps the directions of a `FlowBijector`, with its context and training.

    Stock `tfb.Invert` works too; inside a `FlowChain` it is replaced by this one.

    `initialize` standardises the latent side of this bijector, as the original does for
    its own: zero mean and unit variance after `ActNorm` and `Standardize`. `BatchNorm`
    keeps its statistics.

    Args:
      bijector: a `FlowBijector`.
      name: name of the bijector.

    >>> import tfp_flows
    >>> permutation = tfp_flows.Permutation([1, 2, 0])
    >>> tfp_flows.Invert(permutation).inverse([[10.0, 20.0, 30.0]]).numpy()
    array([[20., 30., 10.]], dtype=float32)
    """

    def __init__(self, bijector: FlowBijector, *, name: str | None = None) -> None:
        parameters = dict(locals())
        words = "a `FlowBijector` (`tfb.Invert` takes a stock one)"
        check_instance("bijector", bijector, FlowBijector, words)
        super().__init__(
            [bijector],
            event_ndims=bijector.inverse_min_event_ndims,
            data_event_ndims=bijector.forward_min_event_ndims,
            event_shape=bijector._event_shapes["inverse"],
            data_event_shape=bijector._event_shapes["forward"],
            parameters=parameters,
            name=name or f"invert_{bijector.name}",
        )
        self._bijector = bijector
        # Even if only one of the two is known.
        self._event_shapes = {d: bijector._event_shapes[OPPOSITE[d]] for d in OPPOSITE}

    @property
    def bijector(self) -> FlowBijector:
        """The bijector whose directions are swapped."""
        return self._bijector

    @property
    def _parts(self):
        return [self._bijector]

    @property
    def sequential_directions(self) -> frozenset[str]:
        """The sequential directions of the bijector, swapped."""
        return frozenset(OPPOSITE[d] for d in self._bijector.sequential_directions)

    def check_support(self, data: TensorLike, *, argument: str = "data") -> None:
        """Accepts all data, since every latent of the bijector has a value."""

    def initialize(
        self,
        data: TensorLike,
        *,
        context: TensorLike | None = None,
        sample_weight: TensorLike | None = None,
    ) -> None:
        """Sets the bijector's state from `data`, which are at its latent end.

        Args:
          data: `[N, *event]`, at the data end of this bijector.
          context: `[N, context_size]`, if the bijector is conditional.
          sample_weight: `[N]`: a row of weight 2 counts twice, one of weight 0 not at all.

        Raises:
          ValueError: if there is state that only data at the other end determine, as in
            `MultiScale`.
        """
        data, context, weight = self._check_rows(data, context, sample_weight)
        self._bijector._initialize_inverted(data, context, weight)

    def _initialize_inverted(self, data, context, sample_weight=None):
        weight = weight_keyword(self._bijector, sample_weight)
        self._bijector.initialize(data, context=context, **weight)

    def _forward_and_log_det(self, x, context, training):
        return self._apply_part(self._bijector, "inverse", x, context, training)

    def _inverse_and_log_det(self, y, context, training):
        return self._apply_part(self._bijector, "forward", y, context, training)

    def _event_shape_after(self, direction, shape):
        return event_shape_after(self._bijector, OPPOSITE[direction], shape)
