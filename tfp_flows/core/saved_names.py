"""The names of classes and functions that a saved file may contain."""

from __future__ import annotations

import contextlib
import contextvars
import importlib
import re
import sys
import types
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

PACKAGE = __name__.split(".")[0]
STOCK = {"bijectors": tfp.bijectors, "distributions": tfp.distributions}
_STOCK_BASES = (tfp.bijectors.Bijector, tfp.distributions.Distribution)
# Functions of tensors without side effects, by the public name of their module.
_FUNCTIONS = {
    "tensorflow.math": tf.math,
    "tensorflow.nn": tf.nn,
    "keras.activations": keras.activations,
    "keras.ops": keras.ops,
}
_KERAS_KINDS = (
    keras.Layer,
    keras.Operation,
    keras.Initializer,
    keras.regularizers.Regularizer,
    keras.constraints.Constraint,
    keras.Optimizer,
    keras.optimizers.schedules.LearningRateSchedule,
    keras.Loss,
    keras.Metric,
    keras.DTypePolicy,
    keras.Quantizer,
    keras.random.SeedGenerator,
)
# Layers that hold programs of other frameworks, in other files or as pickles.
_PROGRAMS = ("TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer")
# Keras's own modules of functions that a configuration names "builtins".
_BUILT_IN = ("activations", "constraints", "initializers", "losses", "metrics")
# Class names of the dicts that Keras writes for values.
_KERAS_VALUES = ("__keras_tensor__", "__bytes__", "__ellipsis__", "__slice__")
_ARRAYS = ("__tensor__", "__numpy__")
# Names in files of earlier versions, and the present ones.
_MOVED = {
    ("tfp_flows.inference.amortized.saved", "PosteriorOfRows"): (
        "tfp_flows.inference.amortized.posterior",
        "AmortizedPosterior",
    )
}
PLAIN = (type(None), bool, int, float, str)
# Files of deeply nested flows have some sixty levels.
MAX_DEPTH = 250

# Modules that the caller trusts; None trusts everything that is loaded, like `pickle`.
_CUSTOM: contextvars.ContextVar = contextvars.ContextVar("custom_modules", default=())


@contextlib.contextmanager
def custom_modules(modules: Sequence[types.ModuleType | str] | None) -> Iterator[None]:
    """Lets files name classes and functions that these modules define.

    Args:
      modules: list of modules, or of their full names, which are imported; their loaded
        submodules are included. None lets files name everything that is loaded: only for
        data of this process and for pickles, which run code anyway.

    Raises:
      ValueError: if there is no such module.
    """
    if isinstance(modules, (str, types.ModuleType)):
        raise ValueError(f"Expected `custom_modules` in a list; got {modules!r}.")
    named = modules if modules is None else tuple(map(_module_name, modules))
    token = _CUSTOM.set(named)
    try:
        yield
    finally:
        _CUSTOM.reset(token)


def trusts_all() -> bool:
    """Whether data may name everything that is loaded: see `custom_modules`."""
    return _CUSTOM.get() is None


def find_stock(part: str, name: str) -> type:
    """Returns TFP's bijector or distribution of that name, or raises `ValueError`."""
    cls = getattr(STOCK.get(part), name, None) if _is_name(name) else None
    if not (isinstance(cls, type) and issubclass(cls, _STOCK_BASES)):
        raise ValueError(f"Expected one of TFP's {list(STOCK)}; got {part}.{name}.")
    return cls


def find_registered(name: str) -> Any:
    """Returns the class or function that is registered with Keras under that name."""
    value = keras.saving.get_registered_object(name) if isinstance(name, str) else None
    if value is None:
        raise refused(name)
    return _checked(value, name)


def find(module: str, name: str) -> Any:
    """Returns the class or function of a module, if a file may name it.

    Raises:
      ValueError: if there is none, or a file may not name it.
    """
    if not (_is_dotted(module) and _is_name(name)):
        raise refused(f"{module}.{name}")
    package = module.split(".")[0]
    if package == "tf_keras":
        raise _tf_keras_refused(name)
    if package == PACKAGE:
        value = _from_package(module, name)
    elif module in _FUNCTIONS:
        value = _function(module, name)
    elif package == "keras":
        value = _keras_class(module, name)
    elif module in ("builtins", "numpy"):
        value = _number_type(module, name)
    else:
        value = None
    value = _foreign(module, name) if value is None else value
    if value is None:
        raise refused(f"{module}.{name}")
    return _checked(value, f"{module}.{name}")


def check_keras(config: Any) -> dict[str, Any]:
    """Checks the names in a configuration of Keras, before Keras builds it.

    Returns:
      Objects by name, which Keras finds only if they are its `custom_objects`.

    Raises:
      ValueError: if it holds marshalled code, or names classes or functions that are not
        in Keras 3, not registered, and not in a module that the caller named; or if it is
        nested too deeply.
    """
    custom_objects: dict[str, Any] = {}
    waiting = [(config, 0)]
    while waiting:
        value, depth = waiting.pop()
        check_depth(depth)
        if isinstance(value, dict):
            if "class_name" in value:
                custom_objects |= _check_keras_object(value)
            waiting += [(part, depth + 1) for part in value.values()]
        elif isinstance(value, (list, tuple)):
            waiting += [(part, depth + 1) for part in value]
        elif not isinstance(value, PLAIN):
            raise ValueError(f"Expected JSON's types in a saved file; got {type(value)}.")
    return custom_objects


def check_depth(depth: int) -> None:
    """Raises `ValueError` if a file is nested more deeply than any model's."""
    if depth > MAX_DEPTH:
        raise ValueError(f"Expected at most {MAX_DEPTH} nested levels in a saved file.")


def check_numeric_dtype(name: Any) -> str:
    """Returns the name of a dtype of numbers or booleans, or raises `ValueError`."""
    dtypes = {dtype.name for dtype in vars(tf.dtypes).values() if _is_number(dtype)}
    if not (isinstance(name, str) and name in dtypes):
        raise ValueError(f"Expected the dtype of numbers in a saved file; got {name!r}.")
    return name


def name_to_save(value: Any) -> dict[str, str] | None:
    """Returns the name of a function or class in files; None if it has none."""
    name = getattr(value, "__qualname__", "")
    if not callable(value) or not _is_name(name):
        return None
    module = getattr(value, "__module__", "")
    registered = keras.saving.get_registered_name(value)
    is_registered = keras.saving.get_registered_object(registered) is value
    if is_registered and str(module).split(".")[0] != PACKAGE:
        return {"registered": registered}
    for public, functions in _FUNCTIONS.items():
        if getattr(functions, name, None) is value:
            return {"module": public, "name": name}
    if getattr(sys.modules.get(module), name, None) is value:
        return {"module": module, "name": name}
    return None


def is_keras(cls: type) -> bool:
    """Whether a class belongs to Keras 3 or derives from one of its classes."""
    return any(base.__module__.startswith("keras.") for base in cls.__mro__)


def refused(name: Any) -> ValueError:
    """Returns the error for a name that a file may not contain."""
    return ValueError(
        f"Expected names of {PACKAGE}, Keras 3 or TensorFlow Probability in a saved file; "
        f"got `{name}`, which was not called. Classes and functions of your own are found "
        "if they are registered (keras.saving.register_keras_serializable) or their module "
        f"is named: {PACKAGE}.load(path, custom_modules=[module])."
    )


def refuse_tf_keras(value: Any) -> None:
    """Raises `ValueError` if a class, or the class of an object, belongs to `tf_keras`."""
    cls = value if isinstance(value, type) else type(value)
    modules = [base.__module__ for base in cls.__mro__]
    modules.append(str(getattr(value, "__module__", "")))
    if any(module.split(".")[0] == "tf_keras" for module in modules):
        raise _tf_keras_refused(value)


def _tf_keras_refused(value):
    return ValueError(
        f"Expected Keras 3 objects in a saved file; got {value} of `tf_keras`, whose files "
        "can run code. Build it with `import keras`."
    )


def _checked(value, name):
    """Returns a class or function; refuses other objects, and all of `tf_keras`."""
    if not (isinstance(value, type) or callable(value)):
        raise refused(name)
    refuse_tf_keras(value)
    return value


def _from_package(module, name):
    """A class of this package that has a configuration, or a registered function."""
    module, name = _MOVED.get((module, name), (module, name))
    try:
        is_plain = "__" not in module  # `__main__` would run as a program
        value = vars(importlib.import_module(module)).get(name) if is_plain else None
    except ImportError:
        value = None
    if getattr(value, "__module__", None) != module:
        return None
    if isinstance(value, type):
        return value if hasattr(value, "get_config") else None
    return value if _is_registered(value) else None


def _function(module, name):
    function = getattr(_FUNCTIONS[module], name, None)
    is_class = isinstance(function, (type, types.ModuleType))
    return None if is_class or not callable(function) else function


def _keras_class(module, name):
    cls = vars(sys.modules.get(module, types.SimpleNamespace())).get(name)
    if not isinstance(cls, type) or not cls.__module__.startswith("keras.src."):
        return None
    if not issubclass(cls, _KERAS_KINDS):
        return None
    return None if {base.__name__ for base in cls.__mro__} & {*_PROGRAMS} else cls


def _number_type(module, name):
    cls = vars(sys.modules[module]).get(name)
    types_of_numbers = (bool, int, float, complex, np.number, np.bool_)
    is_type = isinstance(cls, type) and issubclass(cls, types_of_numbers)
    return cls if is_type else None


def _foreign(module, name):
    """An object of a loaded module that is registered, or whose module is trusted."""
    value = vars(sys.modules.get(module, types.SimpleNamespace())).get(name)
    if value is None or _CUSTOM.get() is None:
        return value
    if getattr(value, "__module__", None) != module:  # imported there from elsewhere
        return None
    return value if _is_registered(value) or _is_custom(module) else None


def _is_registered(value):
    if not (isinstance(value, type) or callable(value)):
        return False
    names = keras.saving.get_registered_name(value), getattr(value, "__name__", "")
    return any(keras.saving.get_registered_object(name) is value for name in names)


def _is_custom(module):
    named = _CUSTOM.get()
    return any(module == name or module.startswith(f"{name}.") for name in named or ())


def _check_keras_object(config):
    """Checks an object of a Keras configuration; returns the custom objects it needs."""
    name, module = config["class_name"], config.get("module")
    inner = config.get("config")
    if "config" not in config or not isinstance(name, str):
        raise refused(name)
    if name in _ARRAYS and isinstance(inner, dict):
        check_numeric_dtype(inner.get("dtype"))
        return {}
    if name in _KERAS_VALUES:
        return {}
    if "module" not in config or not isinstance(module, (str, type(None))):
        raise refused(name)  # an older format of Keras, which has another loader
    is_function = name == "function"
    key = inner if is_function else config.get("registered_name", name)
    if is_function and not isinstance(key, str):
        raise refused(key)
    if key and (registered := keras.saving.get_registered_object(str(key))) is not None:
        _checked(registered, key)
        return {}
    if is_function and _keras_function(module, key):
        return {}
    if not is_function and module and module.split(".")[0] == "keras":
        if _is_dotted(module) and _is_name(name) and _keras_class(module, name):
            return {}
        raise refused(f"{module}.{name}")
    return {str(key or name): _checked(_custom(module, key if is_function else name), name)}


def _keras_function(module, name):
    """Whether Keras has a function of that name without side effects."""
    modules = [f"keras.{part}" for part in _BUILT_IN] if module == "builtins" else [module]
    modules = [m for m in modules if m in {*_FUNCTIONS, "keras.losses", "keras.metrics"}]
    values = [vars(sys.modules[m]).get(name) for m in modules]
    return any(isinstance(value, types.FunctionType) for value in values)


def _custom(module, name):
    """Returns an object for Keras from the modules that the caller trusts."""
    named = _CUSTOM.get()
    loaded = [m for m in list(sys.modules) if named is None or _is_custom(m)]
    # Keras names no module for functions, nor for classes of some modules.
    loaded = [m for m in loaded if module in (None, "builtins", m)]
    for m in loaded if _is_name(name) else ():
        value = vars(sys.modules[m]).get(name)
        if callable(value) and getattr(value, "__module__", None) == m:
            return value
    raise refused(f"{module}.{name}")


def _is_name(name):
    return isinstance(name, str) and name.isidentifier() and not name.startswith("__")


def _is_dotted(module):
    return isinstance(module, str) and bool(re.fullmatch(r"[\w.]+", module))


def _is_number(dtype):
    is_dtype = isinstance(dtype, tf.DType)
    kinds = ("is_floating", "is_integer", "is_bool", "is_complex")
    return is_dtype and any(getattr(dtype, kind) for kind in kinds)


def _module_name(module):
    if isinstance(module, types.ModuleType):
        return module.__name__
    try:
        return importlib.import_module(module).__name__
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise ValueError(
            f"Expected `custom_modules` of modules or their names; got {module!r}: {error}"
        ) from error
