"""A bijector on some entries of a vector; the others pass."""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt
from tensorflow.types.experimental import TensorLike

from tfp_flows.bijectors.partition import check_mask, partition
from tfp_flows.core.arguments import check_instance, require
from tfp_flows.core.composite import Composite
from tfp_flows.core.flow_bijector import FlowBijector
from tfp_flows.core.rows import initialize_part


class Partial(Composite):
    """Maps the entries where a mask is False, as a vector.

    ```none
    forward:  y[mask] = x[mask],   y[~mask] = bijector(x[~mask])
    log_det:  the bijector's
    ```

    >>> import tfp_flows
    >>> mixing = tfp_flows.Permutation([1, 0])
    >>> from_two = tfp_flows.bijectors.Partial([False, True, False], mixing)
    >>> from_two.forward([[1.0, 2.0, 3.0]]).numpy().tolist()
    [[3.0, 2.0, 1.0]]

    Args:
      mask: booleans, `[D]`; True passes unchanged.
      bijector: a `FlowBijector` on vectors of the entries where `mask` is False.
      name: name of the bijector.

    Raises:
      ValueError: if the mask is not boolean or has only one value, or the bijector does not
        map vectors of that size to vectors of that size.
    """

    def __init__(
        self, mask: npt.ArrayLike, bijector: FlowBijector, *, name: str | None = None
    ) -> None:
        mask = check_mask(mask)
        require(mask.ndim == 1, "`mask` of shape [D]", list(mask.shape))
        words = "a `FlowBijector` (`TFPBijector(bijector, 1)` makes one of a stock one)"
        check_instance("bijector", bijector, FlowBijector, words)
        _check_sizes(bijector, int(np.sum(~mask)))
        super().__init__(
            [bijector],
            event_ndims=1,
            event_shape=mask.shape,
            name=name or f"{bijector.name}_on_part",
        )
        self._mask = mask
        self._partition = partition(mask)

    @property
    def bijector(self) -> FlowBijector:
        """The bijector of the entries that do not pass."""
        return self._steps[0]

    def check_support(self, data: TensorLike, *, argument: str = "data") -> None:
        """Refuses rows whose changing part has no inverse."""
        self.bijector.check_support(self._changing(data), argument=f"{argument}[:, ~mask]")

    def _initialize(self, data, context, weight):
        initialize_part(self.bijector, self._changing(data), context, weight)

    def _initialize_inverted(self, data, context, weight):
        self.bijector._initialize_inverted(self._changing(data), context, weight)

    def _changing(self, data):
        return np.asarray(data)[:, ~self._mask]

    def _map(self, direction, value, context, training):
        passing, changing = self._partition.split(value)
        changed, log_det = self._apply_part(
            self.bijector, direction, training, changing, context
        )
        return self._partition.join(passing, changed), log_det

    _forward_and_log_det = functools.partialmethod(_map, "forward")
    _inverse_and_log_det = functools.partialmethod(_map, "inverse")


def _check_sizes(bijector, size):
    ndims = [bijector.forward_min_event_ndims, bijector.inverse_min_event_ndims]
    shapes = [bijector._event_shapes[direction] for direction in ("forward", "inverse")]
    fits = all(s is None or s.is_compatible_with([size]) for s in shapes)
    words = (
        f"a `bijector` of vectors of {size} entries, as many as `mask` does not let pass"
    )
    got = f"`{bijector.name}` of event shapes {shapes} with {ndims} axes"
    require(ndims == [1, 1] and fits, words, got)
