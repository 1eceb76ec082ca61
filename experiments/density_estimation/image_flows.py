"""Flows on images for data of rows: `[N, D]` outside, `[N, H, W, C]` inside."""

import tensorflow_probability as tfp

import tfp_flows
from experiments.command_line.usage import UsageError
from experiments.data import DataError

__all__ = ["glow", "real_nvp_image"]


def glow(
    event_size,
    *,
    image_shape,
    num_levels,
    num_steps,
    hidden_channels,
    recompute,
    context_size,
    standardize_context,
    seed,
):
    """Returns `Glow` on rows of `event_size` entries."""
    return _on_rows(
        tfp_flows.Glow,
        event_size,
        image_shape,
        num_levels,
        num_steps=num_steps,
        hidden_channels=hidden_channels,
        recompute=recompute,
        context_size=context_size,
        standardize_context=standardize_context,
        seed=seed,
    )


def real_nvp_image(
    event_size,
    *,
    image_shape,
    num_levels,
    num_blocks,
    hidden_channels,
    batch_norm,
    act_norm,
    recompute,
    context_size,
    standardize_context,
    seed,
):
    """Returns `RealNVPImage` on rows of `event_size` entries."""
    return _on_rows(
        tfp_flows.RealNVPImage,
        event_size,
        image_shape,
        num_levels,
        num_blocks=num_blocks,
        hidden_channels=hidden_channels,
        batch_norm=batch_norm,
        act_norm=act_norm,
        recompute=recompute,
        context_size=context_size,
        standardize_context=standardize_context,
        seed=seed,
    )


def _on_rows(flow, event_size, image_shape, num_levels, **arguments):
    if image_shape is None:
        raise DataError("Expected a data set of images for this flow; got one of rows.")
    image_shape = (*image_shape, event_size // (image_shape[0] * image_shape[1]))
    try:
        images = flow(image_shape, num_levels, **arguments)
    except ValueError as error:
        raise UsageError(str(error)) from error
    rows = tfp.bijectors.Reshape(
        event_shape_out=[event_size], event_shape_in=list(image_shape)
    )
    # The images' flow standardises its contexts itself, or is not to.
    return tfp_flows.FlowChain([rows, images], standardize_context=False)
