import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tfp_flows

ROOT = Path(__file__).parent.parent
PAGES = ["README.md", "BUILD_NOTES.md", "experiments/README.md"]
PAGES += [
    "docs/benchmarks.md",
    "docs/fit_a_posterior.md",
    "docs/ideas.md",
    "docs/own_table.md",
    "docs/results.md",
]
NAMES = """
    ActNorm Affine AutoregressiveDistribution BatchNorm BijectorReport BinaryMADE Bounds
    CategoricalMADE Conditioner Coupling DensityEstimator FlowBijector FlowChain
    Column FlowDistribution Prediction TableColumns TableDensity describe_columns export
    FullDataBatchStatistics Gated Invert InvertibleLinear Logit MLP MaskCycleMLP
    Decorrelate Defensive HeavyTails MixtureMADE NICE NeuralSplineFlow Permutation
    RealNVP Shift Standardize StopOnNaN TFPBijector
    check_bijector conditionals masks random_permutation reverse_permutation
    standard_logistic standard_normal transformers
    BitsPerDimension ChannelAffine ConvNet Dequantized Glow GlowStep InvertibleConv1x1
    MultiScale PlainLinear RealNVPImage ResNet Squeeze at_temperature
    attribute_direction bits_per_dimension interpolate move_along reduce_bits
    ConvDecoder ConvEncoder KLWarmUp VAE likelihoods objectives posteriors
    Elementwise OnPart circular_base
    FittedPosterior PosteriorReport fit_posterior pareto_smooth
    FlowPosterior Transformer Whiten flow_posterior variational_loss
    AlternatingKernel LatentKernel adaptive_nuts flow_proposal_kernel
    independent_proposals load neutra_kernel to_arviz
""".split()


def test_public_names_are_importable_and_documented():
    documented = {name for name, value in vars(tfp_flows).items() if value.__doc__}
    assert set(NAMES) - documented == set()


@pytest.mark.parametrize(
    "page", ["README.md", "docs/fit_a_posterior.md", "docs/own_table.md"]
)
def test_names_used_in_code_of_pages_exist(page):
    text = (ROOT / page).read_text()
    code = [block.split("```")[0] for block in text.split("```python")[1:]]
    assert code
    for block in code:
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                if node.value.id in ("tfp_flows", "tff"):
                    assert hasattr(tfp_flows, node.attr), node.attr
            if isinstance(node, ast.ImportFrom) and node.module == "tfp_flows":
                assert all(hasattr(tfp_flows, alias.name) for alias in node.names)


def test_links_within_the_project_lead_somewhere():
    for page in map(ROOT.joinpath, PAGES):
        links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
        assert links, page
        assert [link for link in links if not (page.parent / link).exists()] == [], page


IMPORT = "import tfp_flows"
# As if Keras had been imported before, with a backend that need not be installed here:
# what counts is Keras's word, not the environment's.
STUBBED = f"import keras; keras.backend.backend = lambda: 'jax'; {IMPORT}"


@pytest.mark.parametrize(
    ("backend", "code"), [("numpy", IMPORT), ("torch", IMPORT), ("tensorflow", STUBBED)]
)
def test_another_backend_is_refused_with_one_clear_sentence(backend, code):
    path = os.pathsep.join(sys.path)
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    refused = "jax" if code == STUBBED else backend
    last_line = run.stderr.strip().splitlines()[-1]
    assert run.returncode != 0
    assert last_line.startswith("ImportError: tfp_flows needs Keras's TensorFlow backend")
    assert f"'{refused}'" in last_line
    assert "KERAS_BACKEND=tensorflow" in last_line
