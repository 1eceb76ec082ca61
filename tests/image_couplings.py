"""Couplings on images, with tiny networks."""

import keras
import numpy as np

import tfp_flows as tff
from tfp_flows import masks

CHECKERBOARD = masks.checkerboard((4, 4, 2))
CHANNELS = np.zeros((2, 3, 4), bool) | np.array([True, False, True, False])


def checkerboard(dtype, context_size=0):
    network = keras.layers.Conv2D(4, 3, padding="same", dtype=dtype)
    conditioner = tff.Conditioner(network, (4, 4, 2), context_size=context_size)
    return tff.Coupling(CHECKERBOARD, conditioner, dtype=dtype)


def channels(dtype, context_size=0):
    network = keras.layers.Dense(4, dtype=dtype)
    conditioner = tff.Conditioner(network, (2, 3, 2), context_size=context_size)
    return tff.Coupling(CHANNELS, conditioner, dtype=dtype)


def with_conv_net(mask, network, dtype, context_size=0):
    """A coupling on images; `network(channels)` builds it for so many outputs."""
    seen = mask.shape
    if (mask == mask[:1, :1]).all():
        seen = (*mask.shape[:2], int(mask[0, 0].sum()))
        channels = int((~mask[0, 0]).sum())
    else:
        channels = mask.shape[-1]
    conditioner = tff.Conditioner(network(2 * channels), seen, context_size=context_size)
    return tff.Coupling(mask, conditioner, dtype=dtype)


def conv_net(dtype, context_size=0):
    mask = masks.channel_half((3, 2, 3), start=False)
    return with_conv_net(
        mask, lambda c: tff.networks.ConvNet(c, 4, seed=1, dtype=dtype), dtype, context_size
    )


def res_net(dtype, context_size=0):
    mask = masks.checkerboard((2, 4, 2))
    return with_conv_net(
        mask,
        lambda c: tff.networks.ResNet(
            c, 2, num_blocks=1, mask=mask[..., :1], tanh_scale=0.0, seed=1, dtype=dtype
        ),
        dtype,
        context_size,
    )
