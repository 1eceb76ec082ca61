"""Bijectors and distributions as plain data and back, without the code that built them."""

from __future__ import annotations

import collections
import inspect
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.core import saved_names
from tfp_flows.core.arguments import refuse
from tfp_flows.core.saved_names import PLAIN, STOCK, refused

# Format of saved models, which is raised when older versions could not read new files.
FORMAT = 1

_NUMBERS = (bool, int, float, complex, np.generic)
# First key of each object of a file, with the type of its value.
_CONTENTS: dict[str, Any] = dict.fromkeys(
    ("module", "registered", "stock", "tf_dtype"), str
)
_CONTENTS |= {"shape": (list, type(None)), "array": (*PLAIN, list), "dict": dict}
_CONTENTS |= dict.fromkeys(("list", "tuple", "named"), list)
_CONTENTS |= dict.fromkeys(("variable", "transformed_variable"), (*PLAIN, dict))


class Configured:
    """A bijector or distribution that keeps its constructor's arguments as `parameters`."""

    parameters: dict

    def get_config(self) -> dict:
        """Returns the constructor's arguments, without functions that are defaults."""
        defaults = _defaults(type(self))
        return {
            k: v
            for k, v in self.parameters.items()
            if not (callable(v) and v is defaults.get(k))
        }

    @classmethod
    def from_config(cls, config: dict) -> Configured:
        """Builds the object that `config` describes."""
        return cls(**config)


class ConfiguredByAttributes(Configured):
    """An object that keeps its constructor's arguments as attributes of the same names."""

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        names = inspect.signature(type(self)).parameters
        return {name: getattr(self, name) for name in names}


class RebuiltFromConfig:
    """An object whose copies and pickles are rebuilt from its configuration and weights.

    Stock distributions and bijectors cannot be rebuilt from their attributes.
    """

    def __reduce__(self) -> tuple:
        this: Any = self
        return rebuild_copy, (serialize(this), [v.numpy() for v in this.variables])


def serialize(value: Any) -> Any:
    """Returns `value` as nested dicts and lists of JSON's types.

    Args:
      value: plain Python values, arrays, dtypes; named functions; objects with `get_config`
        (ours; Keras layers); TFP's bijectors and distributions, by their `parameters`;
        dicts and sequences of all these.

    Raises:
      ValueError: if part of `value` is something else, such as a lambda, or belongs to
        `tf_keras`.

    Register bijectors, transformers, layers and functions of your own with Keras. A file
    that names others is refused, unless the reader names their module:
    `tfp_flows.load(path, custom_modules=[module])`.

    >>> import keras
    >>> import numpy as np
    >>> import tfp_flows
    >>> @keras.saving.register_keras_serializable(package="example")
    ... def gentle_scale(s):
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
    >>> loaded = tfp_flows.load("step.keras")
    >>> x = np.array([[1.0, 2.0]], np.float32)
    >>> bool(loaded(x) == model(x))
    True
    """
    if isinstance(value, PLAIN):
        return value
    if isinstance(value, (np.integer, np.bool_)):
        return value.item()  # constructors refuse an array where they expect an integer
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
    """Rebuilds the objects that `serialize` has described; weights come from a checkpoint.

    A file may come from anyone, so it may only name classes of this package with a
    configuration; Keras 3 objects, which Keras builds in its safe mode; TFP's bijectors and
    distributions with plain parameters; functions of `tf.math`, `tf.nn`, `keras.ops` and
    `keras.activations`; objects that are registered with Keras; and objects of modules that
    the caller names. All names are checked before anything is built.

    Raises:
      ValueError: if `data` holds something else, or describes an object that cannot be
        built.
    """
    try:
        check_saved(data)
        return _build(data)
    except ValueError:
        raise
    except Exception as error:  # a constructor may raise anything for hostile arguments
        raise ValueError(
            f"Expected what `serialize` writes in a saved file; got what raises "
            f"{type(error).__name__}: {error}"
        ) from error


def rebuild_copy(data: Any, values: list[np.ndarray]) -> Any:
    """Rebuilds a copy or pickle, which may name any class that this process has loaded."""
    with saved_names.custom_modules(None):
        rebuilt = deserialize(data)
    for variable, value in zip(rebuilt.variables, values, strict=True):
        variable.assign(value)
    return rebuilt


def check_saved(data: Any) -> None:
    """Raises `ValueError` if `data` names an object that a file may not name."""
    waiting = [(data, 0)]
    while waiting:
        value, depth = waiting.pop()
        saved_names.check_depth(depth)
        if not isinstance(value, PLAIN):
            waiting += [(part, depth + 1) for part in _checked_parts(value)]


def check_format(config: dict) -> None:
    """Raises `ValueError` unless this version reads the format of a saved model."""
    saved = config.get("format")
    if type(saved) is not int or saved < 1:
        hint = " Versions from 0.2.0 on write one."
        refuse("a saved model with a `format` number", saved, hint)
    if saved > FORMAT:
        raise ValueError(
            f"saved by a newer version (format {saved}; this version reads up to {FORMAT})"
        )


def _checked_parts(data):
    """Checks one object of a file, and returns its parts unchecked."""
    kind, content = _kind(data)
    if kind in ("variable", "transformed_variable"):
        return [content, data.get("bijector"), data.get("dtype")]
    if kind in ("dict", "list", "tuple", "named"):
        if kind == "named":
            _named_tuple(data)
        return list(content.values()) if kind == "dict" else content
    if kind == "shape":
        tf.TensorShape(content)
    elif kind in ("array", "tf_dtype"):
        saved_names.check_numeric_dtype(
            content if kind == "tf_dtype" else data.get("dtype")
        )
    elif kind == "stock":
        saved_names.find_stock(content, data.get("name"))
        _refuse_functions(data["parameters"])
        return [data["parameters"]]
    else:
        named = _named_object(data)
        if "config" in data:
            if saved_names.is_keras(named):
                saved_names.check_keras(_from_keras(named, data["config"]))
            else:
                return [data["config"]]
    return []


def _build(data):
    """Rebuilds data that `check_saved` has checked."""
    if isinstance(data, PLAIN):
        return data
    kind, content = _kind(data)
    if kind == "variable":
        return tf.Variable(_build(content), trainable=data["trainable"])
    if kind == "transformed_variable":
        return _transformed_variable(_build(content), data)
    if kind == "shape":
        return tf.TensorShape(content)
    if kind == "named":
        return _named_tuple(data)(*map(_build, content))
    if kind == "array":
        return np.asarray(content, dtype=data["dtype"])
    if kind == "tf_dtype":
        return tf.as_dtype(content)
    if kind == "dict":
        return {k: _build(v) for k, v in content.items()}
    if kind in ("list", "tuple"):
        return {"list": list, "tuple": tuple}[kind](map(_build, content))
    if kind == "stock":
        return saved_names.find_stock(content, data["name"])(**_build(data["parameters"]))
    named = _named_object(data)
    if "config" not in data:
        return named
    if saved_names.is_keras(named):
        config = _from_keras(named, data["config"])
        return keras.saving.deserialize_keras_object(
            config, custom_objects=saved_names.check_keras(config), safe_mode=True
        )
    config = _build(data["config"])
    return named.from_config(config) if hasattr(named, "from_config") else named(**config)


def _kind(data):
    """Returns the first key of an object of a file, which is its kind, and its value."""
    if not isinstance(data, dict) or not data:
        raise ValueError(f"Expected what `serialize` writes in a saved file; got {data!r}.")
    kind, content = next(iter(data.items()))
    expected = _CONTENTS.get(kind)
    if expected is None or not isinstance(content, expected):
        raise ValueError(f"Expected a kind of value that `serialize` writes; got {kind!r}.")
    return kind, content


def _named_object(data):
    kind, content = _kind(data)
    name = data.get("name", "")
    if kind == "registered":
        named = saved_names.find_registered(content)
    else:
        named = saved_names.find(content, name)
    if "config" in data and not (isinstance(named, type) and hasattr(named, "get_config")):
        raise refused(f"{content}.{name}")
    return named


def _from_keras(cls, config):
    """Returns the form that Keras's own files have for an object of that class."""
    return {
        "module": cls.__module__,
        "class_name": cls.__name__,
        "registered_name": keras.saving.get_registered_name(cls),
        "config": config,
    }


def _refuse_functions(parameters):
    """Refuses functions for TFP's bijectors and distributions, which would call them."""
    waiting = [] if saved_names.trusts_all() else [parameters]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        elif isinstance(value, dict) and value:
            kind, content = _kind(value)
            if kind in ("module", "registered") and "config" not in value:
                named = _named_object(value)
                if not (isinstance(named, type) and issubclass(named, _NUMBERS)):
                    raise refused(f"{content}.{value.get('name', '')}")
            if kind in ("dict", "list", "tuple", "named"):
                waiting += content.values() if kind == "dict" else content


def _named_tuple(data):
    name, fields = data["name"], data["fields"]
    names = [name, *fields] if isinstance(fields, list) else [None]
    if len(data["named"]) != len(names) - 1 or not all(
        isinstance(n, str) and n.isidentifier() for n in names
    ):
        raise ValueError(
            f"Expected a named tuple and names of its fields; got {name!r}, {fields!r}."
        )
    return collections.namedtuple(name, fields)


def _transformed_variable(before, data):
    bijector, dtype = _build(data["bijector"]), _build(data["dtype"])
    variable = tfp.util.TransformedVariable(
        bijector.forward(before), bijector, dtype=dtype, trainable=before.trainable
    )
    variable.pretransformed_input.assign(before)  # undoes the rounding of the round trip
    return variable


def _serialize_object(value):
    saved_names.refuse_tf_keras(value)
    name = saved_names.name_to_save(value)
    if name:
        return name
    if hasattr(value, "get_config"):
        cls = type(value)
        local = {"module": cls.__module__, "name": cls.__qualname__}
        config = value.get_config()
        # Keras has its own plain form for the parts of its layers.
        config = config if saved_names.is_keras(cls) else serialize(config)
        return {**(saved_names.name_to_save(cls) or local), "config": config}
    for part, module in STOCK.items():
        name = _stock_name(value, module)
        if name:
            return {"stock": part, "name": name, "parameters": serialize(_given(value))}
    raise ValueError(
        f"Expected values that can be saved, or objects with `get_config`; got {value!r}."
    )


def _stock_name(value, module):
    # If a part is no `CompositeTensor`, TFP builds the base `_Name` of class `Name`.
    name = type(value).__name__.removeprefix("_")
    stock = getattr(module, name, None)
    return name if isinstance(stock, type) and type(value) in stock.__mro__ else None


def _given(value):
    """Returns the arguments of a TFP object that determine it.

    These are not functions that are defaults, such as the `tf.linalg.cholesky` of
    `tfb.CholeskyOuterProduct`, which files do not hold. None may differ from the default,
    as the `diag_shift` of `tfb.FillScaleTriL` does.
    """
    defaults = _defaults(type(value))
    # A scalar of NumPy determines a dtype, which a number of Python does not.
    return {
        k: np.asarray(v) if isinstance(v, np.floating) else v
        for k, v in value.parameters.items()
        if not ((v is None or callable(v)) and v is defaults.get(k))
        and k not in ("name", "kwargs_split_fn")
    }


def _defaults(kind):
    """Returns the defaults of a constructor's arguments, by name."""
    arguments = inspect.signature(kind.__init__).parameters
    return {name: argument.default for name, argument in arguments.items()}
