"""What a network of a conditioner would do in training only, and does not do there."""

import warnings

import keras

__all__ = ["check_training_behaviour"]

_NOISE = (
    keras.layers.AlphaDropout,
    keras.layers.Dropout,
    keras.layers.GaussianDropout,
    keras.layers.GaussianNoise,
    keras.layers.SpatialDropout1D,
    keras.layers.SpatialDropout2D,
    keras.layers.SpatialDropout3D,
)


def check_training_behaviour(network: keras.Layer, dropout_in_training: bool) -> None:
    """Warns of layers that have no effect in a conditioner, or refuses them.

    Args:
      network: a built `keras.layers.Layer`.
      dropout_in_training: as of `Conditioner`.

    Raises:
      ValueError: with `dropout_in_training`, if there is no dropout; or if there is batch
        normalisation, which would make the density of a row depend on the others.
    """
    # Keras has no public way to list the layers inside a layer.
    layers = list(network._flatten_layers())
    noise = _names(layer for layer in layers if isinstance(layer, _NOISE))
    batch_norm = _names(
        layer for layer in layers if isinstance(layer, keras.layers.BatchNormalization)
    )
    penalties = _names(
        layer for layer in layers if getattr(layer, "activity_regularizer", None)
    )
    if dropout_in_training and not noise:
        raise ValueError(
            "Expected a `network` with dropout for `dropout_in_training`; got none."
        )
    if dropout_in_training and batch_norm:
        raise ValueError(
            "Expected a `network` without batch normalisation for `dropout_in_training`, "
            f"since a density must not depend on other rows; got {batch_norm}."
        )
    if noise and not dropout_in_training:
        _warn(noise, "dropout is never applied; `dropout_in_training=True` would apply it")
    if batch_norm:
        _warn(batch_norm, "batch normalisation never updates its averages")
    if penalties:
        _warn(penalties, "a penalty on activations is not part of any loss")


def _names(layers):
    return [layer.name for layer in layers]


def _warn(names, what):
    warnings.warn(
        f"Layers {names} of a conditioner's network have no effect, since it is called in "
        f"evaluation mode: {what}.",
        stacklevel=4,
    )
