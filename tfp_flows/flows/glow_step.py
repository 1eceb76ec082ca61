"""Glow's three parts: act norm, invertible 1x1 convolution and coupling."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING
from typing import Any

import tensorflow as tf

from tfp_flows.bijectors.act_norm import ActNorm
from tfp_flows.bijectors.flow_chain import FlowChain
from tfp_flows.bijectors.linear import InvertibleConv1x1
from tfp_flows.bijectors.masks import channel_half
from tfp_flows.core.arguments import check_arguments
from tfp_flows.core.image_shape import check_image_shape
from tfp_flows.flows.steps import coupling
from tfp_flows.networks.conv_net import ConvNet
from tfp_flows.networks.seeds import split_seed
from tfp_flows.transformers.affine import Affine
from tfp_flows.transformers.affine import glow_scale

if TYPE_CHECKING:
    from tfp_flows.transformers.transformer import Transformer

__all__ = ["GlowStep"]


class GlowStep(FlowChain):
    """One step of flow: act norm, invertible 1x1 convolution, coupling on channels.

    ```none
    data -> latent:   h = W act_norm(y) at each pixel;   h_a, h_b = halves of its channels
                      x_a = h_a,   x_b = (h_b - shift(h_a)) * sigmoid(s(h_a) + 2)
    ```

    The authors' code adds the shift, and interleaves shifts and scales along the network's
    output channels: the same network with its last weights in another order.

    Args:
      image_shape: `(H, W, C)`, with C of at least 2.
      hidden_channels: of the coupling's `ConvNet`.
      transformer: elementwise map of the changing half; `Affine(glow_scale)` by default,
        and `Shift()` for an additive coupling.
      context_size: width of the context, which the network sees as it is, or 0.
      seed: integer that determines the initial weights; random if None.
      dtype: of inputs and weights.
      network_dtype: dtype policy of the networks, as of Keras: "mixed_bfloat16" for one
        that computes in bfloat16, with float32 weights and maps; that of `dtype` if None.
      name: name of the bijector.

    Raises:
      ValueError: if the image has one channel only.

    >>> import tfp_flows
    >>> [part.name for part in tfp_flows.GlowStep((4, 4, 2), hidden_channels=8).bijectors]
    ['act_norm', 'invertible_conv_1x1', 'coupling']

    Reference:
      Kingma, Dhariwal (2018), Glow, section 3. https://arxiv.org/abs/1807.03039
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        *,
        hidden_channels: int | Sequence[int] = 512,
        transformer: Transformer | None = None,
        context_size: int = 0,
        seed: int | None = None,
        dtype: tf.DType | str = tf.float32,
        network_dtype: str | None = None,
        name: str = "glow_step",
    ) -> None:
        parameters = dict(locals())
        check_arguments(parameters)
        shape = check_image_shape(image_shape)
        _refuse_one_channel(shape)
        mixing_seed, network_seed = split_seed(seed, 2)
        network = functools.partial(
            ConvNet, hidden_channels=hidden_channels, seed=network_seed
        )
        mask, channels = channel_half(shape), shape[-1]
        transformer = transformer or Affine(glow_scale)
        shared: dict[str, Any] = {"context_size": context_size, "dtype": dtype}
        shared["network_dtype"] = network_dtype
        bijectors = [
            ActNorm(channels, event_ndims=3, dtype=dtype),
            InvertibleConv1x1(channels, seed=mixing_seed, dtype=dtype),
            coupling(mask, transformer, network, **shared),
        ]
        super().__init__(
            bijectors, standardize_context=False, parameters=parameters, name=name
        )


def _refuse_one_channel(image_shape: tuple[int, int, int]) -> None:
    if image_shape[-1] < 2:
        raise ValueError(
            f"Expected `image_shape` with at least 2 channels; got {image_shape}."
        )
