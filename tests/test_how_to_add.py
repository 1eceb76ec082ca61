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

TRANSFORMER = '''"""Heavier or lighter tails."""

import tensorflow as tf

from tfp_flows.transformers.transformer import Transformer

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

TRANSFORMER_CASE = """
def sinh_tails(x, s):
    s = 0.5 * tf.tanh(s)
    y = tf.sinh(tf.exp(s) * tf.asinh(x))
    return y, s + 0.5 * (tf.math.log(1.0 + y**2) - tf.math.log(1.0 + x**2))


CASES["sinh_tails"] = TransformerCase(transformers.SinhTails, sinh_tails)
"""

FLOW = '''"""Couplings whose scales are softplus functions, or 1."""

from typing_extensions import Unpack

from tfp_flows.bijectors.flow_chain import FlowChain
from tfp_flows.flows.options import VectorFlowOptions
from tfp_flows.flows.options import all_arguments
from tfp_flows.flows.options import takes_options
from tfp_flows.flows.steps import chain_arguments
from tfp_flows.flows.steps import coupling_steps
from tfp_flows.transformers.affine import Affine
from tfp_flows.transformers.affine import Shift
from tfp_flows.transformers.affine import softplus_scale

__all__ = ["SoftplusNVP"]


class SoftplusNVP(FlowChain):
    """RealNVP with `scale = softplus(s + log(e - 1))`, or 1 with `volume_preserving`."""

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
        name: str = "softplus_nvp",
        **options: Unpack[VectorFlowOptions],
    ) -> None:
        parameters = all_arguments(locals())
        transformer = Shift() if volume_preserving else Affine(softplus_scale)
        steps = coupling_steps(transformer, **parameters)
        super().__init__(**chain_arguments(steps, parameters))
'''

FLOW_CASES = """
CASES["softplus_nvp"] = flow(tff.SoftplusNVP)
CASES["softplus_nvp_flag"] = flow(tff.SoftplusNVP, volume_preserving=True)
"""

CONDITIONAL = '''
class Laplace:
    """`p(x) = exp(-|x - loc|) / 2`."""

    num_parameters = 1
    num_noise = 1

    def log_prob(self, x: tf.Tensor, parameters: tf.Tensor) -> tf.Tensor:
        """Log-densities, `[N, D]`."""
        return -tf.abs(x - parameters[:, 0, :]) - math.log(2.0)

    def noise(
        self, shape: Sequence[int], seed: int | TensorLike, dtype: tf.DType | str
    ) -> tf.Tensor:
        """Uniform numbers, `[*shape, 1]`."""
        return draws.uniform(shape, seed, dtype)[..., None]

    def sample(self, noise: tf.Tensor, parameters: tf.Tensor) -> tf.Tensor:
        """Samples, `[N, D]`: the quantile function at `noise`."""
        u = 2.0 * noise[..., 0] - 1.0
        return parameters[:, 0, :] - tf.sign(u) * tf.math.log1p(-tf.abs(u))

    def default_event_space_bijector(self) -> tfp.bijectors.Bijector:
        """The identity: all reals can occur."""
        return tfp.bijectors.Identity()

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {}
'''

CONDITIONAL_CASE = """
def _laplace(dtype):
    network = tff.MaskedMLP(1, (8,), tff.natural_ordering(3), seed=1, dtype=dtype)
    family = tff.distributions.conditionals.Laplace()
    return tff.distributions.AutoregressiveDistribution(network, family)


CASES["laplace"] = DistributionCase(_laplace, 3, 0, None)
"""

CHECK = '''"""Draws that are the same again and again."""

import numpy as np

from tfp_flows.inference.checks.check import Check

__all__ = ["check_repeated_draws"]
# A sampler of continuous numbers repeats none.
_MOST_REPEATED = 0.01


def check_repeated_draws(rows: np.ndarray) -> Check:
    """Checks that hardly any of the draws, `[S, E]`, is there twice."""
    share = 1.0 - len(np.unique(rows, axis=0)) / len(rows)
    return Check(
        "repeated draws",
        share,
        _MOST_REPEATED,
        share <= _MOST_REPEATED,
        f"{share:.0%} of the draws are repeated. Try float64.",
    )
'''

TEST_OF_CHECK = """import dataclasses

from test_posterior_verdict import even
from test_posterior_verdict import judged


def test_repeated_draws_are_not_reliable(rng):
    found = even(rng)
    assert judged(found) == ("reliable", ())
    repeated = dataclasses.replace(found, rows=0.0 * found.rows)
    advice = "100% of the draws are repeated. Try float64."
    assert judged(repeated) == ("not reliable", (advice,))
"""


def written(text):
    return lambda source: text


def appended(text):
    return lambda source: f"{source.rstrip()}\n{text}"


def after(line, text):
    """Adds lines after one that a file has once."""

    def edit(source):
        assert source.count(line) == 1
        return source.replace(line, line + text)

    return edit


def with_check(source):
    source = after(
        "from tfp_flows.inference.checks.missing_mass import check_missing_mass\n",
        "from tfp_flows.inference.checks.repeated_draws import check_repeated_draws\n",
    )(source)
    before = "        check_missing_mass(findings.missing),\n"
    return after(before, "        check_repeated_draws(findings.rows),\n")(source)


# What is done to each file.
ADDITIONS = {
    "a transformer": {
        "tfp_flows/transformers/sinh_tails.py": written(TRANSFORMER),
        "tfp_flows/transformers/__init__.py": appended(
            "from tfp_flows.transformers.sinh_tails import SinhTails as SinhTails\n"
        ),
        "tests/transformer_cases.py": appended(TRANSFORMER_CASE),
    },
    "a flow": {
        "tfp_flows/flows/softplus_nvp.py": written(FLOW),
        "tfp_flows/flows/__init__.py": appended(
            "from tfp_flows.flows.softplus_nvp import SoftplusNVP\n"
        ),
        "tfp_flows/__init__.py": appended(
            "    from tfp_flows.flows import SoftplusNVP as SoftplusNVP\n"
        ),
        "tests/flow_cases.py": appended(FLOW_CASES),
        "experiments/density_estimation/models.py": after(
            "\nFLOWS = {\n", '    "softplus_nvp": Flow(tfp_flows.SoftplusNVP),\n'
        ),
    },
    "a conditional distribution": {
        "tfp_flows/distributions/conditionals.py": appended(CONDITIONAL),
        "tests/distribution_cases.py": appended(CONDITIONAL_CASE),
    },
    "a check of posteriors": {
        "tfp_flows/inference/checks/repeated_draws.py": written(CHECK),
        "tfp_flows/inference/checks/verdict.py": with_check,
        "tests/inference/test_repeated_draws.py": written(TEST_OF_CHECK),
    },
}
ADDED = "sinh_tails or softplus_nvp or laplace or repeated_draws or test_import_rules"
TESTS = {
    "maths": [
        *("tests/transformers/test_transformer_contract.py", "tests/test_import_rules.py"),
        *("tests/test_bijector_contract.py", "tests/test_distribution_contract.py"),
        "tests/inference/test_repeated_draws.py",
    ],
    "everything": ["tests", "-m", "slow or not slow"],
}
PROGRAM = """
import os, sys
import pytest
os.chdir({tree!r})
sys.path.insert(0, {tree!r})
assert pytest.main(["-p", "no:cacheprovider", "-k", {added!r}, *{tests!r}]) == 0
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


@pytest.mark.slow_ids("everything")
@pytest.mark.parametrize("tests", TESTS)
def test_a_copy_of_the_project_takes_additions(tests, tmp_path):
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
            file.write_text(edit(file.read_text() if file.exists() else ""))
    program = PROGRAM.format(tree=str(tree), added=ADDED, tests=TESTS[tests])
    fresh_process.run(exec, program, {"__name__": "added"}, output=output)
    (passed,) = re.findall(r"(\d+) passed", output.read_text())
    assert int(passed) > 30
