"""Every example in a docstring of the package runs and shows what it says."""

import doctest
import importlib
import re
import sys
import types
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in [
        *sorted((ROOT / "tfp_flows").rglob("*.py")),
        *ROOT.glob("tfp_flows_jax.py"),
    ]
    if ">>> " in path.read_text()
]
# Packages of extras, with the words of the examples that need them.
EXTRAS = {"arviz": "import arviz", "jax": "import jax", "onnx": "export_onnx"}
# Where one learns how to add a part of one's own, and to train by hand.
SHOWN = {
    "tfp_flows.core.flow_bijector",
    "tfp_flows.core.serialization",
    "tfp_flows.transformers.transformer",
    "tfp_flows.training.density_estimator",
}


def from_the_reference():
    """Functions and classes that the reference shows, as autodoc finds them."""
    pages = "".join(page.read_text() for page in (ROOT / "docs" / "api").glob("*.md"))
    found = {}
    for module in map(importlib.import_module, re.findall(r"automodule:: (\S+)", pages)):
        for name in getattr(module, "__all__", [n for n in vars(module) if n[0] != "_"]):
            value = getattr(module, name)
            if callable(value) and value.__module__.startswith("tfp_flows"):
                found[f"{value.__module__}.{value.__qualname__}"] = value
    return found


def test_every_public_name_has_an_example():
    public = from_the_reference()
    assert len(public) > 100
    assert not [name for name, value in public.items() if ">>> " not in value.__doc__]
    assert SHOWN <= set(MODULES)


def test_examples_are_python():
    """Also those that run in slow tests only."""
    for module in map(importlib.import_module, MODULES):
        for test in doctest.DocTestFinder().find(module):
            for example in test.examples:
                compile(example.source, test.name, "exec")


@pytest.mark.slow_ids(
    "tfp_flows.bijectors.check_bijector",
    "tfp_flows.bijectors.elementwise",
    "tfp_flows.density.fit",
    "tfp_flows.density.fitted",
    "tfp_flows.density.report",
    "tfp_flows.density.rules",
    "tfp_flows.inference.amortized.*",
    "tfp_flows.inference.checks.verdict",
    "tfp_flows.inference.fit",
    "tfp_flows.inference.fitted_posterior",
    "tfp_flows.inference.kernels.posterior_kernels",
    "tfp_flows.sklearn",
    "tfp_flows.tables.table_density",
    "tfp_flows.tables.prediction.prediction",
    "tfp_flows.training.density_estimator",
    "tfp_flows.transformers.transformer",
    "tfp_flows_jax",
)
@pytest.mark.parametrize("name", MODULES)
def test_examples_of_docstrings(name, tmp_path, monkeypatch, capsys, request):
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    examples = [test for test in doctest.DocTestFinder().find(module) if test.examples]
    assert examples
    shown = "".join(example.docstring for example in examples)
    for extra, words in EXTRAS.items():
        if words in shown:
            pytest.importorskip(extra)
    if not re.search(r"\.fit|check_bijector", shown):  # whose calls repay their traces
        request.getfixturevalue("op_by_op")
    for number, example in enumerate(examples):
        # A module of its own, as a user's is, where saved classes are found again.
        module = types.ModuleType(f"example_{number}")
        monkeypatch.setitem(sys.modules, module.__name__, module)
        module.__dict__["__name__"] = module.__name__
        example.globs = module.__dict__
        runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS)
        failures = runner.run(example, clear_globs=False).failed
        assert not failures, capsys.readouterr().out
