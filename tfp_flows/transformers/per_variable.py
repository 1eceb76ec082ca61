"""A different transformer for each variable."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from tfp_flows.core.arguments import check_instance, check_integer, require
from tfp_flows.transformers.transformer import Transformer, ValueAndLogDet


class PerVariable(Transformer):
    """Maps variable i by the transformer `transformers[which[i]]`.

    P is the largest `num_parameters` of the transformers; the others ignore their last
    parameters. A last parameter of each variable is the index of its transformer, since
    some directions map one variable at a time. Both directions evaluate all transformers.

    >>> from tfp_flows import transformers
    >>> mixed = transformers.PerVariable(
    ...     [transformers.Affine(), transformers.CircularSpline(8)], which=[0, 1, 1]
    ... )
    >>> mixed.num_parameters
    25

    Args:
      transformers: list of `Transformer`s.
      which: for each variable, the index of its transformer.

    Raises:
      ValueError: if one of `transformers` is no `Transformer`, or is itself a
        `PerVariable`, or there is none; if an index is no integer, or out of range.
    """

    knows_variables = True

    def __init__(self, transformers: Sequence[Transformer], which: Sequence[int]) -> None:
        words = "a list of `Transformer`s"
        check_instance("transformers", transformers, (list, tuple), words)
        for transformer in transformers:
            check_instance("transformers", transformer, Transformer, words)
            is_alike = not transformer.knows_variables
            require(is_alike, "`transformers` other than a `PerVariable`", "one in another")
        require(transformers, "at least one of `transformers`", "none")
        self.transformers = list(transformers)
        self.which = [check_integer("which", index, minimum=0) for index in which]
        last = len(self.transformers) - 1
        words = f"`which` of integers from 0 to {last}, one for each variable"
        require(max(self.which, default=0) <= last, words, self.which)

    @property
    def num_parameters(self) -> int:
        """The largest number of parameters of a transformer."""
        return max(transformer.num_parameters for transformer in self.transformers)

    @property
    def is_monotone(self) -> bool:  # type: ignore[override]  # elsewhere a constant
        """Whether every transformer is monotone."""
        return all(transformer.is_monotone for transformer in self.transformers)

    def parameters_of(self, outputs: tf.Tensor, size: int) -> tf.Tensor:
        """Returns parameters, `[..., P + 1, D]`; the last is the transformer's index."""
        words = f"`which` of {size} integers, one for each variable"
        require(size == len(self.which), words, self.which)
        parameters = super().parameters_of(outputs, size)
        which = tf.constant(self.which, parameters.dtype)
        which = tf.zeros_like(parameters[..., :1, :]) + which
        return tf.concat([parameters, which], axis=-2)

    def forward_and_log_det(self, x: tf.Tensor, parameters: tf.Tensor) -> ValueAndLogDet:
        """Maps `x`, `[..., D]`, by the result of `parameters_of`; log-dets `[..., D]`."""
        return self._choose("forward_and_log_det", x, parameters)

    def inverse_and_log_det(self, y: tf.Tensor, parameters: tf.Tensor) -> ValueAndLogDet:
        """Undoes `forward_and_log_det`, with the log-dets of the inverse."""
        return self._choose("inverse_and_log_det", y, parameters)

    def _choose(self, method, value, parameters):
        hint = " `parameters_of` returns them."
        self._check_parameters(parameters, self.num_parameters + 1, hint)
        which = parameters[..., -1, :]
        mapped, log_det = value, tf.zeros_like(value)
        for index, transformer in enumerate(self.transformers):
            is_mapped = tf.equal(which, tf.cast(index, which.dtype))
            # Other variables are replaced by 0, where every map is finite.
            inside = tf.where(is_mapped, value, tf.zeros_like(value))
            used = parameters[..., : transformer.num_parameters, :]
            result, result_log_det = getattr(transformer, method)(inside, used)
            mapped = tf.where(is_mapped, result, mapped)
            log_det = tf.where(is_mapped, result_log_det, log_det)
        return mapped, log_det
