"""Who may import whom, stated as data and checked in the source."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = "tfp_flows"
SCIENCE = {"numpy", "tensorflow", "tensorflow_probability"}
ROOMS_OF_STEPS = {"core", "transformers", "bijectors", "networks"}

# Each folder of the package, with the folders and the libraries that it may import.
ALLOWED = {
    "core": ({"core"}, SCIENCE),
    "transformers": ({"core", "transformers"}, {"numpy", "tensorflow"}),
    "bijectors": ({"core", "transformers", "bijectors"}, SCIENCE),
    "networks": ({"core", "networks"}, {"numpy", "tensorflow", "keras"}),
    "flows": (ROOMS_OF_STEPS | {"flows"}, SCIENCE | {"keras"}),
    "distributions": (
        ROOMS_OF_STEPS | {"flows", "distributions"},
        SCIENCE | {"keras"},
    ),
    "models": (
        ROOMS_OF_STEPS | {"flows", "distributions", "models"},
        SCIENCE | {"keras"},
    ),
}
STANDARD = sys.stdlib_module_names


def sources(folder):
    return sorted((ROOT / folder).rglob("*.py"))


def imports(path):
    """Full names of all that a file imports, such as `keras.layers.Dense`."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import in {path}"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def attributes(path):
    """Dotted names that a file uses, such as `tf.keras`."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield f"{node.value.id}.{node.attr}"


def ids(paths):
    return [str(path.relative_to(ROOT)) for path in paths]


LIBRARY = sources(PACKAGE)
EXPERIMENTS = sources("experiments")
EVERYTHING = [*LIBRARY, *EXPERIMENTS, *sources("tests")]


def test_every_folder_of_the_package_has_its_rule():
    folders = {path.parent.name for path in LIBRARY if path.parent.name != PACKAGE}
    assert folders == set(ALLOWED)


@pytest.mark.parametrize("path", LIBRARY, ids=ids(LIBRARY))
def test_arrows_between_the_folders_of_the_package(path):
    folder = path.relative_to(ROOT / PACKAGE).parts[0]
    if folder not in ALLOWED:
        folder, allowed, libraries = None, set(ALLOWED), {"keras"}
    else:
        allowed, libraries = ALLOWED[folder]
    for name in imports(path):
        top, *rest = name.split(".")
        if top == PACKAGE:
            assert rest[0] in allowed, name
        else:
            assert top in libraries | STANDARD, name


@pytest.mark.parametrize("path", EVERYTHING, ids=ids(EVERYTHING))
def test_keras_is_keras_3(path):
    used = {*imports(path), *attributes(path)}
    assert not any(name.split(".")[0] == "tf_keras" for name in used)
    assert "tf.keras" not in used
    assert not any(name.startswith("tensorflow.keras") for name in used)


@pytest.mark.parametrize("path", EVERYTHING, ids=ids(EVERYTHING))
def test_nothing_private_of_tensorflow_probability_is_imported(path):
    assert not any(n.startswith("tensorflow_probability.python") for n in imports(path))
    source = path.read_text()
    assert path == Path(__file__) or "tfp.python" not in source


@pytest.mark.parametrize("path", EVERYTHING, ids=ids(EVERYTHING))
def test_flags_only_where_there_is_a_main(path):
    if path.name in ("command_line.py", "runner.py"):  # which make flags for those
        return
    if any(name in ("absl.flags", "absl.app") for name in imports(path)):
        assert '__name__ == "__main__"' in path.read_text()
        assert PACKAGE not in path.relative_to(ROOT).parts


@pytest.mark.parametrize("path", EXPERIMENTS, ids=ids(EXPERIMENTS))
def test_experiments_use_public_names_only(path):
    for name in imports(path):
        top, *rest = name.split(".")
        assert top != PACKAGE or len(rest) <= 1, name


@pytest.mark.parametrize("path", LIBRARY, ids=ids(LIBRARY))
def test_library_draws_no_pictures(path):
    assert not any(name.split(".")[0] == "matplotlib" for name in imports(path))


def test_imports_are_found_by_this_file():
    assert {"ast", "pathlib.Path", "pytest", "sys"} == set(imports(Path(__file__)))
