"""Types of public signatures, which mypy and editors of users read (`py.typed`)."""

import importlib
import inspect
import pkgutil
from pathlib import Path

import tfp_flows

ROOT = Path(tfp_flows.__file__).parent


def public_objects():
    """What each module of the package defines and does not keep to itself."""
    for found in pkgutil.walk_packages(tfp_flows.__path__, "tfp_flows."):
        for name, thing in vars(importlib.import_module(found.name)).items():
            if getattr(thing, "__module__", None) == found.name and name[0] != "_":
                yield thing


def public_functions(thing):
    """A function, or the public methods and properties that a class itself has."""
    if inspect.isfunction(thing):
        yield thing
    elif inspect.isclass(thing):
        for name, member in vars(thing).items():
            for attribute in ("fget", "func", "__func__"):  # of properties, and methods
                member = getattr(member, attribute, member)
            function = inspect.unwrap(member)
            is_public = not name.startswith("_") or name.endswith("__")
            if is_public and inspect.isfunction(function):
                yield function


def lacks(function):
    """Arguments without a type, and `return` if there is none of the result."""
    signature = inspect.signature(function)
    types = {name: p.annotation for name, p in signature.parameters.items()}
    types = {name: t for name, t in types.items() if name not in ("self", "cls")}
    if function.__name__ != "__init__":
        types["return"] = signature.return_annotation
    return [name for name, annotation in types.items() if annotation is inspect._empty]


def test_public_signatures_have_types():
    functions = {f for thing in public_objects() for f in public_functions(thing)}
    # Not what `dataclass` and others write.
    functions = {f for f in functions if ROOT in Path(f.__code__.co_filename).parents}
    assert len(functions) > 500
    untyped = {f"{f.__module__}.{f.__qualname__}": lacks(f) for f in functions}
    assert {name: arguments for name, arguments in untyped.items() if arguments} == {}
