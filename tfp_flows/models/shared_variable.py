"""A Keras variable for a `tf.Variable` that lives in a TFP object."""

import keras

__all__ = ["SharedVariable"]


class SharedVariable(keras.Variable):
    """A Keras variable whose value *is* the `tf.Variable` given, not a copy of it.

    Args:
      variable: a `tf.Variable` of a distribution or bijector.
    """

    def __init__(self, variable):
        object.__setattr__(self, "_shared", variable)
        name = variable.name.removesuffix(":0").replace("/", "_")
        super().__init__(
            lambda shape, dtype: None,
            shape=variable.shape,
            dtype=variable.dtype.name,
            trainable=variable.trainable,
            name=name,
        )

    def _initialize(self, value):
        self._value = self._shared
