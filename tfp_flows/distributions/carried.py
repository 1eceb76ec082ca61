"""Composite tensors that keep their weights in TensorFlow's functions and loops."""

from __future__ import annotations

import weakref

import tensorflow as tf
import tensorflow_probability as tfp

__all__ = ["Carried"]

# TensorFlow takes specs apart and puts them together, by plain values.
_CARRIED: weakref.WeakValueDictionary = weakref.WeakValueDictionary()


class Carried(tfp.experimental.AutoCompositeTensor):
    """A composite tensor that comes out as it went in, with the same weights.

    TFP rebuilds composite tensors from their constructor arguments, which would make new
    weights here. Mixed into a `tf.Module`.
    """

    @property
    def _type_spec(self):
        return _CarriedSpec(self, tuple(map(tf.type_spec_from_value, self._components)))

    @property
    def _components(self):
        return self.__dict__.get("_carried_components", self.variables)

    @property
    def _carried(self):
        return self.__dict__.get("_carried_object", self)

    def _convert_variables_to_tensors(self):
        # The object's own variables, since their placeholders in a graph do not outlive it.
        values = map(tf.convert_to_tensor, self._carried.variables)
        return _with_components(self._carried, values)


class _CarriedSpec(tf.TypeSpec):
    """The type of one object only."""

    value_type = property(lambda self: Carried)

    def __init__(self, value, component_specs):
        self._value = value._carried
        self._specs = component_specs
        _CARRIED[id(self._value)] = self._value

    @property
    def _component_specs(self):
        return self._specs

    def _to_components(self, value):
        return value._components

    def _from_components(self, components):
        return _with_components(self._value, components)

    def _serialize(self):
        return id(self._value), self._specs

    @classmethod
    def _deserialize(cls, encoded):
        key, specs = encoded
        return cls(_CARRIED[key], specs)

    def is_subtype_of(self, other):
        return self._is_of_one_with(other) and all(
            a.is_subtype_of(b) for a, b in zip(self._specs, other._specs, strict=True)
        )

    def most_specific_common_supertype(self, others):
        if not all(map(self._is_of_one_with, others)):
            return None
        specs = tuple(
            first.most_specific_common_supertype(rest)
            for first, *rest in zip(*(s._specs for s in (self, *others)), strict=True)
        )
        return None if None in specs else _CarriedSpec(self._value, specs)

    def _is_of_one_with(self, other):
        return isinstance(other, _CarriedSpec) and self._value is other._value


def _with_components(value, components):
    """A shallow copy of `value` with TensorFlow's components in place of its variables."""
    same = object.__new__(type(value))
    same.__dict__.update(value.__dict__)
    same.__dict__.update(_carried_object=value, _carried_components=tuple(components))
    return same
