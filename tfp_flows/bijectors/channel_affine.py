"""A learned map of each channel, which may depend on a context."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import tensorflow as tf

from tfp_flows.bijectors.elementwise import Elementwise
from tfp_flows.transformers.affine import Affine

if TYPE_CHECKING:
    from tfp_flows.transformers.transformer import Transformer

__all__ = ["ChannelAffine"]


class ChannelAffine(Elementwise):
    """An affine `Elementwise`, with one shift and scale for each channel.

    At the latent end of a flow it is a learned Gaussian prior, conditional on a class if
    there is a context, while the base stays a standard normal. It starts as the identity.

    Args:
      event_size: length of the last axis.
      conditioner: callable from the context, `[..., context_size]`, to parameters,
        `[..., P * event_size]`; None without a context.
      context_size: width of the context; 0 if there is none.
      transformer: `Affine()` by default.
      event_ndims: axes of one event: 1 for vectors, 3 for images.
      dtype: of inputs and weights.
      name: name of the bijector.

    Raises:
      ValueError: if one of `conditioner` and `context_size` is given without the other, or
        the conditioner's shapes do not fit.

    >>> import numpy as np
    >>> import tfp_flows
    >>> step = tfp_flows.bijectors.ChannelAffine(3)  # of images with three channels
    >>> step.trainable_variables[0].shape, step.forward(np.zeros([2, 4, 4, 3])).shape
    (TensorShape([6]), TensorShape([2, 4, 4, 3]))

    Reference:
      Kingma, Dhariwal (2018), Glow, the authors' code (`learntop`, `ycond`).
      https://arxiv.org/abs/1807.03039
    """

    def __init__(
        self,
        event_size: int,
        conditioner: Callable | None = None,
        *,
        context_size: int = 0,
        transformer: Transformer | None = None,
        event_ndims: int = 3,
        dtype: tf.DType | str = tf.float32,
        name: str = "channel_affine",
    ) -> None:
        parameters = dict(locals())
        super().__init__(
            event_size,
            Affine() if transformer is None else transformer,
            conditioner,
            context_size=context_size,
            event_ndims=event_ndims,
            dtype=dtype,
            parameters=parameters,
            name=name,
        )
