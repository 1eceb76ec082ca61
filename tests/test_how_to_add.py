"""Parts of one's own take what CONTRIBUTING.md lists, and nothing else.

All of them are added to one copy of the project, in which one process runs the tests that
follow from their cases.
"""

import re
import shutil
from pathlib import Path

import fresh_process
import pytest

ROOT = Path(__file__).parent.parent

TRANSFORMER = '''"""Scales alone."""

import tensorflow as tf

from tfp_flows.transformers.transformer import Transformer


class AddedScale(Transformer):
    """`y = exp(tanh(s)) x`."""

    num_parameters = 1

    def forward_and_log_det(self, x, parameters):
        (s,) = self.constrain(parameters)
        return tf.exp(tf.tanh(s)) * x, tf.tanh(s)

    def inverse_and_log_det(self, y, parameters):
        return self.forward_and_log_det(y, -parameters)
'''

TRANSFORMER_CASE = """
CASES["added_scale"] = TransformerCase(
    transformers.AddedScale, lambda x, s: (tf.exp(tf.tanh(s)) * x, tf.tanh(s))
)
"""

FLOW = '''"""Couplings that scale, or only shift."""

from tfp_flows.bijectors.flow_chain import FlowChain
from tfp_flows.flows.options import Unpack
from tfp_flows.flows.options import VectorFlowOptions
from tfp_flows.flows.options import all_arguments
from tfp_flows.flows.options import takes_options
from tfp_flows.flows.steps import chain_arguments
from tfp_flows.flows.steps import coupling_steps
from tfp_flows.transformers.affine import Affine
from tfp_flows.transformers.affine import Shift


class AddedFlow(FlowChain):
    """RealNVP; it preserves volumes if asked."""

    @takes_options()
    def __init__(
        self,
        event_size: int,
        *,
        num_steps: int = 4,
        hidden_units: tuple = (64, 64),
        activation: str = "relu",
        volume_preserving: bool = False,
        context_size: int = 0,
        name: str = "added_flow",
        **options: Unpack[VectorFlowOptions],
    ) -> None:
        parameters = all_arguments(locals())
        steps = coupling_steps(Shift() if volume_preserving else Affine(), **parameters)
        super().__init__(**chain_arguments(steps, parameters))
'''

FLOW_CASES = """
CASES["added_flow"] = flow(tff.AddedFlow)
CASES["added_flow_flag"] = flow(tff.AddedFlow, volume_preserving=True)
"""

CONDITIONAL = '''
class AddedLaplace:
    """`p(x) = exp(-|x - loc|) / 2`."""

    num_parameters = 1
    num_noise = 1

    def log_prob(self, x: tf.Tensor, parameters: tf.Tensor) -> tf.Tensor:
        return -tf.abs(x - parameters[:, 0, :]) - math.log(2.0)

    def noise(
        self, shape: Sequence[int], seed: int | TensorLike, dtype: tf.DType | str
    ) -> tf.Tensor:
        return draws.uniform(shape, seed, dtype)[..., None]

    def sample(self, noise: tf.Tensor, parameters: tf.Tensor) -> tf.Tensor:
        u = 2.0 * noise[..., 0] - 1.0
        return parameters[:, 0, :] - tf.sign(u) * tf.math.log1p(-tf.abs(u))

    def default_event_space_bijector(self) -> tfp.bijectors.Bijector:
        return tfp.bijectors.Identity()

    def get_config(self) -> dict:
        return {}
'''

CONDITIONAL_CASE = """
def _laplace(dtype):
    network = tff.MaskedMLP(1, (8,), tff.natural_ordering(3), seed=1, dtype=dtype)
    family = tff.distributions.conditionals.AddedLaplace()
    return tff.distributions.AutoregressiveDistribution(network, family)


CASES["added_laplace"] = DistributionCase(_laplace, (3,))
"""

CHECK = '''"""Draws that are repeated."""

import numpy as np

from tfp_flows.core.check import Check
from tfp_flows.inference.checks.importance import WeightedDraws


def check_added(weighted: WeightedDraws) -> Check:
    """Checks that hardly any draw is there twice."""
    rows = weighted.entries
    share = 1.0 - len(np.unique(rows, axis=0)) / len(rows)
    advice = f"{share:.0%} of the draws are repeated. Try float64."
    return Check("repeated draws", share, 0.01, share <= 0.01, advice)
'''

TEST_OF_CHECK = """import dataclasses

from test_posterior_verdict import even
from test_posterior_verdict import judged


def test_added_check(rng):
    found = even(rng)
    assert judged(found) == ("reliable", ())
    weighted = dataclasses.replace(found.weighted, entries=0.0 * found.weighted.entries)
    repeated = dataclasses.replace(found, weighted=weighted)
    advice = "100% of the draws are repeated. Try float64."
    assert judged(repeated) == ("not reliable", (advice,))
"""


def after(*additions):
    """Adds lines, each after one that a file has once."""

    def edit(source):
        for line, text in additions:
            assert source.count(line) == 1
            source = source.replace(line, line + text)
        return source

    return edit


CHECKS = "from tfp_flows.inference.checks"
# What is added at the end of each file, which may be a new one, or done to it.
ADDITIONS = {
    "a transformer": {
        "tfp_flows/transformers/added_scale.py": TRANSFORMER,
        "tfp_flows/transformers/__init__.py": (
            "from tfp_flows.transformers.added_scale import AddedScale as AddedScale\n"
        ),
        "tests/transformer_cases.py": TRANSFORMER_CASE,
    },
    "a flow": {
        "tfp_flows/flows/added_flow.py": FLOW,
        "tfp_flows/flows/__init__.py": (
            "from tfp_flows.flows.added_flow import AddedFlow as AddedFlow\n"
        ),
        "tfp_flows/__init__.py": "    from tfp_flows.flows import AddedFlow as AddedFlow\n",
        "tests/flow_cases.py": FLOW_CASES,
        "experiments/density_estimation/models.py": after(
            ("\nFLOWS = {\n", '    "added_flow": Flow("AddedFlow"),\n')
        ),
    },
    "a conditional distribution": {
        "tfp_flows/distributions/conditionals.py": CONDITIONAL,
        "tests/distribution_cases.py": CONDITIONAL_CASE,
    },
    "a check of posteriors": {
        "tfp_flows/inference/checks/added.py": CHECK,
        "tfp_flows/inference/checks/verdict.py": after(
            (
                f"{CHECKS}.missing_mass import missing_mass_check\n",
                f"{CHECKS}.added import check_added\n",
            ),
            (
                "        missing_mass_check(findings.missing),\n",
                "        check_added(weighted),\n",
            ),
        ),
        "tests/inference/test_added.py": TEST_OF_CHECK,
    },
}
ADDED = "added or test_import_rules"
PROGRAM = """
import os, sys
import pytest
os.chdir({tree!r})
sys.path.insert(0, {tree!r})
options = ["-p", "no:cacheprovider", "-m", "slow or not slow", "-k", {added!r}]
assert pytest.main([*options, "tests"]) == 0
import tfp_flows
assert tfp_flows.__file__.startswith({tree!r})
"""


@pytest.mark.parametrize("what", ADDITIONS)
def test_only_files_that_contributing_names_are_touched(what):
    text = (ROOT / "CONTRIBUTING.md").read_text()
    (row,) = re.findall(rf"^\| {what} \| (.*) \|$", text, re.MULTILINE)
    named = re.findall(r"`([\w<>]+/[\w/<>]+(?:\.py)?)`", row)
    patterns = [path.replace("<name>", r"\w+") for path in named]
    files = [p if p.endswith(".py") else rf"{p}/test_\w+\.py" for p in patterns]
    touched = list(ADDITIONS[what])
    assert [p for p in touched if not any(re.fullmatch(f, p) for f in files)] == []
    assert [f for f in files if not any(re.fullmatch(f, p) for p in touched)] == []


@pytest.mark.slow
def test_a_copy_of_the_project_takes_additions(tmp_path):
    tree, output = tmp_path / "project", tmp_path / "output"
    ignored = shutil.ignore_patterns("__pycache__", "pictures")
    for folder in ("tfp_flows", "experiments", "tests", "docs"):
        shutil.copytree(ROOT / folder, tree / folder, ignore=ignored)
    for file in ROOT.glob("*.*"):  # neither what runs left nor environments
        if file.is_file():
            shutil.copy(file, tree)
    for edits in ADDITIONS.values():
        for path, edit in edits.items():
            file = tree / path
            before = file.read_text() if file.exists() else ""
            file.write_text(before + edit if isinstance(edit, str) else edit(before))
    program = PROGRAM.format(tree=str(tree), added=ADDED)
    fresh_process.run(exec, program, {"__name__": "added"}, output=output)
    (passed,) = re.findall(r"(\d+) passed", output.read_text())
    assert int(passed) > 30
