"""Saved files that try to run code or fill memory: each is refused, and no code runs.

One row for each rule of `core/saved_names.py`, `core/serialization.py` and
`training/loading.py`. Whatever an attack calls makes the file `made` in the folder of the
test.
"""

import base64
import contextlib
import copy
import io
import json
import marshal
import os
import pickle
import subprocess
import tracemalloc
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

import tfp_flows

Popen = subprocess.Popen


def evil(x, *args, **kwargs):
    """A function that no file may call, though its module is loaded."""
    open("made", "w").close()
    return x


CODE = "lambda x: (open('made', 'w').close(), x)[1]"  # marshalled in files
MARSHALLED = base64.b64encode(marshal.dumps(eval(CODE).__code__)).decode()
LAMBDA = {
    "class_name": "__lambda__",
    "config": {"code": MARSHALLED, "defaults": None, "closure": None},
}


def named(module, name, /, **more):
    return {"module": module, "name": name, **more}


def built(module, name, /, **arguments):
    return named(module, name, config={"dict": arguments})


def stock(part, name, /, **parameters):
    return {"stock": part, "name": name, "parameters": {"dict": parameters}}


def from_keras(class_name, module="keras.layers", /, **config):
    found = {"module": module, "class_name": class_name, "config": config}
    return {**found, "registered_name": None}


def function(name, module="builtins"):
    found = {"module": module, "class_name": "function", "config": name}
    return {**found, "registered_name": name}


def dense(**config):
    return from_keras("Dense", units=1, **config)


def nested(depth, outer, inner=0):
    for _ in range(depth):
        inner = outer(inner)
    return inner


PROCESS = from_keras("Popen", "subprocess", args=["touch", "made"])
BUILT_PROCESS = built("subprocess", "Popen", args={"list": ["touch", "made"]})

LAMBDA_OF_TF_KERAS = built(
    "tf_keras.src.layers.core.lambda_layer",
    "Lambda",
    function={"tuple": [MARSHALLED, None, None]},
)

# In place of a coupling's conditioner, which is called.
VALUES = {
    "Lambda of tf_keras": LAMBDA_OF_TF_KERAS,
    "a process": BUILT_PROCESS,
    "a function of a loaded module": named(__name__, "evil"),
    "NumPy of a module of ours": named("tfp_flows.core.serialization", "np"),
    "a dotted name of ours": named(
        "tfp_flows.core.serialization", "Configured.from_config"
    ),
    "a function of ours": named("tfp_flows.core.serialization", "deserialize"),
    "a class of ours without a configuration": named(
        "tfp_flows.tables.table_density", "TableDensity"
    ),
    "a function of Keras": named("keras.src.saving.saving_lib", "load_model"),
    "a class of Keras without tensors": built(
        "keras.callbacks", "CSVLogger", filename="made"
    ),
    "a module of a module": named("tensorflow.math", "sys"),
    "a forged registration": {"registered": "tfp_flows>evil"},
    "a module that is no name": named({"dict": {}}, "x"),
    "an unknown kind": {"code": CODE},
    "of TFP, an unknown part": stock("internal", "Affine"),
    "of TFP, what takes functions": stock(
        "bijectors", "Inline", forward_fn=named("tensorflow.math", "tanh")
    ),
    "of TFP, functions of a joint distribution": stock(
        "distributions",
        "JointDistributionSequential",
        model={"list": [named("tfp_flows.transformers.affine", "exp_scale")]},
    ),
    "of TFP, no arguments of its": stock("bijectors", "Scale", evil=1.0),
    "a named tuple whose fields are code": {
        "named": [1],
        "name": "x",
        "fields": [f"a=({CODE})(0)"],
    },
    "an array of objects": {"array": [[MARSHALLED]], "dtype": "object"},
    "an array of long texts": {"array": ["x"], "dtype": "S4000000000"},
    "a dtype of code": {"tf_dtype": CODE},
    "a variable that is code": {"variable": {"code": CODE}, "trainable": True},
    "lists in lists": nested(260, lambda value: {"list": [value]}),
    "a flow of gigabytes": built("tfp_flows.flows.nice", "NICE", event_size=2**22),
}

# In place of the layers of a Keras network.
LAYERS = {
    "code": from_keras("Lambda", function=LAMBDA),
    "an activation": dense(activation=LAMBDA),
    "an argument that there is not": dense(evil=LAMBDA),
    "a configuration of the build": {**dense(), "build_config": {"input_shape": LAMBDA}},
    "a network of tf_keras": from_keras("Sequential", "tf_keras", layers=[LAMBDA]),
    "a command among built-in functions": dense(activation=function("system")),
    "a program of another framework": from_keras("TFSMLayer", filepath="x"),
    "a vocabulary from a file": from_keras("StringLookup", vocabulary="/etc/passwd"),
    "a type of TensorFlow": {
        **{"class_name": "__typespec__", "spec_name": "Popen", "module": "subprocess"},
        **{"config": ["touch"], "registered_name": None},
    },
    "an array of objects": dense(
        name={"class_name": "__numpy__", "config": {"value": [1], "dtype": "O"}}
    ),
    "layers in layers": nested(
        300, lambda layer: from_keras("Wrapper", layer=layer), dense()
    ),
    "units of a petabyte": from_keras("Dense", units=2**48),
}

# In place of the whole `config.json`.
CONFIGS = {
    "no object": [1],
    "a process": PROCESS,
    "a process with our name": {**PROCESS, "registered_name": "tfp_flows>DensityEstimator"},
    "an encoder of tf_keras": {
        **from_keras("VAE", "tfp_flows.vae.model", encoder=LAMBDA_OF_TF_KERAS),
        "registered_name": "tfp_flows>VAE",
    },
}
# Changed entries of a model's `config.json`.
ENTRIES = {
    "another class": {"registered_name": "tfp_flows>MLP"},
    "an optimizer": {"compile_config": {"optimizer": PROCESS}},
    "a schedule": {
        "compile_config": {
            "optimizer": from_keras("Adam", "keras.optimizers", learning_rate=LAMBDA)
        }
    },
    "another argument of `compile`": {
        "compile_config": {"optimizer": "adam", "evil": LAMBDA}
    },
}


def with_conditioner(config, conditioner):
    config = copy.deepcopy(config)
    flow = config["config"]["distribution"]["config"]["dict"]["bijector"]
    flow["config"]["dict"]["conditioner"] = conditioner
    return config


def conditioner_with(layer):
    network = named("keras.src.models.sequential", "Sequential")
    network["config"] = {"name": "n", "layers": [layer], "build_input_shape": [None, 1]}
    place = "tfp_flows.networks.conditioner"
    return built(place, "Conditioner", network=network, input_shape=1)


def hostile_configurations(config):
    """Every hostile `config.json`, made of a good one."""
    configs = {f"config, {name}": value for name, value in CONFIGS.items()}
    configs |= {f"entry, {name}": config | entry for name, entry in ENTRIES.items()}
    conditioners = {f"value, {name}": value for name, value in VALUES.items()}
    conditioners |= {f"layer, {n}": conditioner_with(v) for n, v in LAYERS.items()}
    return configs | {n: with_conditioner(config, c) for n, c in conditioners.items()}


KINDS = {"config": CONFIGS, "entry": ENTRIES, "value": VALUES, "layer": LAYERS}
NAMES = [f"{kind}, {name}" for kind, table in KINDS.items() for name in table]


def saved(folder, layer):
    """The members of a file as `save` writes it, by name."""
    conditioner = tfp_flows.Conditioner(keras.Sequential([layer]), 1)
    flow = tfp_flows.Coupling([True, False], conditioner, tfp_flows.transformers.Shift())
    dist = tfp_flows.FlowDistribution(tfp_flows.standard_normal(2), flow)
    tfp_flows.DensityEstimator(dist).save(folder / "model.keras")
    return members_of(folder / "model.keras")


def members_of(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def members(tmp_path_factory):
    """Members of the file of a model without weights."""
    return saved(tmp_path_factory.mktemp("saved"), keras.layers.Identity())


@pytest.fixture(scope="module")
def with_weights(tmp_path_factory):
    """Members of the file of a model with a kernel and a bias."""
    return saved(tmp_path_factory.mktemp("saved"), keras.layers.Dense(1))


def write(members, **options):
    with zipfile.ZipFile("hostile.keras", "w", **options) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return "hostile.keras"


def write_config(members, config):
    return write({**members, "config.json": json.dumps(config)})


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield
    assert not os.path.exists("made")


def refuse(path, words="Expected"):
    """Asserts that a file is refused with little memory."""
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=words):
            tfp_flows.load(path)
        assert tracemalloc.get_traced_memory()[1] < 2**28
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", NAMES)
def test_a_hostile_configuration_is_refused_and_keras_does_not_run_it(name, members):
    config = json.loads(members["config.json"])
    path = write_config(members, hostile_configurations(config)[name])
    refuse(path)
    if not name.endswith(("petabyte", "gigabytes")):
        with contextlib.suppress(Exception):  # Keras raises many kinds
            keras.saving.load_model(path)(np.zeros([1, 2], np.float32))


def weights(change):
    """A function that writes a file after `change(file, name)` on its HDF5 weights."""

    def changed(members):
        content = io.BytesIO(members["model.weights.h5"])
        with h5py.File(content, "r+") as file:
            # The first dataset, with its path.
            name = file.visititems(lambda n, p: n if isinstance(p, h5py.Dataset) else None)
            change(file, name)
        return write({**members, "model.weights.h5": content.getvalue()})

    return changed


def replaced(make):
    """Like `weights`; `make(file, name)` writes a substitute for the first dataset."""

    def change(file, name):
        del file[name]
        make(file, name)

    return weights(change)


def packed(name, content=b""):
    options = {"compression": zipfile.ZIP_DEFLATED, "compresslevel": 1}
    return lambda members: write({**members, name: content}, **options)


def duplicated(members):
    path = write(members)
    with (
        pytest.warns(UserWarning, match="Duplicate"),
        zipfile.ZipFile(path, "a") as archive,
    ):
        archive.writestr("config.json", json.dumps(PROCESS))
    return path


def folder(members):
    os.mkdir("hostile")
    for name, content in members.items():
        open(os.path.join("hostile", name), "wb").write(content)
    os.remove("hostile/model.weights.h5")
    os.symlink("/etc/passwd", "hostile/model.weights.h5")
    return "hostile"


def a_pickle(members):
    class Attack:
        def __reduce__(self):
            return os.system, ("touch made",)

    open("hostile.keras", "wb").write(pickle.dumps(Attack()))
    return "hostile.keras"


ARCHIVES = {
    "many zeros for a configuration": packed("config.json", bytes(2**27)),
    "a configuration of brackets": packed("config.json", b"[" * 2**20),
    "many members": lambda members: write(
        {**members, **{f"assets/{i}": b"" for i in range(2_000)}}
    ),
    "a path to a folder above": packed("../made"),
    "code beside the model": packed("setup.py", b"open('made', 'w')"),
    "one name twice": duplicated,
    "a packing of another kind": lambda members: write(
        members, compression=zipfile.ZIP_LZMA
    ),
    "no weights": lambda members: write({"config.json": members["config.json"]}),
    "weights that are none": packed("model.weights.h5", MARSHALLED.encode()),
    "a pickle for an archive": a_pickle,
    "a folder with a link": folder,
    "a link": replaced(
        lambda file, name: file.__setitem__(name, h5py.ExternalLink("/etc/x.h5", "x"))
    ),
    "groups in a circle": weights(lambda file, name: file.__setitem__("again", file["/"])),
    "values of another file": replaced(
        lambda file, name: file.create_dataset(
            name, (2, 2), "f4", external=[("/etc/passwd", 0, 16)]
        )
    ),
    "a shape without values": replaced(
        lambda file, name: file.create_dataset(name, (2**30,), "f4", chunks=(2**20,))
    ),
    "packed zeros": replaced(
        lambda file, name: file.create_dataset(
            name, data=np.zeros(2**20), chunks=(2**18,), compression="gzip"
        )
    ),
    "texts for weights": replaced(lambda file, name: file.__setitem__(name, "text")),
    "groups in groups": weights(lambda file, name: file.create_group("/x" * 300)),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_a_hostile_archive_is_refused(name, with_weights):
    refuse(ARCHIVES[name](with_weights))


def test_the_files_that_attacks_change_load(members, with_weights):
    for good in (members, with_weights):
        assert np.isfinite(tfp_flows.load(write(good))(np.zeros([1, 2], np.float32)))


TABLE = Path(__file__).parent / "saved_formats" / "1" / "table.keras"
# In place of the columns of that table.
DESCRIPTIONS = {
    "columns of code": {"columns": {"list": [CODE]}},
    "columns alone": {"columns": {"list": []}},
}


@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_a_table_of_another_description_is_refused(name):
    members = members_of(TABLE)
    config = json.loads(members["config.json"])
    rows = config["config"]["distribution"]["config"]["dict"]
    rows["description"] = {"dict": DESCRIPTIONS[name]}
    with pytest.raises(ValueError, match="Expected"):
        tfp_flows.TableDensity.load(write_config(members, config))


def test_a_table_is_read_by_the_same_rules(members):
    config = json.loads(members["config.json"])
    with pytest.raises(ValueError, match="Expected the file of a `TableDensity`"):
        tfp_flows.TableDensity.load(write(members))
    path = write_config(members, with_conditioner(config, LAMBDA_OF_TF_KERAS))
    with pytest.raises(ValueError, match="Expected Keras 3 objects"):
        tfp_flows.TableDensity.load(path)


def step(kind, /, **arguments):
    return built(kind.__module__, kind.__name__, **arguments)


MATRIX, LONG, IMAGE = 30_000, 2**33, {"list": [2**14, 2**14, 3]}
SPLINE = step(tfp_flows.transformers.RationalQuadraticSpline, num_bins=500, bound=1.0)
WIDE = {"tuple": [MATRIX, MATRIX]}
# Steps whose constructors build large arrays.
LARGE = {
    "a mixing": step(tfp_flows.InvertibleLinear, event_size=MATRIX),
    "a norm": step(tfp_flows.ActNorm, event_size=LONG),
    "a splines' weights": step(
        tfp_flows.bijectors.Elementwise, event_size=2**20, transformer=SPLINE
    ),
    "an image": step(tfp_flows.Squeeze, image_shape={"list": [2**20] * 3}),
    "checkerboards": step(tfp_flows.RealNVPImage, image_shape=IMAGE),
    "wide attention": step(tfp_flows.TarFlow, event_shape=2, num_units=MATRIX),
    "wide masks": step(tfp_flows.MAF, event_size=2, hidden_units=WIDE),
    "many steps": step(tfp_flows.MAF, event_size=2, num_steps=2**19, lu_mixing=True),
}


@pytest.mark.parametrize("name", LARGE)
def test_a_step_of_more_memory_than_the_file_is_refused(name, members):
    config = json.loads(members["config.json"])
    config["config"]["distribution"]["config"]["dict"]["bijector"] = LARGE[name]
    refuse(write_config(members, config), "entries|variables")


def test_large_numbers_that_are_no_sizes_load(tmp_path):
    flow = tfp_flows.FlowDistribution(
        tfp_flows.standard_normal(2), tfp_flows.RealNVP(2, num_steps=1)
    )
    model = tfp_flows.DensityEstimator(tfp_flows.Dequantized(flow, num_bins=2**24))
    model.save(tmp_path / "bins.keras")
    assert tfp_flows.load(tmp_path / "bins.keras").distribution.num_bins == 2**24


def test_a_large_file_loads(tmp_path):
    size = 1200  # a matrix of more entries than a small file may have
    flow = tfp_flows.InvertibleLinear(size)
    base = tfp_flows.standard_normal(size)
    model = tfp_flows.DensityEstimator(tfp_flows.FlowDistribution(base, flow))
    model.save(tmp_path / "large.keras")
    assert tfp_flows.load(tmp_path / "large.keras")(np.zeros([1, size], np.float32)).shape
