"""Objects that refuse to be frozen as a whole, since their networks are frozen instead."""

from tfp_flows.core.arguments import refuse


class FrozenByNetworks:
    """An object that refuses `trainable = False`, which only its networks understand.

    Otherwise Python would store the attribute, and training would go on as before.
    """

    @property
    def trainable(self) -> bool:
        """Whether there are trainable variables; read only."""
        return bool(self.trainable_variables)  # type: ignore[attr-defined]

    @trainable.setter
    def trainable(self, value: bool) -> None:
        refuse(
            "`trainable` to be set on Keras layers or on weights of a Keras model",
            self,
            " `conditioner.network.trainable = False` freezes the network of a step, "
            "`weight.trainable = False` one of `model.weights`. Then call `compile` again.",
        )
