"""Saved files that were made to run code: refused, and nothing of theirs is called."""

import json
import subprocess
import zipfile

import keras
import numpy as np
import pytest

import tfp_flows
from tfp_flows.core.serialization import deserialize

COMMAND = {"dict": {"args": {"list": ["touch", "PATH"]}}}


def of(module, name, **more):
    return {"module": module, "name": name, **more}


HOSTILE = {
    "a process": of("subprocess", "Popen", config=COMMAND),
    "a command": of("os", "system", config={"dict": {"command": "touch PATH"}}),
    "a function of Python's": of("os", "system"),
    "the same by its own module": of("posix", "system"),
    "the same by who imports it": of(__name__, "system"),
    "a process by who imports it": of(__name__, "Popen", config=COMMAND),
    "eval": of("builtins", "eval"),
    "exec of code": of("builtins", "exec", config={"tuple": ["open('PATH', 'w')"]}),
    "open": of("builtins", "open", config={"dict": {"file": "PATH", "mode": "w"}}),
    "import of code": of("antigravity", "fly"),
    "a module": of("os", "path"),
    "an attribute of a module": of("sys", "argv"),
    "a writer without a config": of("numpy", "savetxt", config={"dict": {"fname": "PATH"}}),
    "a module that is no name": of({"dict": {}}, "x"),
    "a module alone": {"module": "os"},
    "nothing": {},
    "an unknown kind": {"code": "open('PATH', 'w')"},
    "text of nothing known": {"module": "tfp_flows", "name": "Nothing"},
    "of TFP, what is no bijector": {
        "stock": "bijectors",
        "name": "__class__",
        "parameters": {"dict": {"name": "x"}},
    },
    "of TFP, an unknown part": {
        "stock": "internal",
        "name": "Affine",
        "parameters": {"dict": {}},
    },
}
Popen = subprocess.Popen
from os import system  # noqa: E402, F401  what "by who imports it" asks for


def filled(data, path):
    """Returns `data` with the path of the file that the attack would make."""
    return json.loads(json.dumps(data).replace("PATH", str(path)))


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("where", ["the distribution", "an argument"])
def test_what_is_not_ours_is_neither_made_nor_handed_on(name, where, tmp_path):
    path = tmp_path / "made"
    data = filled(HOSTILE[name], path)
    if where == "an argument":
        config = {"dict": {"scale": data}}
        data = of("tfp_flows.transformers.affine", "Affine", config=config)
    with pytest.raises(ValueError, match="Expected"):
        deserialize(data)
    assert not path.exists()


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "model.keras"
    flow = tfp_flows.MADE(2, hidden_units=(4,), seed=0)
    distribution = tfp_flows.FlowDistribution(tfp_flows.standard_normal(2), flow)
    tfp_flows.DensityEstimator(distribution).save(path)
    return path


def changed(saved, path, change):
    """Copies a saved model to `path`, with a configuration that `change` has changed."""
    with zipfile.ZipFile(saved) as old, zipfile.ZipFile(path, "w") as new:
        for member in old.namelist():
            content = old.read(member)
            if member == "config.json":
                config = json.loads(content)
                change(config)
                content = json.dumps(config)
            new.writestr(member, content)
    return path


@pytest.mark.parametrize("name", ["a process", "a command", "open", "nothing"])
def test_a_saved_model_runs_no_code(name, saved, tmp_path):
    path = tmp_path / "made"

    def change(config):
        config["config"]["distribution"] = filled(HOSTILE[name], path)

    with pytest.raises(ValueError, match="Expected"):
        keras.saving.load_model(changed(saved, tmp_path / "hostile.keras", change))
    assert not path.exists()
    model = keras.saving.load_model(saved)
    assert np.isfinite(model(np.zeros([1, 2], np.float32))).all()


@pytest.mark.parametrize("part", ["optimizer", "loss", "metrics"])
def test_nor_does_what_it_was_compiled_with(part, saved, tmp_path):
    path = tmp_path / "made"
    arguments = {"args": ["touch", str(path)]}
    process = {"module": "subprocess", "class_name": "Popen", "config": arguments}

    def change(config):
        config["compile_config"] = {"optimizer": "adam", part: process}

    with pytest.raises(TypeError, match="Could not locate class 'Popen'"):
        keras.saving.load_model(changed(saved, tmp_path / "hostile.keras", change))
    assert not path.exists()


def test_types_of_python_are_no_code():
    assert deserialize(of("builtins", "float")) is float
