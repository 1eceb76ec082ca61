"""The one check of hidden layers' widths."""

from collections.abc import Sequence

from tfp_flows.core.arguments import check_widths

__all__ = ["check_hidden_units"]


def check_hidden_units(
    hidden_units: int | Sequence[int], residual: bool
) -> tuple[int, ...]:
    """Returns `hidden_units` as a tuple of integers.

    Args:
      hidden_units: widths of the hidden layers.
      residual: whether all must be equal, and there must be one.

    Raises:
      ValueError: if they are not.
    """
    hidden_units = check_widths("hidden_units", hidden_units)
    if residual and len(set(hidden_units)) != 1:
        raise ValueError(
            "Expected equal `hidden_units`, at least one, in a residual network; got "
            f"{hidden_units}."
        )
    return hidden_units
