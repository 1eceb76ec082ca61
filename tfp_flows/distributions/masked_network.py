"""The network of an autoregressive distribution, under one mask or a cycle of them."""

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt
import tensorflow as tf

from tfp_flows.core.arguments import check_arguments
from tfp_flows.networks.mask_cycle_mlp import MaskCycleMLP
from tfp_flows.networks.masked_mlp import MaskedMLP
from tfp_flows.networks.orderings import check_ordering
from tfp_flows.networks.orderings import natural_ordering
from tfp_flows.networks.seeds import split_seed

__all__ = ["check_network", "masked_network"]


def masked_network(
    event_size: int,
    conditional: Any,
    hidden_units: int | Sequence[int],
    *,
    ordering: npt.ArrayLike | None,
    num_masks: int,
    **options: Any,
) -> MaskedMLP:
    """Builds a `MaskedMLP`, or a `MaskCycleMLP` for more than one mask.

    Args:
      event_size: number of variables, D.
      conditional: the family that its outputs parameterise.
      hidden_units: widths of the hidden layers.
      ordering: degree of each variable; None: natural under one mask, drawn under several.
      num_masks: number of masks.
      **options: `activation`, `residual`, `direct`, `context_size`, `seed`, `dtype`.

    Raises:
      ValueError: if `event_size` or `num_masks` is below 1.
    """
    check_arguments({"event_size": event_size, "num_masks": num_masks, **options})
    options["dtype"] = tf.as_dtype(options["dtype"]).name
    if ordering is not None:
        check_ordering(ordering, event_size)
    parameters = conditional.num_parameters
    if num_masks == 1:
        ordering = natural_ordering(event_size) if ordering is None else ordering
        return MaskedMLP(parameters, hidden_units, ordering, **options)
    options["seed"], mask_seed = split_seed(options["seed"], 2)
    return MaskCycleMLP(
        parameters,
        hidden_units,
        event_size,
        num_masks=num_masks,
        fixed_ordering=ordering,
        mask_seed=mask_seed,
        **options,
    )


def check_network(network: Any, conditional: Any) -> None:
    """Raises `ValueError` unless `network` has the parameters that `conditional` wants."""
    wanted = conditional.num_parameters
    if (got := getattr(network, "num_parameters", network)) != wanted:
        raise ValueError(
            f"Expected a `network` of {wanted} parameters a variable; got {got}."
        )
