"""TarFlow: autoregressive steps on tokens, with causal transformers as conditioners."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow_probability as tfp

from tfp_flows.bijectors.autoregressive import MaskedAutoregressive
from tfp_flows.bijectors.flow_chain import FlowChain
from tfp_flows.bijectors.permutation import Permutation
from tfp_flows.bijectors.standardize import Standardize
from tfp_flows.core.arguments import (
    check_event_shape,
    check_flag,
    check_network_dtype,
    check_size,
    require,
)
from tfp_flows.flows.options import FlowOptions, Unpack, all_arguments, takes_options
from tfp_flows.flows.steps import pixel_steps
from tfp_flows.networks.causal_transformer import CausalTransformer
from tfp_flows.networks.conditioner import Conditioner
from tfp_flows.networks.layer_arguments import split_seed
from tfp_flows.transformers.affine import Affine
from tfp_flows.transformers.transformer import Transformer, check_transformer


class TarFlow(FlowChain):
    """Transformer autoregressive flow, on sequences of tokens, images or vectors.

    ```none
    data end:   images: logit(alpha + (1 - 2 alpha) y), patches;
                standardisation of each variable
    each block, data -> latent:
                x_t = (y_t - shift(y_<t)) * exp(-log_scale(y_<t))    for each token t
                shift, log_scale = a causal transformer over the tokens before t
    ```

    The tokens are the rows of an event `[T, D]`; the patches of an image, row by row; or
    the variables of a vector. All D variables of a token are mapped given the tokens before
    it, so that one block alone takes them as independent of each other. Blocks read the
    tokens in alternating orders. The latent end of an image is one vector of all variables,
    patch by patch; other events keep their shape.

    `log_prob` takes one pass of each network. `sample` solves for one token after another
    with cached keys and values, in one graph and with about the arithmetic of one pass. The
    gradient of `sample` follows from the implicit function theorem, as in `MAF`, and goes
    back over the tokens in the same way.

    This flow differs from the authors' code in four ways: the first token is changed, too,
    by parameters that are learned or depend on the context; scales of blocks are within
    `exp(-2)` and `exp(2)`; pixels pass a logit and are standardised by the training rows,
    while the authors map them to `[-1, 1]`; and it starts as the identity, since the last
    bias is zero, too. `Guided` samples with guidance by the context.

    Args:
      event_shape: `(T, D)`; with `patch_size`, `(H, W, C)`; or T, for vectors.
      patch_size: height and width of the patches of an image; it divides H and W.
      num_blocks: number of steps, K.
      num_layers: layers of each network.
      num_units: width of each network, a multiple of `num_heads`.
      num_heads: attention heads of each layer.
      transformer: elementwise map of the variables (not the attention model); `Affine()`
        by default.
      standardize: whether each variable is first standardised by statistics that
        `initialize` sets.
      context_size: width of the context, an input of every network; 0 if there is none.
      logit_alpha: `alpha` of a `Logit` at the data end of images in `[0, 1]`; None: no
        `Logit`. On MNIST it reaches 2.13 bits per dimension instead of 3.59
        (docs/tried_and_dropped.md).
      normal_scores: number of bins of a `NormalScores` at the data end of images, in place
        of a `Logit`: 256 for bytes that are dequantised and divided by 256; None leaves it
        out.
      name: name of the bijector.
      **options: see `FlowOptions`.

    Raises:
      ValueError: if `event_shape` is no `(T, D)`, `(T,)` or T without `patch_size`, or no
        `(H, W, C)` that `patch_size` divides; if a number is below 1, or `num_heads` does
        not divide `num_units`.

    >>> import numpy as np
    >>> import tfp_flows
    >>> small = {"num_blocks": 2, "num_layers": 1, "num_units": 8, "num_heads": 2}
    >>> flow = tfp_flows.TarFlow((4, 4, 1), patch_size=2, **small, seed=0)
    >>> flow.inverse(np.zeros([5, 4, 4, 1])).shape, flow.sequential_directions
    (TensorShape([5, 16]), frozenset({'forward'}))

    Reference:
      Zhai et al. (2024), Normalizing flows are capable generative models.
      https://arxiv.org/abs/2412.06329
    """

    @takes_options(FlowOptions)
    def __init__(
        self,
        event_shape: int | Sequence[int],
        *,
        patch_size: int | None = None,
        num_blocks: int = 4,
        num_layers: int = 2,
        num_units: int = 64,
        num_heads: int = 4,
        transformer: Transformer | None = None,
        standardize: bool = True,
        context_size: int = 0,
        logit_alpha: float | None = 0.01,
        normal_scores: int | None = None,
        name: str = "tarflow",
        **options: Unpack[FlowOptions],
    ) -> None:
        parameters = all_arguments(locals())
        transformer = Affine() if transformer is None else transformer
        check_transformer(transformer)
        check_flag("standardize", standardize)
        check_size("num_blocks", num_blocks)
        dtype = options["dtype"]
        shape, (num_tokens, token_size) = _token_shape(event_shape, patch_size)
        event_size = num_tokens * token_size
        steps: list[Any] = [] if len(shape) == 1 else [_reshape(shape, [event_size])]
        if patch_size is not None:
            steps = [*pixel_steps(shape, logit_alpha, normal_scores, dtype), *steps]
            steps.append(Permutation(_from_patches(shape, patch_size), dtype=dtype))
        if standardize:
            steps.append(Standardize(event_size, dtype=dtype))
        for block, seed in enumerate(split_seed(options["seed"], num_blocks)):
            network = CausalTransformer(
                transformer.num_parameters,
                num_tokens,
                token_size,
                num_layers=num_layers,
                num_units=num_units,
                num_heads=num_heads,
                context_size=context_size,
                reverse=block % 2 == 1,
                seed=seed,
                dtype=check_network_dtype("network_dtype", options["network_dtype"], dtype),
            )
            conditioner = Conditioner(network, event_size, context_size=context_size)
            steps.append(
                MaskedAutoregressive(event_size, conditioner, transformer, dtype=dtype)
            )
        if len(shape) == 2:
            steps.append(_reshape([event_size], shape))
        super().__init__(
            steps,
            standardize_context=options["standardize_context"],
            recompute=options["recompute"],
            parameters=parameters,
            name=name,
        )


def _token_shape(
    event_shape: int | Sequence[int], patch_size: int | None
) -> tuple[tuple[int, ...], tuple[int, int]]:
    """Returns the shape of an event, and `(T, D)`."""
    shape = check_event_shape("event_shape", event_shape)
    if patch_size is not None:
        check_size("patch_size", patch_size)
        is_divided = len(shape) == 3 and not any(n % patch_size for n in shape[:2])
        expected = f"`event_shape` of (H, W, C), H and W divisible by {patch_size}"
        require(is_divided, expected, shape)
        height, width, channels = shape
        num_tokens = (height // patch_size) * (width // patch_size)
        return shape, (num_tokens, patch_size**2 * channels)
    expected = "`event_shape` of (T, D) or T, or a `patch_size` for images"
    require(len(shape) <= 2, expected, f"{shape} without a `patch_size`")
    num_tokens, *token_size = shape
    return shape, (num_tokens, math.prod(token_size))


def _from_patches(image_shape: Sequence[int], patch_size: int) -> np.ndarray:
    """Returns the permutation from patches, row by row, to the pixels of an image."""
    height, width, channels = image_shape
    pixels = np.arange(math.prod(image_shape)).reshape(
        height // patch_size, patch_size, width // patch_size, patch_size, channels
    )
    return np.argsort(pixels.transpose(0, 2, 1, 3, 4).ravel())


def _reshape(shape: Sequence[int], latent_shape: Sequence[int]) -> tfp.bijectors.Bijector:
    """Returns the bijector of events of `shape` at the data end, and `latent_shape`."""
    return tfp.bijectors.Reshape(
        event_shape_out=list(shape), event_shape_in=list(latent_shape)
    )
