"""RealNVP for images: checkerboard and channel couplings at several levels."""

import functools

import tensorflow as tf

from tfp_flows.bijectors.act_norm import ActNorm
from tfp_flows.bijectors.batch_norm import BatchNorm
from tfp_flows.bijectors.flow_chain import FlowChain
from tfp_flows.bijectors.invert import Invert
from tfp_flows.bijectors.masks import channel_half
from tfp_flows.bijectors.masks import checkerboard
from tfp_flows.bijectors.multi_scale import MultiScale
from tfp_flows.bijectors.preprocessing import Logit
from tfp_flows.bijectors.squeeze import Squeeze
from tfp_flows.core.arguments import check_arguments
from tfp_flows.core.arguments import check_integer
from tfp_flows.core.image_shape import check_image_shape
from tfp_flows.flows.image_coupling import image_coupling
from tfp_flows.networks.res_net import ResNet
from tfp_flows.networks.seeds import split_seed
from tfp_flows.transformers.affine import Affine
from tfp_flows.transformers.affine import exp_scale

__all__ = ["RealNVPImage"]


class RealNVPImage(FlowChain):
    """The multi-scale flow of the RealNVP paper.

    ```none
    data end:      logit(alpha + (1 - 2 alpha) y)
    each level:    3 checkerboard couplings;  squeeze;  3 channel couplings;  un-squeeze;
                   squeeze, ordered;  the second half of the channels is latent
    the last one:  4 checkerboard couplings
    coupling:      x_b = (y_b - shift(y_a)) * exp(-scale * tanh(s(y_a))),  then its norm
    ```

    The learned `scale` starts at 0 in checkerboard couplings and at 1 in channel couplings.
    The first coupling passes the pixels of even row plus column, or the first half of the
    channels; then the roles alternate. Widths double from level to level, and channel
    couplings have twice the width of the level's checkerboard couplings.

    Where paper and code differ, this follows the code: `1 - 2 alpha`; the shift before the
    scale; batch norm by statistics of the changed half with zeros elsewhere, without scale
    and shift of its own. The networks have act norms in place of batch norms (`ResNet`).

    The paper's flows: 32x32 images, 4 blocks of 32 channels; 64x64, 2 blocks of 32;
    CIFAR-10, 8 blocks of 64 and 2 levels. The code has 4 levels for 32x32, 5 for 64x64.

    Args:
      image_shape: `(H, W, C)`; H and W divisible by `2**(num_levels - 1)`.
      num_levels: number of levels.
      hidden_channels: of the networks of the first level's checkerboard couplings.
      num_blocks: residual blocks of each network.
      batch_norm: whether a `BatchNorm` follows each coupling, as in the paper.
      act_norm: whether an `ActNorm` of the whole image does.
      use_running_averages: whether the `BatchNorm`s train with running averages, as in the
        paper's appendix E, for small batches.
      context_size: width of the context, which every network sees; 0 if there is none.
      standardize_context: whether contexts are standardised (see `FlowChain`).
      logit_alpha: the `alpha` of the `Logit` at the data end; None leaves it out.
      recompute: whether training keeps of each bijector of a level only what it was given,
        and applies it once more for the gradient, to save memory (see `FlowChain`). Only
        without `batch_norm`.
      seed: integer that determines the initial weights; random if None.
      dtype: of inputs and weights.
      name: name of the bijector.

    Raises:
      ValueError: if `image_shape` does not divide, `num_levels` is below 1, or both norms
        are asked for, or `batch_norm` with `recompute`.

    Reference:
      Dinh, Sohl-Dickstein, Bengio (2016), Density estimation using Real NVP.
      https://arxiv.org/abs/1605.08803
    """

    def __init__(
        self,
        image_shape,
        num_levels=2,
        *,
        hidden_channels=32,
        num_blocks=4,
        batch_norm=True,
        act_norm=False,
        use_running_averages=False,
        context_size=0,
        standardize_context=True,
        logit_alpha=0.05,
        recompute=False,
        seed=None,
        dtype=tf.float32,
        name="real_nvp_image",
    ):
        parameters = dict(locals())
        check_arguments(parameters)
        check_integer("hidden_channels", hidden_channels)
        if batch_norm and act_norm:
            raise ValueError("Expected one of `batch_norm` and `act_norm`; got both.")
        dtype = tf.as_dtype(dtype)
        image_shape = check_image_shape(image_shape, divisible_by=2 ** (num_levels - 1))

        if image_shape[0] * image_shape[1] <= 4 ** (num_levels - 1):
            raise ValueError(
                "Expected `image_shape` of more than one pixel, for a checkerboard, at the "
                f"last of {num_levels} levels; got {image_shape}."
            )
        step = functools.partial(
            _coupling_and_norm,
            num_blocks=num_blocks,
            norm=BatchNorm if batch_norm else ActNorm if act_norm else None,
            use_running_averages=use_running_averages,
            context_size=context_size,
            dtype=dtype,
        )
        shape, levels = image_shape, []
        seeds = split_seed(seed, num_levels)
        for level, level_seed in enumerate(seeds[:-1]):
            width = hidden_channels * 2**level
            levels.append(_level(shape, width, step, level_seed, recompute, dtype))
            shape = levels[-1].inverse_event_shape(shape).as_list()
            shape = (*shape[:2], shape[2] // 2)
        masks = _alternating(checkerboard, shape, 4)
        width = hidden_channels * 2 ** (num_levels - 1)
        steps = _steps(masks, width, step, seeds[-1])
        levels.append(FlowChain(steps, standardize_context=False, recompute=recompute))
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


def _level(image_shape, width, step, seed, recompute, dtype):
    """Couplings on the checkerboard, then on channels, and the squeeze to factor out."""
    squeeze = Squeeze(image_shape, dtype=dtype)
    squeezed = squeeze.inverse_event_shape(image_shape).as_list()
    seeds = split_seed(seed, 2)
    return FlowChain(
        [
            *_steps(_alternating(checkerboard, image_shape, 3), width, step, seeds[0]),
            squeeze,
            *_steps(_alternating(channel_half, squeezed, 3), 2 * width, step, seeds[1]),
            Invert(squeeze),
            Squeeze(image_shape, ordered=True, dtype=dtype),
        ],
        standardize_context=False,
        recompute=recompute,
    )


def _alternating(mask, image_shape, count):
    return [mask(image_shape, start=k % 2 == 0) for k in range(count)]


def _steps(masks, width, step, seed):
    seeds = split_seed(seed, len(masks))
    pairs = zip(masks, seeds, strict=True)
    return [part for mask, mask_seed in pairs for part in step(mask, width, mask_seed)]


def _coupling_and_norm(
    mask, width, seed, *, num_blocks, norm, use_running_averages, context_size, dtype
):
    is_checkerboard = not (mask == mask[0, 0]).all()

    def network(output_channels):
        return ResNet(
            output_channels,
            width,
            num_blocks=num_blocks,
            mask=mask[..., :1] if is_checkerboard else None,
            tanh_scale=0.0 if is_checkerboard else 1.0,
            seed=seed,
            dtype=dtype.name,
        )

    coupling = image_coupling(
        mask, Affine(exp_scale), network, context_size=context_size, dtype=dtype
    )
    if norm is None:
        return [coupling]
    arguments = {"event_ndims": 3, "dtype": dtype}
    if norm is BatchNorm:
        arguments |= {"mask": mask, "scale_and_shift": False, "epsilon": 1e-4}
        arguments |= {"use_running_averages": use_running_averages}
    return [coupling, norm(mask.shape[-1], **arguments)]
