"""Types of public signatures, which mypy and editors of users read (`py.typed`)."""

import inspect

import tfp_flows

MODULES = ("conditionals", "likelihoods", "masks", "objectives", "posteriors")
MODULES += ("transformers",)


def public_objects():
    for owner in [tfp_flows, *(getattr(tfp_flows, name) for name in MODULES)]:
        names = getattr(owner, "__all__", vars(owner))
        yield from (getattr(owner, name) for name in names if not name.startswith("_"))


def public_functions(thing):
    """A function, or the public methods and properties that a class itself has."""
    if inspect.isfunction(thing):
        yield thing
    elif inspect.isclass(thing):
        for name, member in vars(thing).items():
            member = member.fget if isinstance(member, property) else member
            function = inspect.unwrap(getattr(member, "__func__", member))
            is_public = not name.startswith("_") or name in ("__init__", "__call__")
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
    ours = [t for t in public_objects() if not inspect.ismodule(t)]
    functions = {f for thing in ours for f in public_functions(thing)}
    functions = {f for f in functions if f.__module__.startswith("tfp_flows")}
    assert len(functions) > 200
    untyped = {f"{f.__module__}.{f.__qualname__}": lacks(f) for f in functions}
    assert {name: arguments for name, arguments in untyped.items() if arguments} == {}
