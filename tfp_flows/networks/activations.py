"""The one check of an activation."""

from collections.abc import Callable

import keras

from tfp_flows.core.arguments import check_callable

__all__ = ["get_activation"]


def get_activation(activation: str | dict | Callable | None) -> Callable:
    """Returns `activation` as a function: itself, or by its name; None is the identity.

    Raises:
      ValueError: if it is neither a function nor the name of one of Keras's.
    """
    if activation is not None and not isinstance(activation, (str, dict)):
        check_callable("activation", activation, "a function or the name of one of Keras's")
    try:
        return keras.activations.get(activation)
    except ValueError as error:
        raise ValueError(
            f"Expected `activation`, a function or the name of one of Keras's; got "
            f"{activation!r}."
        ) from error
