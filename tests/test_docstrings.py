"""Every example in a docstring of the package runs and shows what it says."""

import doctest
import importlib
import sys
import types
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted((ROOT / "tfp_flows").rglob("*.py"))
    if ">>> " in path.read_text()
]
# Where one learns how to add a part of one's own, and to train by hand.
SHOWN = {
    "tfp_flows.core.flow_bijector",
    "tfp_flows.core.serialization",
    "tfp_flows.transformers.transformer",
    "tfp_flows.models.density_estimator",
}


def examples_of(name):
    module = importlib.import_module(name)
    return [test for test in doctest.DocTestFinder().find(module) if test.examples]


def test_what_one_writes_oneself_is_shown():
    assert SHOWN <= set(MODULES)


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_docstrings(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    examples = examples_of(name)
    assert examples
    for number, example in enumerate(examples):
        # A module of its own, as a user's is, where saved classes are found again.
        module = types.ModuleType(f"example_{number}")
        monkeypatch.setitem(sys.modules, module.__name__, module)
        module.__dict__["__name__"] = module.__name__
        example.globs = module.__dict__
        runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS)
        failures = runner.run(example, clear_globs=False).failed
        assert not failures, capsys.readouterr().out
