"""The variables of `tf.Module`s as weights of a Keras model, without copies."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import tensorflow as tf

from tfp_flows.networks.conditioner import Conditioner


class SharedVariable(keras.Variable):
    """A Keras variable whose value *is* the given `tf.Variable`, not a copy of it."""

    def __init__(self, variable: tf.Variable) -> None:
        self.shared = variable
        self._layer_variable: keras.Variable | None = None
        name = variable.name.removesuffix(":0").replace("/", "_")
        super().__init__(
            lambda shape, dtype: None,
            shape=variable.shape,
            dtype=variable.dtype.name,
            trainable=variable.trainable,
            name=name,
        )

    def follow(self, variable: keras.Variable) -> None:
        """Takes over regulariser, constraint and trainability of a layer's variable.

        While the layer's variable, which has the same value, is not trainable, this one is
        not either.
        """
        self._layer_variable = variable
        self.regularizer, self.constraint = variable.regularizer, variable.constraint

    @property
    def trainable(self) -> bool:
        """Whether training changes the variable."""
        followed = self._layer_variable
        return super().trainable and (followed is None or followed.trainable)

    @trainable.setter
    def trainable(self, value: bool) -> None:
        keras.Variable.trainable.fset(self, value)

    def _initialize(self, value):
        self._value = self.shared


def shared_variables(*modules: tf.Module) -> list[SharedVariable]:
    """Returns a `SharedVariable` for each variable of `tf.Module`s, each once."""
    variables = {v.ref(): v for module in modules for v in module.variables}
    return [SharedVariable(variable) for variable in variables.values()]


def follow_layers(variables: Sequence[SharedVariable], *modules: tf.Module) -> None:
    """Lets the variables of networks in `Conditioner`s follow their layers' variables."""
    by_ref = {
        variable.value.ref(): variable
        for module in modules
        for part in getattr(module, "submodules", ())
        if isinstance(part, Conditioner)
        for variable in part.network.variables
    }
    for variable in variables:
        if variable.value.ref() in by_ref:
            variable.follow(by_ref[variable.value.ref()])
