"""Dropout in our own networks."""

import keras

from tfp_flows.core.arguments import check_number

__all__ = ["dropout_layer"]


def dropout_layer(dropout: float, seed: int | None, dtype: str) -> keras.Layer:
    """Returns the layer that drops a share of the units in training.

    Args:
      dropout: the share, from 0 to below 1; at 0 the layer does nothing and has no state.
      seed: integer that what is dropped is drawn from; random if None.
      dtype: of the network.
    """
    check_number("dropout", dropout, "from 0 to below 1", lambda share: 0.0 <= share < 1.0)
    if not dropout:
        return keras.layers.Identity(dtype=dtype)
    return keras.layers.Dropout(dropout, seed=seed, dtype=dtype)
