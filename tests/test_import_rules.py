"""Who may import whom, and names of files: stated as data and checked in the source."""

import ast
import functools
import graphlib
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NO_NAMES = {"utils", "helpers", "common", "misc"}
# A docstring that begins so says what a file does, instead of what it is.
NO_NOUN = re.compile(r"(This|It|Contains|Defines|Implements|Provides|Makes|Has) ")
PACKAGE = "tfp_flows"
SCIENCE = {"numpy", "tensorflow", "tensorflow_probability"}
STEPS = {"core", "transformers", "bijectors", "networks"}
TRAINED = {"core", "bijectors", "networks", "distributions", "training"}

# Each room of the package, with the rooms and the libraries that it may import.
ALLOWED = {
    "core": ({"core"}, SCIENCE | {"keras"}),  # which finds what is registered
    "transformers": ({"core", "transformers"}, SCIENCE | {"keras"}),  # registers scales
    "bijectors": ({"core", "transformers", "bijectors"}, SCIENCE),
    "networks": ({"core", "networks"}, {"numpy", "tensorflow", "keras"}),
    "flows": (STEPS | {"flows"}, SCIENCE | {"keras"}),
    "distributions": (STEPS | {"distributions"}, SCIENCE | {"keras"}),
    "training": (TRAINED, SCIENCE | {"keras", "h5py"}),
    "vae": (TRAINED | {"vae"}, SCIENCE | {"keras"}),
    "inference": (
        # `density` and `training` by amortised posteriors, which are conditional densities;
        # `tables` by likelihoods of trials with categories, when they are fitted
        STEPS | {"flows", "distributions", "training", "density", "tables", "inference"},
        # ArviZ and joblib by one function each, when it is called
        SCIENCE | {"keras", "arviz", "joblib"},
    ),
    "tables": (
        (TRAINED | {"transformers", "tables"}) - {"bijectors"},
        # scikit-learn and its threads by the scores of `fidelity`, when they are called
        SCIENCE | {"keras", "sklearn", "threadpoolctl"},
    ),
    "density": (
        TRAINED | {"flows", "tables", "density"},
        # scikit-learn and its threads by one function, when it is called
        SCIENCE | {"keras", "sklearn", "threadpoolctl"},
    ),
    # JAX and ONNX by functions, when they are called
    "portable": ({"core", "portable"}, SCIENCE | {"keras", "tfp_flows_jax", "onnx"}),
    "sklearn": ({"core", "density", "tables"}, {"numpy", "sklearn"}),
    "requirements": (set(), set()),  # setup.py runs it where nothing is installed
}
FORBIDDEN = re.compile(
    r"\.|tf_keras\b|tensorflow\.keras\b|tensorflow_probability\.python\b"
)
# `typing_extensions` is for type checkers only.
STANDARD = sys.stdlib_module_names | {"typing_extensions"}


def sources(folder):
    return sorted((ROOT / folder).rglob("*.py"))


@functools.cache
def names(path):
    """Full names that a file imports, as `keras.layers.Dense`, and such as it uses."""
    imported, used = set(), set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = f"{'.' * node.level}{node.module}"
            imported |= {f"{module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            used.add(f"{node.value.id}.{node.attr}")
    return imported, used


def imports(path):
    return names(path)[0]


def violations(paths, broken):
    """Lines that say what `broken(path)` yields for each of the files."""
    return [f"{path.relative_to(ROOT)}: {what}" for path in paths for what in broken(path)]


LIBRARY = sources(PACKAGE)
EXPERIMENTS = sources("experiments")
BENCHMARKS = sources("benchmarks")
EVERYTHING = [*LIBRARY, *EXPERIMENTS, *BENCHMARKS, *sources("tests")]


def room(path):
    """The room of a file of the package; None for the files beside the rooms."""
    name = path.relative_to(ROOT / PACKAGE).parts[0].removesuffix(".py")
    return None if name.startswith("__") else name


def test_arrows_between_the_rooms_of_the_package():
    def broken(path):
        allowed, libraries = ALLOWED.get(room(path), (set(ALLOWED), {"keras"}))
        for name in imports(path):
            top, *rest = name.split(".")
            if not (rest[0] in allowed if top == PACKAGE else top in libraries | STANDARD):
                yield name

    assert violations(LIBRARY, broken) == []
    assert {room(path) for path in LIBRARY} - {None} == set(ALLOWED)


def test_the_runtime_of_jax_imports_neither_tensorflow_nor_the_package():
    names = {name.split(".")[0] for name in imports(ROOT / "tfp_flows_jax.py")}
    assert names - STANDARD == {"numpy", "jax"}


def module(path):
    """The name that imports a file."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("files", [LIBRARY, EXPERIMENTS], ids=["library", "experiments"])
def test_no_files_import_each_other_in_a_circle(files):
    modules = {module(path): path for path in files if path.name != "__init__.py"}

    def imported(name):
        for full in imports(modules[name]):
            found = full if full in modules else full.rpartition(".")[0]
            if found in modules and found != name:
                yield found

    graph = {name: set(imported(name)) for name in modules}
    # Raises `CycleError`, which names the circle.
    assert len(list(graphlib.TopologicalSorter(graph).static_order())) == len(modules)


def test_nothing_private_old_or_relative_is_imported():
    def broken(path):
        if path.name == "test_programs_of_tfp.py":  # whose programs are of Keras 2
            return
        yield from (name for name in imports(path) if FORBIDDEN.match(name))
        yield from (name for name in names(path)[1] if name == "tf.keras")
        if path != Path(__file__) and "tfp.python" in path.read_text():
            yield "tfp.python"

    assert violations(EVERYTHING, broken) == []


def test_flags_only_where_there_is_a_main():
    def broken(path):
        # Which make flags for those that have one.
        if path.parent.name == "command_line" or path.name == "runner.py":
            return
        has_main = '__name__ == "__main__"' in path.read_text() and path not in LIBRARY
        if not has_main:
            yield from imports(path) & {"absl.flags", "absl.app"}

    assert violations(EVERYTHING, broken) == []


def test_experiments_use_public_names_only_and_the_library_draws_no_pictures():
    private = re.compile(rf"{PACKAGE}\.\w+\.")
    programs = [*EXPERIMENTS, *BENCHMARKS]
    assert violations(programs, lambda p: filter(private.match, imports(p))) == []
    assert violations(LIBRARY, lambda p: [n for n in imports(p) if "matplotlib" in n]) == []


@functools.cache
def defined(path):
    """Names that a file defines or imports."""
    tree = ast.parse(path.read_text())
    names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    definitions = ast.FunctionDef, ast.ClassDef
    names |= {n.name for n in tree.body if isinstance(n, definitions)}
    return names | {full.rpartition(".")[2] for full in imports(path)}


def test_programs_use_names_of_modules_that_are_there():
    """mypy, which checks the library, does not read the programs."""
    modules = {module(path): path for path in EVERYTHING if path.name != "__init__.py"}

    def broken(path):
        imported, used = names(path)
        own = {full.rpartition(".")[2]: modules[full] for full in imported & set(modules)}
        for name in used:
            owner, _, attribute = name.partition(".")
            if owner in own and attribute not in defined(own[owner]):
                yield name

    assert violations([*EXPERIMENTS, *BENCHMARKS], broken) == []


def test_files_are_named_after_an_idea_and_begin_with_a_sentence_about_it():
    def broken(path):
        docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
        first = docstring.split("\n")[0]
        if path.read_text().strip() and not re.match(r".*[.:?]$", first):
            yield "no sentence"
        if NO_NOUN.match(first):
            yield first

    shipped = [*LIBRARY, *EXPERIMENTS]
    assert violations(shipped, broken) == []
    assert [path for path in EVERYTHING if path.stem in NO_NAMES] == []


def test_pytest_xdist_knows_the_group_of_each_test(request):
    """Groups of which it is told too late are ignored without a word."""
    if not getattr(request.config.option, "loadgroup", False):
        pytest.skip("runs in one process")
    items = request.session.items
    assert [item.name for item in items if "@" not in item.nodeid] == []


ROOMS = sorted(path.parent for path in (ROOT / PACKAGE).rglob("*/__init__.py"))


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: str(room.relative_to(ROOT)))
def test_a_room_names_its_modules(room):
    text = ast.get_docstring(ast.parse((room / "__init__.py").read_text()))
    modules = {path.stem for path in room.glob("*.py")} - {"__init__"}
    assert modules <= set(re.findall(r"\w+", text))
