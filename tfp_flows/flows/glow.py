"""Glow: steps of act norm, invertible 1x1 convolution and coupling, at several levels."""

import functools

import keras
import tensorflow as tf

from tfp_flows.bijectors.act_norm import ActNorm
from tfp_flows.bijectors.channel_affine import ChannelAffine
from tfp_flows.bijectors.flow_chain import FlowChain
from tfp_flows.bijectors.linear import InvertibleConv1x1
from tfp_flows.bijectors.masks import channel_half
from tfp_flows.bijectors.multi_scale import MultiScale
from tfp_flows.bijectors.preprocessing import Logit
from tfp_flows.bijectors.scan import Scan
from tfp_flows.bijectors.squeeze import Squeeze
from tfp_flows.core.arguments import check_arguments
from tfp_flows.core.image_shape import check_image_shape
from tfp_flows.flows.image_coupling import image_coupling
from tfp_flows.networks.conditioner import Conditioner
from tfp_flows.networks.conv_net import ConvNet
from tfp_flows.networks.seeds import split_seed
from tfp_flows.transformers.affine import Affine
from tfp_flows.transformers.affine import glow_scale

__all__ = ["Glow", "GlowStep"]


class GlowStep(FlowChain):
    """One step of flow: act norm, invertible 1x1 convolution, coupling on channels.

    ```none
    data -> latent:   h = W act_norm(y) at each pixel;   h_a, h_b = halves of its channels
                      x_a = h_a,   x_b = (h_b - shift(h_a)) * sigmoid(s(h_a) + 2)
    ```

    The authors' code adds the shift and interleaves shifts and scales along the network's
    output channels; that is this network with its last weights in another order.

    Args:
      image_shape: `(H, W, C)`, with C of at least 2.
      hidden_channels: of the coupling's `ConvNet`.
      transformer: elementwise map of the changing half; `Affine(glow_scale)` by default,
        and `Shift()` for an additive coupling.
      context_size: width of the context, which the network sees as it is; 0 if there is
        none.
      seed: integer that determines the initial weights; random if None.
      dtype: of inputs and weights.
      name: name of the bijector.

    Raises:
      ValueError: if the image has one channel only.

    Reference:
      Kingma, Dhariwal (2018), Glow, section 3. https://arxiv.org/abs/1807.03039
    """

    def __init__(
        self,
        image_shape,
        *,
        hidden_channels=512,
        transformer=None,
        context_size=0,
        seed=None,
        dtype=tf.float32,
        name="glow_step",
    ):
        parameters = dict(locals())
        check_arguments(parameters)
        dtype = tf.as_dtype(dtype)
        image_shape = check_image_shape(image_shape)
        channels = image_shape[-1]
        if channels < 2:
            raise ValueError(
                f"Expected `image_shape` with at least 2 channels; got {image_shape}."
            )
        mixing_seed, network_seed = split_seed(seed, 2)

        def network(output_channels):
            return ConvNet(
                output_channels, hidden_channels, seed=network_seed, dtype=dtype.name
            )

        bijectors = [
            ActNorm(channels, event_ndims=3, dtype=dtype),
            InvertibleConv1x1(channels, seed=mixing_seed, dtype=dtype),
            image_coupling(
                channel_half(image_shape),
                transformer or Affine(glow_scale),
                network,
                context_size=context_size,
                dtype=dtype,
            ),
        ]
        super().__init__(
            bijectors, standardize_context=False, parameters=parameters, name=name
        )


class Glow(FlowChain):
    """Generative flow with invertible 1x1 convolutions, for images.

    ```none
    each level:  squeeze;  num_steps times a GlowStep;  half of the channels is latent
    ```

    The latent end is one vector of all entries, the finest level's first. With
    `conditional_prior`, what is factored out has been standardised by a mean and scale
    that a convolution of the kept half gives; with `learned_prior`, what is left at the
    end by a mean and scale a channel, which the context moves. Both priors are steps of
    the flow, so that its base is `standard_normal(H * W * C)`, and a base of standard
    deviation t below 1 samples at temperature t.

    The paper's flows: 32x32 images, 3 levels of 32 steps, 512 hidden channels; CelebA-HQ
    256x256 in 5 bits, 6 levels of 32 steps and an additive coupling. In the authors' code
    only the prior at the end depends on the class; here every network sees the context.
    Their priors' scale is not bounded; here it is, within `exp(-2)` and `exp(2)`. Their act
    norms learn log-scales three times as fast as other weights (`logscale_factor`); here
    only those inside the networks do. Their learned prior at the end comes of a convolution
    that sees the border, and so depends on the position near it; here it is one mean and
    scale a channel.

    Args:
      image_shape: `(H, W, C)`; H and W divisible by `2**num_levels`.
      num_levels: number of levels, L.
      num_steps: steps a level, K.
      hidden_channels: of each coupling's network.
      transformer: of the couplings; `Affine(glow_scale)` by default, `Shift()` if additive.
      learned_prior: whether the prior of what is left after the last level is learned.
      conditional_prior: whether that of the factored-out halves is, given the kept ones.
      context_size: width of the context; 0 if there is none.
      standardize_context: whether contexts are standardised (see `FlowChain`).
      logit_alpha: the `alpha` of a `Logit` at the data end, for data in `[0, 1]`; None: no
        `Logit`, as in the paper.
      recompute: whether training keeps of each step only what it was given, and applies it
        once more for the gradient, to save memory (see `FlowChain`).
      seed: integer that determines the initial weights; random if None.
      dtype: of inputs and weights.
      name: name of the bijector.

    Raises:
      ValueError: if `image_shape` does not divide, or a number is below 1.

    Reference:
      Kingma, Dhariwal (2018), Glow: generative flow with invertible 1x1 convolutions.
      https://arxiv.org/abs/1807.03039
    """

    def __init__(
        self,
        image_shape,
        num_levels=3,
        num_steps=32,
        *,
        hidden_channels=512,
        transformer=None,
        learned_prior=True,
        conditional_prior=True,
        context_size=0,
        standardize_context=True,
        logit_alpha=None,
        recompute=False,
        seed=None,
        dtype=tf.float32,
        name="glow",
    ):
        parameters = dict(locals())
        check_arguments(parameters)
        dtype = tf.as_dtype(dtype)
        image_shape = check_image_shape(image_shape, divisible_by=2**num_levels)
        shared = {"context_size": context_size, "dtype": dtype}
        make_step = functools.partial(
            GlowStep, hidden_channels=hidden_channels, transformer=transformer, **shared
        )
        shape, levels = image_shape, []
        for level, level_seed in enumerate(split_seed(seed, num_levels), start=1):
            squeeze = Squeeze(shape, dtype=dtype)
            shape = tuple(squeeze.inverse_event_shape(shape).as_list())
            steps = [make_step(shape, seed=s) for s in split_seed(level_seed, num_steps)]
            scan = Scan(steps, standardize_context=False, recompute=recompute)
            parts = [squeeze, scan]
            if level < num_levels and conditional_prior:
                parts.append(_prior_given_kept_half(shape, **shared))
            if level == num_levels and learned_prior:
                parts.append(_learned_prior(shape[-1], **shared))
            levels.append(FlowChain(parts, standardize_context=False))
            shape = (*shape[:2], shape[2] // 2)
        preprocessing = []
        if logit_alpha is not None:
            preprocessing = [Logit(logit_alpha, event_ndims=3, dtype=dtype)]
        multi_scale = MultiScale(levels, image_shape)
        super().__init__(
            [*preprocessing, multi_scale],
            standardize_context=standardize_context,
            parameters=parameters,
            name=name,
        )

    def initialize(self, data, *, context=None):
        """Sets all act norms, also those inside networks, from the first images.

        Args:
          data: `[N, H, W, C]`; the first 512 count, where the paper takes 256.
          context: `[N, context_size]`, where the flow is conditional.
        """
        context = None if context is None else context[:_INITIALIZATION_ROWS]
        super().initialize(data[:_INITIALIZATION_ROWS], context=context)


_INITIALIZATION_ROWS = 512


def _prior_given_kept_half(image_shape, *, context_size, dtype):
    """Standardises the second half of the channels given the first, which stays."""
    return image_coupling(
        channel_half(image_shape),
        Affine(),
        lambda output_channels: ConvNet(output_channels, (), dtype=dtype.name),
        context_size=context_size,
        dtype=dtype,
    )


def _learned_prior(channels, *, context_size, dtype):
    conditioner = None
    if context_size:
        embedding = keras.layers.Dense(
            2 * channels, use_bias=False, kernel_initializer="zeros", dtype=dtype.name
        )
        conditioner = Conditioner(embedding, context_size)
    return ChannelAffine(channels, conditioner, context_size=context_size, dtype=dtype)
