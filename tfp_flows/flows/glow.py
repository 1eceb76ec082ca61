"""Glow: steps at several levels, with learned priors."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tfp_flows.bijectors.act_norm import ActNorm
from tfp_flows.bijectors.elementwise import Elementwise
from tfp_flows.bijectors.flow_chain import FlowChain
from tfp_flows.bijectors.linear import InvertibleConv1x1
from tfp_flows.bijectors.masks import channel_half
from tfp_flows.bijectors.scan import Scan
from tfp_flows.bijectors.squeeze import Squeeze
from tfp_flows.core.arguments import (
    check_each,
    check_flag,
    check_image_shape,
    check_network_dtype,
    check_size,
    require,
)
from tfp_flows.core.flow_bijector import FlowBijector
from tfp_flows.core.rows import sample_of_rows
from tfp_flows.flows.options import FlowOptions, Unpack, all_arguments, takes_options
from tfp_flows.flows.steps import coupling, multi_scale_steps
from tfp_flows.networks.conditioner import Conditioner
from tfp_flows.networks.conv_net import ConvNet
from tfp_flows.networks.layer_arguments import split_seed
from tfp_flows.transformers.affine import Affine, bounded_glow_scale, glow_scale
from tfp_flows.transformers.transformer import Transformer

_INITIALIZATION_ROWS = 512  # images that set the act norms
_BOUNDED = Affine(bounded_glow_scale)


class Glow(FlowChain):
    """Generative flow with invertible 1x1 convolutions, for images.

    ```none
    each level:  squeeze;  num_steps times a GlowStep;  half of the channels is latent
    ```

    The latent end is one vector of all entries, the finest level first. With
    `conditional_prior`, each latent half is standardised by a mean and scale that a
    convolution of the other half returns. With `learned_prior`, the latent of the last
    level is standardised by a learned mean and scale for each channel, which depend on the
    context. Both priors are steps of the flow, so its base is `standard_normal(H * W * C)`,
    and a base of standard deviation t below 1 samples at temperature t.

    The paper's flows have 3 levels of 32 steps and 512 hidden channels for 32x32 images,
    and 6 levels of 32 additive steps for CelebA-HQ, 256x256 in 5 bits. This flow differs
    from the authors' code in five ways: scales of couplings are at most 10; every network
    sees the context, and not only the last prior; scales of priors are within `exp(-2)` and
    `exp(2)`; only act norms inside the networks learn log-scales three times as fast as
    other weights; and the learned prior is one mean and scale for each channel, not a
    convolution.

    Args:
      image_shape: `(H, W, C)`; H and W divisible by `2**num_levels`.
      num_levels: number of levels, L.
      num_steps: steps of each level, K.
      hidden_channels: width of each coupling's network.
      transformer: elementwise map of the couplings; `Affine(bounded_glow_scale)` by
        default, `Shift()` for additive couplings. None is `Affine(glow_scale)`, the paper's
        map, whose draws may overflow.
      learned_prior: whether the prior of the last level's latent is learned.
      conditional_prior: whether the prior of each other latent half is conditional on the
        half that continues.
      context_size: width of the context, an input of every network; 0 if there is none.
      logit_alpha: `alpha` of a `Logit` at the data end; None, as in the paper: no `Logit`.
      normal_scores: number of bins of a `NormalScores` at the data end, in place of a
        `Logit`: 256 for bytes that are dequantised and divided by 256; None leaves it out.
      name: name of the bijector.
      **options: see `FlowOptions`.

    Raises:
      ValueError: if H or W is not divisible, or a number is below 1.

    >>> import numpy as np
    >>> import tfp_flows
    >>> flow = tfp_flows.Glow((4, 4, 1), num_levels=2, num_steps=1, hidden_channels=8)
    >>> flow.inverse(np.zeros([2, 4, 4, 1])).shape
    TensorShape([2, 16])

    Reference:
      Kingma, Dhariwal (2018), Glow: generative flow with invertible 1x1 convolutions.
      https://arxiv.org/abs/1807.03039
    """

    @takes_options(FlowOptions)
    def __init__(
        self,
        image_shape: Sequence[int],
        num_levels: int = 3,
        num_steps: int = 32,
        *,
        hidden_channels: int | Sequence[int] = 512,
        transformer: Transformer | None = _BOUNDED,
        learned_prior: bool = True,
        conditional_prior: bool = True,
        context_size: int = 0,
        logit_alpha: float | None = None,
        normal_scores: int | None = None,
        name: str = "glow",
        **options: Unpack[FlowOptions],
    ) -> None:
        parameters = all_arguments(locals())
        check_each(check_size, num_levels=num_levels, num_steps=num_steps)
        check_each(
            check_flag, learned_prior=learned_prior, conditional_prior=conditional_prior
        )
        shared = {k: parameters[k] for k in ("context_size", "dtype", "network_dtype")}
        prior_network = functools.partial(ConvNet, hidden_channels=())
        shape = check_image_shape(image_shape, divisible_by=2**num_levels)
        levels: list[FlowBijector] = []
        for level_seed in split_seed(options["seed"], num_levels):
            squeeze = Squeeze(shape, dtype=options["dtype"])
            height, width, channels = squeeze.inverse_event_shape(shape).as_list()
            shape = height, width, channels
            steps = [
                GlowStep(
                    shape,
                    hidden_channels=hidden_channels,
                    transformer=transformer,
                    seed=seed,
                    **shared,
                )
                for seed in split_seed(level_seed, num_steps)
            ]
            scan = Scan(steps, standardize_context=False, recompute=options["recompute"])
            parts: list[FlowBijector] = [squeeze, scan]
            is_last = len(levels) == num_levels - 1
            if is_last and learned_prior:
                parts.append(_learned_prior(channels, **shared))
            if not is_last and conditional_prior:
                mask = channel_half(shape)
                parts.append(coupling(mask, Affine(), prior_network, **shared))
            levels.append(FlowChain(parts, standardize_context=False))
            shape = height, width, channels // 2
        super().__init__(
            multi_scale_steps(levels, **parameters),
            standardize_context=options["standardize_context"],
            parameters=parameters,
            name=name,
        )

    def _initialize(self, data: Any, context: Any, weight: Any) -> None:
        # The rows also set the act norms inside networks. The paper takes 256 images.
        rows = sample_of_rows((data, context, weight), _INITIALIZATION_ROWS)
        super()._initialize(*rows)


def _learned_prior(
    channels: int, *, context_size: int, dtype: tf.DType | str, network_dtype: str | None
) -> FlowBijector:
    conditioner = None
    if context_size:
        policy = check_network_dtype("network_dtype", network_dtype, dtype)
        options = {"kernel_initializer": "zeros", "dtype": policy}
        embedding = keras.layers.Dense(2 * channels, use_bias=False, **options)
        conditioner = Conditioner(embedding, context_size)
    return Elementwise(
        channels,
        Affine(),
        conditioner,
        context_size=context_size,
        event_ndims=3,
        dtype=dtype,
        name="learned_prior",
    )


class GlowStep(FlowChain):
    """One step of flow: act norm, invertible 1x1 convolution, coupling on channels.

    ```none
    data -> latent:   h = W act_norm(y) at each pixel;   h_a, h_b = halves of its channels
                      x_a = h_a,   x_b = (h_b - shift(h_a)) * t(h_a),
                      t = 0.1 + 0.9 sigmoid(s + 2)
    ```

    The authors' code adds the shift, and interleaves shifts and scales on the output
    channels of the network, which only reorders its last weights.

    Args:
      image_shape: `(H, W, C)`, with C of at least 2.
      hidden_channels: width of the coupling's `ConvNet`.
      transformer: elementwise map of the changing half: see `Glow`.
      context_size: width of the context, which is not standardised; 0 if there is none.
      seed: integer that determines the initial weights; random if None.
      dtype: dtype of inputs and weights.
      network_dtype: Keras dtype policy of the network (see `FlowOptions`).
      name: name of the bijector.

    Raises:
      ValueError: if the image has one channel only.

    >>> import tfp_flows
    >>> step = tfp_flows.flows.GlowStep((4, 4, 2), hidden_channels=8)
    >>> [part.name for part in step.bijectors]
    ['act_norm', 'invertible_conv_1x1', 'coupling']

    Reference:
      Kingma, Dhariwal (2018), Glow, section 3. https://arxiv.org/abs/1807.03039
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        *,
        hidden_channels: int | Sequence[int] = 512,
        transformer: Transformer | None = _BOUNDED,
        context_size: int = 0,
        seed: int | None = None,
        dtype: tf.DType | str = tf.float32,
        network_dtype: str | None = None,
        name: str = "glow_step",
    ) -> None:
        shape = check_image_shape(image_shape)
        require(shape[-1] > 1, "`image_shape` with at least 2 channels", shape)
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
        super().__init__(bijectors, standardize_context=False, name=name)
