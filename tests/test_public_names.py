import os
import re
import subprocess
import sys
from pathlib import Path

import fresh_process
import keras
import numpy as np
import pytest

import tfp_flows

ROOT = Path(__file__).parent.parent
PAGES = ["README.md", "BUILD_NOTES.md", "experiments/README.md"]


def test_public_names_are_importable_and_documented():
    assert [n for n in tfp_flows.__all__ if not getattr(tfp_flows, n).__doc__] == []
    assert len(tfp_flows.__all__) <= 60
    assert set(tfp_flows.__all__) <= set(dir(tfp_flows))
    with pytest.raises(AttributeError, match="no attribute 'RealNPV'"):
        tfp_flows.RealNPV  # noqa: B018


# What the import of Keras, and so of TensorFlow, leaves for this package to add.
ADDED = """
import sys
import keras
before = set(sys.modules)
import tfp_flows
added = {name.split(".")[0] for name in set(sys.modules) - before}
assert added - sys.stdlib_module_names == {"tfp_flows"}, added
assert [name for name in sys.modules if name.startswith("tfp_flows.")] == []
tfp_flows.Coupling
assert "tfp_flows.bijectors.coupling" in sys.modules
rooms = {"training", "vae", "inference", "tables", "sklearn"}
assert not {f"tfp_flows.{room}" for room in rooms} & set(sys.modules)
assert tfp_flows.inference.fit_posterior is tfp_flows.fit_posterior
assert "tfp_flows.tables" not in sys.modules
"""


def test_the_import_loads_nothing_before_it_is_needed(tmp_path):
    fresh_process.run(exec, ADDED, output=tmp_path / "output")


# Each file is opened where nothing but the package is imported.
LOADED = """
import sys
import keras
import tfp_flows
assert "tfp_flows.networks" not in sys.modules
network = keras.saving.load_model("network.keras")
assert type(network.layers[0]).__module__ == "tfp_flows.networks.mlp"
model = keras.saving.load_model("model.keras")
assert type(model) is tfp_flows.DensityEstimator
assert type(model.distribution.bijector).__module__ == "tfp_flows.flows.real_nvp"
"""


def test_files_load_where_only_the_package_is_imported(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    network = keras.Sequential([tfp_flows.MLP(2, (4,))])
    network(np.ones((2, 3), "f4"))
    network.save("network.keras")
    flow = tfp_flows.RealNVP(2, num_steps=1, hidden_units=(4,))
    dist = tfp_flows.FlowDistribution(tfp_flows.standard_normal(2), flow)
    tfp_flows.DensityEstimator(dist).save("model.keras")
    fresh_process.run(exec, LOADED, output=tmp_path / "output")


def test_keras_finds_every_class_of_a_saved_file_under_its_module():
    for name in tfp_flows.__all__:
        getattr(tfp_flows, name)
    registered = {
        name.removeprefix("tfp_flows>"): found.__module__
        for name, found in keras.saving.get_custom_objects().items()
        if name.startswith("tfp_flows>") and isinstance(found, type)
    }
    assert registered == tfp_flows._IN_SAVED_FILES


def test_links_within_the_project_lead_somewhere():
    for page in map(ROOT.joinpath, PAGES):
        links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
        assert links, page
        assert [link for link in links if not (page.parent / link).exists()] == [], page


IMPORT = "import tfp_flows"
# As if Keras had been imported before, with a backend that need not be installed here:
# what counts is Keras's word, not the environment's.
STUBBED = f"import keras; keras.backend.backend = lambda: 'jax'; {IMPORT}"


@pytest.mark.slow_ids("numpy-import tfp_flows", "torch-import tfp_flows")
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
