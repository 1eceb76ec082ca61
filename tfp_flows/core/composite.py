"""Base class of bijectors that consist of other bijectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow.types.experimental import TensorLike

from tfp_flows.core.arguments import check_instance, require
from tfp_flows.core.flow_bijector import FlowBijector
from tfp_flows.core.results import check_result


class Composite(FlowBijector):
    """A `FlowBijector` whose properties follow from its parts.

    Args:
      parts: list of `FlowBijector`s, data side first.
      **options: other arguments of `FlowBijector`.

    Raises:
      ValueError: if parts differ in dtype or in the width of their contexts.
    """

    def __init__(self, parts: Sequence[FlowBijector], **options: Any) -> None:
        super().__init__(
            context_size=_shared_context_size(parts),
            is_constant_jacobian=all(part.is_constant_jacobian for part in parts),
            dtype=_shared_dtype(parts),
            **options,
        )
        self._steps = list(parts)

    @property
    def has_data_dependent_state(self) -> bool:
        """Whether `initialize` sets anything in a part."""
        return any(part.has_data_dependent_state for part in self._steps)

    @property
    def is_initialized(self) -> bool:
        """Whether the data-dependent state of every part is set."""
        return all(part.is_initialized for part in self._steps)

    def _unset_parts(self):
        return [name for part in self._steps for name in part._unset_parts()]

    @property
    def has_batch_statistics(self) -> bool:
        """Whether a part normalises by the rows of a batch in training."""
        return any(part.has_batch_statistics for part in self._steps)

    @property
    def is_monotone(self) -> bool:
        """Whether every part is monotone."""
        return all(part.is_monotone for part in self._steps)

    @property
    def standardizes_context(self) -> bool:
        """Whether every conditional part standardises contexts."""
        return all(part.standardizes_context for part in self._steps if part.context_size)

    @property
    def sequential_directions(self) -> frozenset[str]:
        """The sequential directions of all parts."""
        return frozenset().union(*(part.sequential_directions for part in self._steps))

    def check_support(self, data: TensorLike, *, argument: str = "data") -> None:
        """Refuses rows for which the first part has no inverse."""
        self._steps[0].check_support(data, argument=argument)

    def _apply_part(self, part, direction, training, value, context=None):
        """Maps rows by one part, without the checks of its public methods."""
        part._check_event_shape(direction, getattr(value, "shape", None))
        result = part._method(direction)(value, context_for(part, context), training)
        return check_result(part, direction, value, result)


def as_bijectors(name: str, bijectors: Any) -> list[tfp.bijectors.Bijector]:
    """Returns the argument `bijectors`, a sequence of at least one, as a list."""
    check_instance(name, bijectors, (list, tuple), "a list of bijectors")
    require(bijectors, f"at least one bijector in `{name}`", "none")
    for bijector in bijectors:
        words = "a list of `tfp.bijectors.Bijector`s"
        check_instance(name, bijector, tfp.bijectors.Bijector, words)
    return list(bijectors)


def context_for(part: Any, context: tf.Tensor | None) -> tf.Tensor | None:
    """Returns the context if a bijector or distribution is conditional, else None."""
    return context if getattr(part, "context_size", 0) else None


def _shared_context_size(parts):
    """Returns the context width of the conditional parts; 0 if there are none."""
    sizes = sorted({part.context_size for part in parts} - {0})
    require(len(sizes) < 2, "one `context_size` in all of `bijectors`", sizes)
    return sizes[0] if sizes else 0


def _shared_dtype(parts):
    """Returns the dtype of `parts`; None if they accept any."""
    dtypes = {part.dtype for part in parts if part.dtype is not None}
    names = sorted(dtype.name for dtype in dtypes)
    require(len(names) < 2, "one dtype in all of `bijectors`", names)
    return dtypes.pop() if dtypes else None
