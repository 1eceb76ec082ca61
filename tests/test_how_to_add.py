"""One's own transformer and flow take what CONTRIBUTING.md lists, and nothing else."""

import importlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import tfp_flows as tff

ROOT = Path(__file__).parent.parent

TRANSFORMER = '''"""Heavier or lighter tails."""

import tensorflow as tf

from {package} import Transformer

__all__ = ["SinhTails"]


class SinhTails(Transformer):
    """`y = sinh(exp(s) * asinh(x))`."""

    num_parameters = 1

    def forward_and_log_det(self, x, parameters):
        """Maps `x`, `[..., D]`, by `parameters`, `[..., 1, D]`; log-dets `[..., D]`."""
        (s,) = self.constrain(parameters)
        s = 0.5 * tf.tanh(s)
        y = tf.sinh(tf.exp(s) * tf.asinh(x))
        return y, s + 0.5 * (tf.math.log1p(y**2) - tf.math.log1p(x**2))

    def inverse_and_log_det(self, y, parameters):
        """Undoes `forward_and_log_det`, with the log-dets of the inverse."""
        return self.forward_and_log_det(y, -parameters)
'''

FLOW = '''"""Couplings whose scales are softplus functions."""

from typing_extensions import Unpack

from tfp_flows.bijectors.flow_chain import FlowChain
from tfp_flows.flows.options import VectorFlowOptions
from tfp_flows.flows.options import all_arguments
from tfp_flows.flows.options import takes_options
from tfp_flows.flows.preprocessing import chain_arguments
from tfp_flows.flows.steps import coupling_steps
from tfp_flows.transformers.affine import Affine
from tfp_flows.transformers.affine import softplus_scale

__all__ = ["SoftplusNVP"]


class SoftplusNVP(FlowChain):
    """RealNVP with `scale = softplus(s + log(e - 1))`."""

    @takes_options()
    def __init__(
        self,
        event_size: int,
        *,
        num_steps: int = 4,
        hidden_units: tuple = (64, 64),
        activation: str = "relu",
        context_size: int = 0,
        name: str = "softplus_nvp",
        **options: Unpack[VectorFlowOptions],
    ) -> None:
        parameters = all_arguments(locals())
        steps = coupling_steps(Affine(softplus_scale), **parameters)
        super().__init__(**chain_arguments(steps, parameters))
'''

OWN_PACKAGE = {
    "__init__.py": "from own_flows.flow import build",
    "tails.py": TRANSFORMER.format(package="tfp_flows.transformers"),
    "flow.py": """
import tfp_flows as tff
from own_flows.tails import SinhTails


def build():
    masked = tff.MaskedMLP(1, (8,), tff.natural_ordering(3), seed=1)
    steps = [
        tff.Standardize(3),
        tff.MaskedAutoregressive(3, tff.Conditioner(masked, 3), SinhTails()),
        tff.Coupling(
            [True, False, False], tff.Conditioner(tff.MLP(2, (8,), seed=2), 1), SinhTails()
        ),
    ]
    return tff.FlowChain(steps)
""",
}


def line(text):
    """Appends a line."""
    return lambda source: f"{source.rstrip()}\n{text}\n"


def entry(table, text):
    """Adds an entry to a dictionary of a module."""

    def edit(source):
        assert source.count(f"\n{table} = {{\n") == 1
        return source.replace(f"\n{table} = {{\n", f"\n{table} = {{\n    {text}\n")

    return edit


# What is done to each file; `...` stands for the file whose place CONTRIBUTING.md names.
ADDITIONS = {
    "a transformer": {
        "tfp_flows/transformers/sinh_tails.py": lambda _: TRANSFORMER.format(
            package="tfp_flows.transformers.transformer"
        ),
        "tfp_flows/transformers/__init__.py": line(
            "from tfp_flows.transformers.sinh_tails import SinhTails as SinhTails"
        ),
        "tests/transformer_cases.py": entry(
            "CASES",
            '"sinh_tails": TransformerCase(transformers.SinhTails, lambda x, s: '
            "(tf.sinh(tf.exp(0.5 * tf.tanh(s)) * tf.asinh(x)), 0.5 * tf.tanh(s) + "
            "tf.math.log(tf.cosh(tf.exp(0.5 * tf.tanh(s)) * tf.asinh(x))) "
            "- 0.5 * tf.math.log(1 + x**2))),",
        ),
    },
    "a flow": {
        "tfp_flows/flows/softplus_nvp.py": lambda _: FLOW,
        "tfp_flows/flows/__init__.py": line(
            "from tfp_flows.flows.softplus_nvp import SoftplusNVP"
        ),
        "tfp_flows/__init__.py": line(
            "    from tfp_flows.flows import SoftplusNVP as SoftplusNVP"
        ),
        "tests/flow_cases.py": entry("CASES", '"softplus_nvp": flow(tff.SoftplusNVP),'),
        "FLOWS": entry("FLOWS", '"softplus_nvp": Flow(tfp_flows.SoftplusNVP),'),
    },
}
NAMES = {"a transformer": "sinh_tails", "a flow": "softplus_nvp"}


def listed(what):
    """The files that the table of CONTRIBUTING.md has in the row `what`."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    (row,) = re.findall(rf"^\| {what} \| (.*) \|$", text, re.MULTILINE)
    paths = re.findall(r"`([\w/<>]+\.py)`", row)
    return {path.replace("<name>", NAMES[what]) for path in paths}


def add(what, tree):
    """Makes the additions in a copy of the project; returns the files concerned."""
    edits = dict(ADDITIONS[what])
    if "FLOWS" in edits:
        (table,) = (p for p in listed(what) if p.startswith("experiments/"))
        edits[table] = edits.pop("FLOWS")
    for path, edit in edits.items():
        file = tree / path
        file.write_text(edit(file.read_text() if file.exists() else ""))
    return set(edits)


def run(tree, *command):
    done = subprocess.run(
        [sys.executable, *command], cwd=tree, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


@pytest.mark.parametrize("what", ADDITIONS)
@pytest.mark.slow
def test_a_copy_of_the_project_takes_what_is_listed_and_nothing_else(what, tmp_path):
    tree = tmp_path / "project"
    ignored = shutil.ignore_patterns("__pycache__", "pictures")
    for folder in ("tfp_flows", "experiments", "tests", "docs"):
        shutil.copytree(ROOT / folder, tree / folder, ignore=ignored)
    for file in ROOT.glob("*.*"):  # neither what runs left nor environments
        if file.is_file():
            shutil.copy(file, tree)
    assert add(what, tree) == listed(what)
    # The contracts on the new case, and the rules of imports.
    name = NAMES[what]
    tests = ["-m", "pytest", "tests", "-p", "no:cacheprovider", "-m", "slow or not slow"]
    passed = run(tree, *tests, "-k", f"{name} or test_import_rules")
    assert int(re.search(r"(\d+) passed", passed)[1]) > 20
    if what == "a flow":
        assert name in run(tree, "-m", "experiments.density_estimation", "--help")


@pytest.fixture
def own_flows(tmp_path, monkeypatch):
    """A package outside this one, as a user has it."""
    for name, source in OWN_PACKAGE.items():
        file = tmp_path / "own_flows" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("own_flows")
    for name in [n for n in sys.modules if n.split(".")[0] == "own_flows"]:
        del sys.modules[name]


def test_a_transformer_and_a_flow_of_ones_own_need_public_names_only(own_flows, tmp_path):
    x = np.random.default_rng(0).normal(size=(64, 3)).astype(np.float32)
    flow = own_flows.build()
    model = tff.DensityEstimator(tff.FlowDistribution(tff.standard_normal(3), flow))
    model.compile(keras.optimizers.Adam(1e-2), jit_compile=False)
    before = [v.numpy().copy() for v in flow.trainable_variables]
    model.fit(x, batch_size=64, epochs=2, verbose=0)
    assert all(
        np.any(v.numpy() != b)
        for v, b in zip(flow.trainable_variables, before, strict=True)
    )
    assert tff.check_bijector(flow, x).passed
    model.save(tmp_path / "own.keras")
    with pytest.raises(ValueError, match=r"got `own_flows\.\w+\.\w+`.*custom_modules"):
        tff.load(tmp_path / "own.keras")
    loaded = tff.load(tmp_path / "own.keras", custom_modules=[own_flows])
    np.testing.assert_array_equal(
        loaded.distribution.log_prob(x), model.distribution.log_prob(x)
    )


@pytest.mark.parametrize("what", ADDITIONS)
def test_the_table_names_files_and_the_additions_are_of_these(what):
    known = {path for path in ADDITIONS[what] if path != "FLOWS"}
    others = listed(what) - known
    assert known <= listed(what)
    assert [p.split("/")[0] for p in others] == ["experiments"] * (
        "FLOWS" in ADDITIONS[what]
    )
    if others:
        assert "\nFLOWS = {\n" in (ROOT / others.pop()).read_text()
