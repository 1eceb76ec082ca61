"""RealNVP for images: checkerboard and channel couplings at several levels."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.bijectors.act_norm import ActNorm
from tfp_flows.bijectors.batch_norm import BatchNorm
from tfp_flows.bijectors.flow_chain import FlowChain
from tfp_flows.bijectors.invert import Invert
from tfp_flows.bijectors.masks import channel_half, checkerboard
from tfp_flows.bijectors.squeeze import Squeeze
from tfp_flows.core.arguments import check_each, check_image_shape, check_size, require
from tfp_flows.core.flow_bijector import FlowBijector
from tfp_flows.flows.options import FlowOptions, Unpack, all_arguments, takes_options
from tfp_flows.flows.steps import coupling, multi_scale_steps, refuse_two_norms
from tfp_flows.networks.layer_arguments import split_seed
from tfp_flows.networks.res_net import ResNet
from tfp_flows.transformers.affine import Affine, exp_scale
from tfp_flows.transformers.transformer import Transformer


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
    scale; a batch norm with statistics of the changed half, zeros elsewhere, and no scale
    and shift of its own. The networks have act norms instead of batch norms (`ResNet`).

    The paper's flows have 4 blocks of 32 channels for 32x32 images, 2 blocks of 32 for
    64x64, and 8 blocks of 64 with 2 levels for CIFAR-10. The code has 4 levels for 32x32
    and 5 for 64x64.

    Args:
      image_shape: `(H, W, C)`; H and W divisible by `2**(num_levels - 1)`.
      num_levels: number of levels.
      hidden_channels: width of the networks of the first level's checkerboard couplings.
      num_blocks: residual blocks of each network.
      transformer: elementwise map of the changing entries; the paper's by default. With
        another one, the networks have neither `scale` nor tanh.
      batch_norm: whether a `BatchNorm` follows each coupling, as in the paper.
      act_norm: whether an `ActNorm` of the whole image follows each coupling.
      use_running_averages: whether the `BatchNorm`s train with running averages, as in the
        paper's appendix E, for small batches.
      context_size: width of the context, an input of every network; 0 if there is none.
      logit_alpha: `alpha` of the `Logit` at the data end; None: no `Logit`.
      normal_scores: number of bins of a `NormalScores` at the data end, in place of a
        `Logit`: 256 for bytes that are dequantised and divided by 256; None leaves it out.
      name: name of the bijector.
      **options: see `FlowOptions`.

    Raises:
      ValueError: if H or W is not divisible, `num_levels` is below 1, the last level has
        only one pixel, or `batch_norm` is combined with `act_norm` or `recompute`.

    >>> import numpy as np
    >>> import tfp_flows
    >>> flow = tfp_flows.RealNVPImage((4, 4, 1), hidden_channels=4, num_blocks=1, seed=0)
    >>> flow.inverse(np.full([2, 4, 4, 1], 0.5)).shape
    TensorShape([2, 16])

    Reference:
      Dinh, Sohl-Dickstein, Bengio (2016), Density estimation using Real NVP.
      https://arxiv.org/abs/1605.08803
    """

    @takes_options(FlowOptions)
    def __init__(
        self,
        image_shape: Sequence[int],
        num_levels: int = 2,
        *,
        hidden_channels: int = 32,
        num_blocks: int = 4,
        transformer: Transformer | None = None,
        batch_norm: bool = True,
        act_norm: bool = False,
        use_running_averages: bool = False,
        context_size: int = 0,
        logit_alpha: float | None = 0.05,
        normal_scores: int | None = None,
        name: str = "real_nvp_image",
        **options: Unpack[FlowOptions],
    ) -> None:
        parameters = all_arguments(locals())
        check_each(check_size, num_levels=num_levels, hidden_channels=hidden_channels)
        refuse_two_norms(batch_norm, act_norm)
        shape = check_image_shape(image_shape, divisible_by=2 ** (num_levels - 1))
        words = "`image_shape` of more than one pixel, for a checkerboard, at the last of"
        has_pixels = shape[0] * shape[1] > 4 ** (num_levels - 1)
        require(has_pixels, f"{words} {num_levels} levels", shape)
        couplings = functools.partial(_couplings, **parameters)
        width, dtype, levels = hidden_channels, options["dtype"], []
        *level_seeds, last_seed = split_seed(options["seed"], num_levels)
        for level_seed in level_seeds:
            first_seed, second_seed = split_seed(level_seed, 2)
            squeeze = Squeeze(shape, dtype=dtype)
            squeezed = squeeze.inverse_event_shape(shape).as_list()
            levels.append(
                [
                    *couplings(checkerboard, shape, 3, width, first_seed),
                    squeeze,
                    *couplings(channel_half, squeezed, 3, 2 * width, second_seed),
                    Invert(squeeze),
                    Squeeze(shape, ordered=True, dtype=dtype),
                ]
            )
            shape, width = (shape[0] // 2, shape[1] // 2, 2 * shape[2]), 2 * width
        levels.append(couplings(checkerboard, shape, 4, width, last_seed))
        chain = functools.partial(
            FlowChain, standardize_context=False, recompute=options["recompute"]
        )
        super().__init__(
            multi_scale_steps([*map(chain, levels)], **parameters),
            standardize_context=options["standardize_context"],
            parameters=parameters,
            name=name,
        )


def _couplings(
    make_mask: Callable[..., np.ndarray],
    image_shape: Sequence[int],
    count: int,
    width: int,
    seed: int | None,
    /,
    **parameters: Any,
) -> list[FlowBijector]:
    """Returns couplings and their norms; the entries swap roles from step to step."""
    steps: list[FlowBijector] = []
    for k, step_seed in enumerate(split_seed(seed, count)):
        mask = make_mask(image_shape, start=k % 2 == 0)
        steps += _coupling_and_norm(mask, width, step_seed, **parameters)
    return steps


def _coupling_and_norm(
    mask: np.ndarray,
    width: int,
    seed: int | None,
    /,
    *,
    num_blocks: int,
    transformer: Transformer | None,
    batch_norm: bool,
    act_norm: bool,
    use_running_averages: bool,
    dtype: tf.DType | str,
    **others: Any,
) -> list[FlowBijector]:
    """Returns a coupling and its norm, from the arguments of `RealNVPImage`."""
    is_checkerboard = not (mask == mask[0, 0]).all()
    network = functools.partial(
        ResNet,
        hidden_channels=width,
        num_blocks=num_blocks,
        mask=mask[..., :1] if is_checkerboard else None,
        tanh_scale=None if transformer else 0.0 if is_checkerboard else 1.0,
        seed=seed,
    )
    transformer, channels = transformer or Affine(exp_scale), mask.shape[-1]
    step = coupling(mask, transformer, network, dtype=dtype, **others)
    steps: list[FlowBijector] = [step]
    if batch_norm:
        steps.append(
            BatchNorm(
                channels,
                event_ndims=3,
                mask=mask,
                scale_and_shift=False,
                epsilon=1e-4,
                use_running_averages=use_running_averages,
                dtype=dtype,
            )
        )
    elif act_norm:
        steps.append(ActNorm(channels, event_ndims=3, dtype=dtype))
    return steps
