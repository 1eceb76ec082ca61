import re
from pathlib import Path

import fresh_process
import keras
import pytest

import tfp_flows

ROOT = Path(__file__).parent.parent
PAGES = ["README.md", "BUILD_NOTES.md", "experiments/README.md", "docs/results.md"]


def test_public_names_are_importable_and_documented():
    assert [n for n in tfp_flows.__all__ if not getattr(tfp_flows, n).__doc__] == []
    # Others than flows, each of which is added here too: see CONTRIBUTING.md.
    others = set(tfp_flows.__all__) - vars(tfp_flows.flows).keys()
    assert len(others) <= 60
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
loaded = [name for name in sys.modules if name.startswith("tfp_flows.")]
assert loaded == ["tfp_flows.requirements"]
tfp_flows.Coupling
assert "tfp_flows.bijectors.coupling" in sys.modules
rooms = {"training", "vae", "inference", "tables", "density", "sklearn"}
assert not {f"tfp_flows.{room}" for room in rooms} & set(sys.modules)
assert tfp_flows.inference.fit_posterior is tfp_flows.fit_posterior
assert "tfp_flows.tables" not in sys.modules
"""


def test_the_import_loads_nothing_before_it_is_needed(tmp_path):
    fresh_process.run(exec, ADDED, output=tmp_path / "output")


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


# Keras may have been imported before, with a backend that need not be installed here:
# Keras's word counts, not the environment's.
REFUSED = """
import keras
keras.backend.backend = lambda: "jax"
import tfp_flows
"""


def test_another_backend_is_refused_with_one_clear_sentence(tmp_path):
    process = fresh_process.start(exec, REFUSED, output=tmp_path / "output")
    process.join()
    assert process.exitcode != 0
    last_line = (tmp_path / "output").read_text().strip().splitlines()[-1]
    assert last_line.startswith("ImportError: tfp_flows needs Keras's TensorFlow backend")
    assert "'jax'" in last_line
    assert "KERAS_BACKEND=tensorflow" in last_line
