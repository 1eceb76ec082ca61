"""What a likelihood of rows given their latents is.

A likelihood has an `event_shape`, takes `num_parameters` P from the decoder for each entry
of an event, and makes a `tfd.Distribution` of them. The decoder's last axis holds the P
parameters one after the other: `[..., P * D]` or `[..., H, W, P * C]`, as the event has it.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from tensorflow.types.experimental import TensorLike
from tensorflow_probability import distributions as tfd

from tfp_flows.core.arguments import check_event_shape

__all__ = ["Likelihood"]


class Likelihood(abc.ABC):
    """A family of distributions of rows, whose parameters a decoder returns.

    Args:
      event_shape: integer, or shape of one row.

    >>> from tfp_flows import likelihoods
    >>> isinstance(likelihoods.Bernoulli(3), likelihoods.Likelihood)
    True
    """

    num_parameters = 1

    def __init__(self, event_shape: int | Sequence[int]) -> None:
        self.event_shape = check_event_shape("event_shape", event_shape)

    @property
    def event_size(self) -> int:
        """Number of entries of one event, D."""
        return math.prod(self.event_shape)

    @abc.abstractmethod
    def distribution(self, outputs: tf.Tensor) -> tfd.Distribution:
        """Returns the `tfd.Distribution` of events with parameters `outputs`.

        Args:
          outputs: `[..., P * D]`, or the event's shape with P times the channels.
        """

    @abc.abstractmethod
    def check(self, x: np.ndarray) -> None:
        """Raises `ValueError` if an array has values outside the support."""

    def log_prob(self, x: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        """Returns log-likelihoods in nats, `[...]`.

        Args:
          x: `[N, *event]`.
          outputs: `[..., N, *output]`, of the decoder.
        """
        return self.distribution(outputs).log_prob(x)

    def mean(self, outputs: tf.Tensor) -> tf.Tensor:
        """Returns the expected event, `[..., *event]`."""
        return self.distribution(outputs).mean()

    def sample(self, outputs: tf.Tensor, seed: int | TensorLike) -> tf.Tensor:
        """Draws an event of each of the `outputs`, `[..., *event]`."""
        return self.distribution(outputs).sample(seed=seed)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {"event_shape": self.event_shape}

    @classmethod
    def from_config(cls, config: dict) -> Likelihood:
        """Builds the likelihood that `config` describes."""
        return cls(**config)

    def _parameters(self, outputs):
        """The P parameters, `[..., *event]` each."""
        batch_ndims = outputs.shape.rank - self._output_ndims(outputs.shape.as_list())
        batch_shape = tf.shape(outputs)[:batch_ndims]
        shape = tf.concat([batch_shape, self.event_shape], axis=0)
        parts = tf.split(outputs, self.num_parameters, axis=-1)
        return [tf.reshape(part, shape) for part in parts]

    def _output_ndims(self, shape):
        """Number of the last axes that are the decoder's output for one event."""
        size, event_ndims = self.num_parameters * self.event_size, len(self.event_shape)
        # As many as an event has, if possible; an axis of size one may belong to the batch.
        for ndims in (1, event_ndims, *range(2, len(shape) + 1)):
            if None not in shape[-ndims:] and math.prod(shape[-ndims:]) == size:
                return ndims
        raise ValueError(f"Expected `outputs` of {size} entries a row; got shape {shape}.")

    def _independent(self, distribution):
        return tfd.Independent(distribution, len(self.event_shape))
