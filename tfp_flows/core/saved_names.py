"""Names of classes and functions in saved files, and what may be found by them."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import tensorflow_probability as tfp

__all__ = ["STOCK", "find", "find_stock", "not_ours"]

_PACKAGE = __name__.split(".")[0]
# What files of earlier versions call otherwise.
_RENAMED = {
    ("tfp_flows.bijectors.like_steps", "LikeSteps"): "Scan",
    ("tfp_flows.models.posteriors", "FlowPosterior"): "AmortizedFlow",
}
STOCK = {"bijectors": tfp.bijectors, "distributions": tfp.distributions}
_STOCK_BASES = (tfp.bijectors.Bijector, tfp.distributions.Distribution)


def find_stock(part: str, name: str) -> type:
    """Returns TFP's bijector or distribution of that name.

    Raises:
      ValueError: if there is none.
    """
    found = getattr(STOCK.get(part), name, None)
    if not (isinstance(found, type) and issubclass(found, _STOCK_BASES)):
        raise ValueError(f"Expected one of TFP's {list(STOCK)}; got {part}.{name}.")
    return found


def find(module: str, name: str) -> Any:
    """Returns a class or function of a loaded module, or of any of this package.

    Raises:
      ValueError: if there is none, or it is of Python's standard library.
    """
    if not (isinstance(module, str) and isinstance(name, str)):
        raise not_ours(module, name)
    name = _RENAMED.get((module, name), name)
    if module.split(".")[0] == _PACKAGE and module not in sys.modules:
        _import_public_names()
    found = getattr(sys.modules.get(module), name, None) or _moved(module, name)
    if found is None:
        raise ValueError(
            f"Expected `{name}` in the loaded module `{module}`; import it before "
            "loading what was saved with it."
        )
    if not callable(found) or _is_of_python(module, found):
        raise not_ours(module, name)
    return found


def _is_of_python(module, found):
    """Whether a function or class is of the standard library, but for types as `float`."""
    modules = {module.split(".")[0], str(found.__module__).split(".")[0]}
    is_type = isinstance(found, type) and modules == {"builtins"}
    return bool(modules & sys.stdlib_module_names) and not is_type


def not_ours(module: str, name: str) -> ValueError:
    """Returns the error of a file that names something else than `serialize` does."""
    return ValueError(
        "Expected classes with `get_config`, and functions that are not of Python's own "
        f"library, in a saved file; got `{module}.{name}`, which was not called."
    )


def _import_public_names():
    """Imports all modules that `import tfp_flows` offers, and none that a file chose."""
    package = importlib.import_module(_PACKAGE)
    for name in package.__all__:
        getattr(package, name)


def _moved(module, name):
    """What files of an earlier layout of this package look for in another module."""
    if module.split(".")[0] != _PACKAGE:
        return None
    loaded = [m for m in list(sys.modules) if m.split(".")[0] == _PACKAGE]
    objects = (getattr(sys.modules[m], name, None) for m in loaded)
    return next((o for o in objects if getattr(o, "__module__", None) in loaded), None)
