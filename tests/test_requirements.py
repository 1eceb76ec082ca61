"""Missing, mixed and old packages are named at import, with the commands that mend it."""

import re
import shlex
import sys
from pathlib import Path

import fresh_process
import pytest
import tensorflow_probability as tfp

from tfp_flows import requirements
from tfp_flows.requirements import problem

TFP = {"tensorflow-probability": "0.25.0"}
NIGHTLY = {"tfp-nightly": "0.26.0.dev20261027"}
BESIDE = {"numpy": "2.3.5", "tensorflow": "2.21.0"}


@pytest.mark.parametrize(
    "versions",
    [
        TFP | BESIDE,
        NIGHTLY | BESIDE,
        NIGHTLY | {"numpy": "2.5.5", "tensorflow": "2.22.0rc0"},
        # Newer ones than were tried may do.
        {"tensorflow-probability": "0.26.0", "numpy": "2.6.0", "tensorflow": "3.0.0"},
        {"tfp-nightly": "0.27.0.dev20270101"} | BESIDE,
        # Builds of others, whose code may be changed.
        {"tensorflow-probability": "0.25.0+conda", "numpy": "2.4.0"},
        {"tensorflow-probability": "0.26.0-dev+source", "numpy": "2.4.0"},
        # TensorFlow by another distribution, such as tf-nightly.
        TFP | {"numpy": "1.26.4"},
    ],
    ids=str,
)
def test_packages_that_go_together(versions):
    assert problem(versions) is None


REFUSED = {
    "none": (
        {},
        ["tensorflow_probability"],
        "got none",
        ["tensorflow-probability==0.25.*"],
    ),
    "both": (TFP | NIGHTLY, [], "tfp-nightly 0.26.0.dev20261027, which", ["uninstall"]),
    "no files": (NIGHTLY, ["tensorflow_probability"], "without its files", ["uninstall"]),
    "old TFP": ({"tensorflow-probability": "0.24.0"}, [], "0.25 or newer", ["uninstall"]),
    "old source": ({"tensorflow-probability": "0.9.0-dev+source"}, [], "0.25 or", []),
    "new NumPy": (TFP | {"numpy": "2.4.0"}, [], "got numpy 2.4.0", ["numpy<2.4"]),
    "newer NumPy": (TFP | {"numpy": "3.0.0rc1"}, [], "got numpy 3.0.0rc1", ["numpy<2.4"]),
    "old TensorFlow": (
        TFP | {"tensorflow": "2.19.1"},
        [],
        "got tensorflow 2.19.1",
        [requirements.TENSORFLOW, requirements.TF_KERAS],
    ),
    "no tf_keras": (TFP | BESIDE, ["tf_keras"], "tf_keras", [requirements.TF_KERAS]),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_wrong_is_named_with_commands_that_mend_it(case):
    versions, missing, words, arguments = REFUSED[case]
    message = problem(versions, missing)
    wrong, *commands = message.splitlines()
    assert wrong.startswith("tfp_flows needs ")
    assert words in wrong
    commands = [shlex.split(line) for line in commands if not line.startswith("or, ")]
    assert {tuple(command[:1]) for command in commands} == {("pip",)}
    assert set(arguments) <= {word for command in commands for word in command}


def test_the_tests_run_with_packages_that_go_together():
    versions, missing = requirements.installed()
    assert problem(versions, missing) is None
    assert not missing
    (found,) = {
        versions[name]
        for name in ("tensorflow-probability", "tfp-nightly")
        if name in versions
    }
    assert found.split("+")[0].replace(".dev", "-dev") == tfp.__version__


def test_the_page_of_promises_names_the_days_of_the_nightly_version():
    page = (Path(__file__).parent.parent / "docs" / "promises.md").read_text("utf-8")
    days = re.findall(r"[\d.]+dev\d+", requirements.TFP_NIGHTLY[0])
    assert len(days) == 2
    assert " to ".join(days) in page


def put(folder, name, version, *, installer="pip"):
    """Puts the metadata of a distribution into a folder, as an installer does."""
    about = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n")
    (about / "INSTALLER").write_text(f"{installer}\n")


def put_tfp(folder, code="raise AssertionError"):
    """Puts a package that must not be imported, since metadata tell its version."""
    package = folder / "tensorflow_probability"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(code)


@pytest.fixture
def environment(tmp_path, monkeypatch):
    """A folder before all others in which an import looks, without the TFP of the tests."""
    for name in [n for n in sys.modules if n.split(".")[0] == "tensorflow_probability"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_metadata_beside_the_tfp_that_is_imported_count(environment):
    put(environment, "tfp-nightly", "0.26.0.dev20261001")
    put(environment, "numpy", "2.5.0")
    put_tfp(environment)
    versions, _ = requirements.installed()
    # The TFP of the tests, in a folder after it, is no mix.
    assert versions | {"tensorflow": ""} == {
        "tfp-nightly": "0.26.0.dev20261001",
        "numpy": "2.5.0",
        "tensorflow": "",
    }


def test_tfp_without_metadata_is_asked_for_its_version(environment):
    put_tfp(environment, "__version__ = '0.26.0-dev'")
    assert "0.26.0-dev+source" in requirements.installed()[0].values()


def test_tfp_by_conda_may_have_another_numpy(environment):
    put(environment, "tensorflow-probability", "0.25.0", installer="conda")
    put(environment, "numpy", "2.4.0")
    put_tfp(environment)
    assert problem(*requirements.installed()) is None


IMPORT = """
import sys
sys.path.insert(0, {folder!r})
import tfp_flows
"""


def test_a_broken_environment_gives_one_error_at_import(tmp_path):
    folder = tmp_path / "packages"
    put(folder, "tensorflow-probability", "0.25.0")
    put(folder, "tfp-nightly", "0.26.0.dev20261027")
    put_tfp(folder)
    output = tmp_path / "output"
    process = fresh_process.start(exec, IMPORT.format(folder=str(folder)), output=output)
    process.join()
    assert process.exitcode != 0
    _, _, message = output.read_text().partition("\nImportError: ")
    assert message.strip() == problem(TFP | NIGHTLY)
    assert "AssertionError" not in output.read_text()
    assert "During handling" not in output.read_text()
