"""The autoregressive conditioner of a step of MADE, MAF or IAF."""

from tfp_flows.networks.conditioner import Conditioner
from tfp_flows.networks.masked_mlp import MaskedMLP
from tfp_flows.networks.orderings import natural_ordering
from tfp_flows.networks.orderings import reversed_ordering

__all__ = ["masked_conditioner"]


def masked_conditioner(
    event_size,
    transformer,
    hidden_units,
    *,
    reverse,
    activation,
    residual,
    direct,
    degree_seed,
    context_size,
    seed,
    dtype,
):
    """Builds a `Conditioner` of a `MaskedMLP`.

    Args:
      event_size: number of variables, D.
      transformer: what its parameters are for.
      hidden_units: widths of the hidden layers.
      reverse: whether the last variable comes first.
      activation: of the hidden layers.
      residual: whether they are residual.
      direct: whether inputs are connected to outputs directly, too.
      degree_seed: integer that hidden degrees are drawn from; None spreads them equally.
      context_size: width of the context; 0 if there is none.
      seed: integer that determines the initial weights, or None.
      dtype: of inputs and weights.
    """
    ordering = reversed_ordering if reverse else natural_ordering
    network = MaskedMLP(
        transformer.num_parameters,
        hidden_units,
        ordering(event_size),
        context_size=context_size,
        activation=activation,
        residual=residual,
        direct=direct,
        degree_seed=degree_seed,
        seed=seed,
        dtype=dtype.name,
    )
    return Conditioner(network, event_size, context_size=context_size)
