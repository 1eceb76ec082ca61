"""Keras variables for the `tf.Variable`s that live in TFP objects."""

import keras

from tfp_flows.networks.conditioner import Conditioner

__all__ = ["SharedVariable", "shared_variables"]


class SharedVariable(keras.Variable):
    """A Keras variable whose value *is* the `tf.Variable` given, not a copy of it.

    Args:
      variable: a `tf.Variable` of a distribution or bijector.
      regularizer: what Keras adds to the loss for it; None if nothing.
    """

    def __init__(self, variable, regularizer=None):
        object.__setattr__(self, "_shared", variable)
        name = variable.name.removesuffix(":0").replace("/", "_")
        super().__init__(
            lambda shape, dtype: None,
            shape=variable.shape,
            dtype=variable.dtype.name,
            trainable=variable.trainable,
            name=name,
        )
        self.regularizer = regularizer

    def _initialize(self, value):
        self._value = self._shared


def shared_variables(*modules):
    """Returns a `SharedVariable` for each variable of `tf.Module`s.

    Those of a network in a `Conditioner` keep their regularisers, so that `model.losses`
    lists them.
    """
    regularizers = {
        variable.value.ref(): variable.regularizer
        for module in modules
        for part in getattr(module, "submodules", ())
        if isinstance(part, Conditioner)
        for variable in part.network.trainable_variables
    }
    variables = (variable for module in modules for variable in module.variables)
    return [SharedVariable(v, regularizers.get(v.ref())) for v in variables]
