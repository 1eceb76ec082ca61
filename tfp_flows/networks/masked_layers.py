"""The layers of a MADE network, whose masks follow from degrees."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from tfp_flows.networks.masked_dense import MaskedDense
from tfp_flows.networks.orderings import hidden_degrees

__all__ = ["masked_layers"]


def masked_layers(
    ordering: np.ndarray,
    of_inputs: np.ndarray,
    hidden_units: Sequence[int],
    *,
    num_parameters: int,
    has_context: bool,
    residual: bool,
    degree_seed: int | None,
) -> tuple[list[MaskedDense], MaskedDense]:
    """Returns the layers, the last of which makes the outputs, and the direct connections.

    Args:
      ordering: degree of each variable, `[D]`.
      of_inputs: degree of each input: of one or more for a variable.
      hidden_units: widths of the hidden layers.
      num_parameters: outputs a variable.
      has_context: whether the first layer also sees a context, whose degree is 0.
      residual: whether each hidden layer but the first is a pair.
      degree_seed: integer that hidden degrees are drawn from; None spreads them equally.
    """
    widths = tuple(hidden_units)
    if residual:  # degrees must be the same along the skip connections
        widths = (widths[0],) * (2 * len(widths) - 1)
    # Units of degree 0 see only the context; without one they would be constants.
    lowest = 0 if has_context else 1
    degrees = [of_inputs]
    for index, width in enumerate(widths):
        if residual and index:
            degrees.append(degrees[-1])
            continue
        seed = None if degree_seed is None else [degree_seed, index]
        degrees.append(hidden_degrees(width, len(ordering), lowest=lowest, seed=seed))
        lowest = degrees[-1].min()
    outputs: dict = {"num_copies": num_parameters, "strict": True}
    layers = [MaskedDense(a, b) for a, b in itertools.pairwise(degrees)]
    layers.append(MaskedDense(degrees[-1], ordering, **outputs))
    return layers, MaskedDense(of_inputs, ordering, **outputs)
