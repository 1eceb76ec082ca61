"""A coupling on vectors, its network included."""

import numpy as np

from tfp_flows.bijectors.coupling import Coupling
from tfp_flows.networks.conditioner import Conditioner
from tfp_flows.networks.mlp import MLP

__all__ = ["vector_coupling"]


def vector_coupling(
    mask, transformer, hidden_units, *, activation, residual, context_size, seed, dtype
):
    """Builds a `Coupling` whose conditioner is an `MLP` of the sizes that `mask` asks for.

    Args:
      mask: boolean array, `[D]`; True passes unchanged.
      transformer: elementwise map of the others.
      hidden_units: widths of the MLP's hidden layers.
      activation: its activation.
      residual: whether it is residual.
      context_size: width of the context; 0 if there is none.
      seed: integer that determines its weights, or None.
      dtype: of inputs and weights.
    """
    passing = int(np.sum(mask))
    network = MLP(
        transformer.num_parameters * (len(mask) - passing),
        hidden_units,
        activation=activation,
        residual=residual,
        seed=seed,
        # An explicit dtype, so that a global mixed-precision policy cannot reach log-dets.
        dtype=dtype.name,
    )
    conditioner = Conditioner(network, passing, context_size=context_size)
    return Coupling(mask, conditioner, transformer, dtype=dtype)
