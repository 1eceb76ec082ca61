"""Bijectors and distributions as plain data, and back, without the code that built them."""

from __future__ import annotations

import collections
import inspect
import sys
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.core.saved_names import STOCK
from tfp_flows.core.saved_names import find
from tfp_flows.core.saved_names import find_stock
from tfp_flows.core.saved_names import not_ours

__all__ = ["Configured", "deserialize", "serialize"]

_PLAIN = (type(None), bool, int, float, str)
# Files from before there were these arguments do not say them.
_BEFORE: dict[str, Any] = dict.fromkeys(
    ("standardize_context", "decorrelate", "heavy_tails"), False
)
_BEFORE |= {"knots": (), "kind": "sinh"}


class Configured:
    """A bijector or distribution whose configuration is its constructor's arguments.

    It keeps them as `parameters`.
    """

    parameters: dict

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return dict(self.parameters)

    @classmethod
    def from_config(cls, config: dict) -> Configured:
        """Builds the object that `config` describes."""
        takes = inspect.signature(cls).parameters
        absent = {name: old for name, old in _BEFORE.items() if name in takes}
        return cls(**{**absent, **config})


def serialize(value: Any) -> Any:
    """Returns `value` as nested dicts and lists of JSON's types.

    Args:
      value: plain Python values, arrays, dtypes, dicts and sequences of such; named
        functions; objects with `get_config` (ours; Keras layers); TFP's bijectors and
        distributions, by their `parameters`.

    Raises:
      ValueError: if part of `value` is something else, such as a lambda.

    Functions and classes are named by their modules, and found there again: bijectors,
    transformers and functions of one's own need no registration. A Keras layer of one's own
    that is part of another Keras layer is Keras's to find, and so is registered with Keras:

    >>> import keras
    >>> import numpy as np
    >>> import tfp_flows
    >>> def gentle_scale(s):
    ...     return 0.5 * tfp_flows.transformers.soft_bounded_scale(s)
    >>> @keras.saving.register_keras_serializable(package="example")
    ... class Doubled(keras.layers.Layer):
    ...     def call(self, x):
    ...         return 2.0 * x
    >>> network = keras.Sequential([Doubled(), keras.layers.Dense(2)])
    >>> step = tfp_flows.Coupling(
    ...     [True, False],
    ...     tfp_flows.Conditioner(network, input_shape=1),
    ...     tfp_flows.Affine(gentle_scale),
    ... )
    >>> base = tfp_flows.standard_normal(2)
    >>> model = tfp_flows.DensityEstimator(tfp_flows.FlowDistribution(base, step))
    >>> model.save("step.keras")
    >>> loaded = keras.saving.load_model("step.keras")
    >>> x = np.array([[1.0, 2.0]], np.float32)
    >>> bool(loaded(x) == model(x))
    True
    """
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, (np.integer, np.bool_)):
        return value.item()  # an array could not be a number of steps
    if isinstance(value, tfp.util.TransformedVariable):
        return {
            "transformed_variable": serialize(value.pretransformed_input),
            "bijector": serialize(value.bijector),
            "dtype": serialize(value.dtype),
        }
    if isinstance(value, tf.TensorShape):
        return {"shape": value.as_list()}
    if isinstance(value, tf.Variable):
        return {"variable": serialize(value.numpy()), "trainable": value.trainable}
    if isinstance(value, (np.generic, np.ndarray, tf.Tensor)):
        array = np.asarray(value)
        return {"array": array.tolist(), "dtype": array.dtype.name}
    if isinstance(value, tf.DType):
        return {"tf_dtype": value.name}
    if isinstance(value, dict):
        return {"dict": {k: serialize(v) for k, v in value.items()}}
    if hasattr(value, "_fields"):
        names = {"name": type(value).__name__, "fields": list(value._fields)}
        return {"named": [serialize(v) for v in value], **names}
    if isinstance(value, (list, tuple)):
        kind = "tuple" if isinstance(value, tuple) else "list"
        return {kind: [serialize(v) for v in value]}
    return _serialize_object(value)


def deserialize(data: Any) -> Any:
    """Rebuilds what `serialize` has described; weights come back from a checkpoint.

    Only modules that are loaded already are looked into, so that reading a file never
    imports code: import your own bijectors' module before you load a flow that has them.

    A file may come from anyone. So nothing of Python's standard library is called or handed
    on, and of classes only those are made that say what they are made of (`get_config`).

    Raises:
      ValueError: if a class or function named in `data` is not to be found, or is none of
        those that `serialize` writes.
    """
    if isinstance(data, _PLAIN):
        return data
    if not isinstance(data, dict) or not data:
        raise ValueError(f"Expected what `serialize` writes in a saved file; got {data!r}.")
    kind, content = next(iter(data.items()))
    if kind == "variable":
        return tf.Variable(deserialize(content), trainable=data["trainable"])
    if kind == "transformed_variable":
        return _transformed_variable(deserialize(content), data)
    if kind == "shape":
        return tf.TensorShape(content)
    if kind == "named":
        name, fields = data["name"], data["fields"]
        named = collections.namedtuple(name, fields)  # type: ignore[misc]  # as saved
        return named(*map(deserialize, content))
    if kind == "array":
        return np.asarray(content, dtype=data["dtype"])
    if kind == "tf_dtype":
        return tf.as_dtype(content)
    if kind == "dict":
        return {k: deserialize(v) for k, v in content.items()}
    if kind in ("list", "tuple"):
        return {"list": list, "tuple": tuple}[kind](map(deserialize, content))
    if kind == "stock":
        return find_stock(content, data["name"])(**deserialize(data["parameters"]))
    if kind != "module":
        raise ValueError(f"Expected a kind of value that `serialize` writes; got {kind!r}.")
    found = find(content, data.get("name", ""))
    if "config" not in data:
        return found
    if not (isinstance(found, type) and hasattr(found, "get_config")):
        raise not_ours(content, data["name"])
    config = data["config"] if _is_keras(found) else deserialize(data["config"])
    return found.from_config(config) if hasattr(found, "from_config") else found(**config)


def _transformed_variable(before, data):
    bijector, dtype = deserialize(data["bijector"]), deserialize(data["dtype"])
    made = tfp.util.TransformedVariable(
        bijector.forward(before), bijector, dtype=dtype, trainable=before.trainable
    )
    made.pretransformed_input.assign(before)  # which rounding may have moved
    return made


def _serialize_object(value):
    where = {"module": getattr(value, "__module__", ""), "name": _qualified_name(value)}
    if callable(value) and where["name"].isidentifier() and _is_named(value, where):
        return where
    if hasattr(value, "get_config"):
        name = {"module": type(value).__module__, "name": type(value).__qualname__}
        config = value.get_config()
        # Keras has its own plain form of what its layers are made of.
        return {**name, "config": config if _is_keras(type(value)) else serialize(config)}
    for part, module in STOCK.items():
        name = _stock_name(value, module)
        if name:
            return {"stock": part, "name": name, "parameters": serialize(_given(value))}
    raise ValueError(
        f"Expected values that can be saved, or objects with `get_config`; got {value!r}."
    )


def _qualified_name(value):
    return getattr(value, "__qualname__", "")


def _is_named(function, where):
    return getattr(sys.modules.get(where["module"]), where["name"], None) is function


def _stock_name(value, module):
    # Where a part is no `CompositeTensor`, TFP builds the base `_Name` of class `Name`.
    name = type(value).__name__.removeprefix("_")
    stock = getattr(module, name, None)
    return name if isinstance(stock, type) and type(value) in stock.__mro__ else None


def _given(value):
    """The arguments of a stock object that matter, without its functions."""
    return {
        k: v
        for k, v in value.parameters.items()
        if v is not None and k not in ("name", "kwargs_split_fn")
    }


def _is_keras(cls):
    return any(base.__module__.startswith("keras.") for base in cls.__mro__)
