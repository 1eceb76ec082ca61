"""What TensorFlow carries through its functions, loops and branches, with its weights."""

import tensorflow as tf
import tensorflow_probability as tfp

__all__ = ["Carried"]


class Carried(tfp.experimental.AutoCompositeTensor):
    """A composite tensor of variables that comes out as the object that went in.

    TFP rebuilds its own from the arguments of their constructors, which would be new
    weights where the constructor makes them. Mixed into a `tf.Module`.
    """

    @property
    def _type_spec(self):
        return _CarriedSpec(self, [tf.type_spec_from_value(c) for c in self._components])

    @property
    def _components(self):
        return self.__dict__.get("_tensors", self.variables)

    def _convert_variables_to_tensors(self):
        converted = object.__new__(type(self))
        converted.__dict__.update(self.__dict__)
        tensors = tuple(tf.convert_to_tensor(v) for v in self.variables)
        object.__setattr__(converted, "_tensors", tensors)
        object.__setattr__(converted, "_carries", self)
        return converted


class _CarriedSpec(tf.TypeSpec):
    """The type of one object, which is equal to no other."""

    value_type = property(lambda self: Carried)

    def __init__(self, value, component_specs):
        self._value = value.__dict__.get("_carries", value)
        self._specs = component_specs

    @property
    def _component_specs(self):
        return self._specs

    def _to_components(self, value):
        return value._components

    def _from_components(self, components):
        return self._value

    def _serialize(self):
        return id(self._value), self._specs

    def is_subtype_of(self, other):
        return self == other

    def most_specific_common_supertype(self, others):
        return self if all(self == other for other in others) else None
