"""A coupling on images, its network included."""

import numpy as np

from tfp_flows.bijectors.coupling import Coupling
from tfp_flows.networks.conditioner import Conditioner

__all__ = ["image_coupling"]


def image_coupling(mask, transformer, make_network, *, context_size, dtype):
    """Builds a `Coupling` whose conditioner is of the sizes that `mask` asks for.

    Args:
      mask: boolean array, `[H, W, C]`; True passes unchanged. Where it parts the channels,
        the network sees the passing ones only.
      transformer: elementwise map of the others.
      make_network: function from the number of output channels to a Keras layer.
      context_size: width of the context; 0 if there is none.
      dtype: of inputs and weights.
    """
    of_channels = mask[0, 0]
    seen, changing = mask.shape[-1], mask.shape[-1]
    if (mask == of_channels).all():
        seen, changing = int(np.sum(of_channels)), int(np.sum(~of_channels))
    network = make_network(transformer.num_parameters * changing)
    conditioner = Conditioner(network, (*mask.shape[:2], seen), context_size=context_size)
    return Coupling(mask, conditioner, transformer, dtype=dtype)
