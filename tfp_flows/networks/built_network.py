"""A first call of a user's network, which creates all its weights."""

from __future__ import annotations

import inspect
from typing import Any

import keras
import tensorflow as tf

# Rows of the first call. Two rows reveal a network that mixes or drops rows.
_NUM_ROWS = 2


def call_once(network: keras.Layer, *shapes: tuple, argument: str = "network") -> tuple:
    """Calls a Keras layer with zeros, and returns the shape of a row of its output.

    Keras creates the weights of many layers in their first call, for example of a
    subclassed `keras.Model`. Before that call a network does not list these weights, so
    they would be neither trained nor saved. Each argument has the shape of a row, or a list
    of shapes. A network is refused if it does not return one row for each, or has weights
    that Keras does not find.
    """
    inputs = [_zeros(shape, network.compute_dtype) for shape in shapes]
    expected = f"Expected a `{argument}` that takes {_written(list(shapes))}"
    try:
        with tf.GradientTape() as tape:
            outputs = network(*inputs, training=False)
    except Exception as error:
        raise ValueError(
            f"{expected}; got `{network.name}`, whose call fails: {error}"
        ) from error
    if not tf.is_tensor(outputs) or outputs.shape.rank < 2 or len(outputs) != _NUM_ROWS:
        result = f"shape {outputs.shape}" if tf.is_tensor(outputs) else f"{type(outputs)}"
        raise ValueError(
            f"{expected} and returns one tensor with a row for each; got `{network.name}`, "
            f"which returns {result} for {_NUM_ROWS} rows."
        )
    listed = {v.ref() for variable in network.variables for v in _copies(variable.value)}
    lost = [v.name for v in tape.watched_variables() if v.ref() not in listed]
    # Under a strategy, replicas have their own variables with other references.
    if lost and not tf.distribute.has_strategy():
        raise ValueError(
            f"Expected a `{argument}` whose weights Keras finds; got `{network.name}`, "
            f"which uses {len(lost)} that would be neither trained nor saved ({lost[0]}). "
            "Make its layers attributes of it in `__init__`, and variables by "
            "`self.add_weight`."
        )
    return tuple(outputs.shape[1:])


def check_can_be_rebuilt(network: keras.Layer, *shapes: tuple) -> None:
    """Refuses to save a network that its own configuration does not build again.

    `call_once` has called it, with these shapes. Networks of this package pass.
    """
    if is_of_this_package(network):
        return
    kind = type(network).__name__
    advice = (
        f"Give `{kind}` a `get_config` of all that its constructor takes, a constructor "
        "that hands `**kwargs` to `super().__init__`, and `register_keras_serializable`."
    )
    expected = "Expected a network to save that `from_config(get_config())` builds again"
    # Unregistered classes and functions are allowed: `load` finds them in modules that the
    # user names.
    layers = list(network._flatten_layers())
    named: dict[str, Any] = {type(layer).__name__: type(layer) for layer in layers}
    values = [value for layer in layers for value in vars(layer).values()]
    named |= {value.__name__: value for value in values if inspect.isfunction(value)}
    try:
        with keras.saving.custom_object_scope(named):
            twin = type(network).from_config(network.get_config())
        call_once(twin, *shapes)
    except Exception as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{expected}; got a `{kind}`: {reason} {advice}") from error
    before, after = ([tuple(v.shape) for v in n.variables] for n in (network, twin))
    if before != after:
        raise ValueError(
            f"{expected}; got a `{kind}` with weights of shapes {before}, and {after} "
            f"when built again. {advice}"
        )


def is_of_this_package(network: keras.Layer) -> bool:
    """Whether the class is ours: its networks have all their weights when built."""
    package, *_ = __name__.split(".")
    return type(network).__module__.split(".")[0] == package


def _copies(variable):
    """The variable, or its copies on replicas if a strategy has created it."""
    if isinstance(variable, tf.distribute.DistributedValues):
        return variable.distribute_strategy.experimental_local_results(variable)
    return [variable]


def _written(shape: Any) -> str:
    if isinstance(shape, list):
        return " and ".join(map(_written, shape))
    return f"[N, {', '.join(map(str, shape))}]"


def _zeros(shape: Any, dtype: str) -> Any:
    if isinstance(shape, list):
        return [_zeros(part, dtype) for part in shape]
    return tf.zeros([_NUM_ROWS, *shape], dtype)
