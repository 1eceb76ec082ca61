"""Saved files that were made to run code: each is refused, and nothing of theirs is called.

Whatever an attack calls makes the file `made` in the folder of the test.
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
from os import system  # noqa: F401  what "by who imports it" asks for

import h5py
import keras
import numpy as np
import pytest

import tfp_flows
from tfp_flows.core.serialization import deserialize

Popen = subprocess.Popen


def evil(x, *args, **kwargs):
    """What a file must not call, though its module is loaded."""
    open("made", "w").close()
    return x


TOUCH = {"args": {"list": ["touch", "made"]}}
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


def tf_keras(path, /, **config):
    module, name = path.rsplit(".", 1)
    config = {k: {"list": v} if isinstance(v, list) else v for k, v in config.items()}
    return built(f"tf_keras.{module}", name, **config)


LEGACY_LAMBDA = {
    "function": {"tuple": [MARSHALLED, None, None]},
    **{"function_type": "lambda", "module": "__main__", "arguments": {"dict": {}}},
    **{"output_shape": None, "output_shape_type": "raw", "output_shape_module": None},
}
# The same as a layer of a configuration of Keras 2.
LEGACY_LAYER = {
    "module": "keras.layers",
    "class_name": "Lambda",
    "config": {
        "name": "l",
        "function": [MARSHALLED, None, None],
        **{"function_type": "lambda", "module": "__main__", "arguments": {}},
        **{"output_shape": None, "output_shape_type": "raw", "output_shape_module": None},
    },
    "registered_name": None,
}
PLAIN_LAYER = {
    "dict": {
        **{"module": "keras.layers", "class_name": "Lambda", "registered_name": None},
        "config": {"dict": {"name": "l", **LEGACY_LAMBDA}},
    }
}


def dense(**config):
    return from_keras("Dense", units=1, **config)


def nested(depth, kind="list"):
    value = 0
    for _ in range(depth):
        value = {kind: [value] if kind == "list" else {"x": value}}
    return value


# In the place of the conditioner of a coupling, which is called.
VALUES = {
    "Lambda of tf_keras": tf_keras("src.layers.core.lambda_layer.Lambda", **LEGACY_LAMBDA),
    "Sequential of tf_keras": tf_keras(
        "src.engine.sequential.Sequential",
        name="s",
        layers=[PLAIN_LAYER],
        build_input_shape=[None, 1],
    ),
    "Dense of TFP": built("tensorflow_probability.layers", "DenseFlipout", units=2),
    "a process": built("subprocess", "Popen", **TOUCH),
    "a command": built("os", "system", command="touch made"),
    "the same by its own module": named("posix", "system"),
    "the same by who imports it": named(__name__, "system"),
    "a function of a loaded module": named(__name__, "evil"),
    "a function of a loaded module in a layer": named(
        "keras.src.layers.core.lambda_layer",
        "Lambda",
        config={"function": function("evil", __name__)},
    ),
    "eval": named("builtins", "eval"),
    "a module": named("os", "path"),
    "an attribute of a module": named("sys", "argv"),
    "a writer of NumPy": built("numpy", "savetxt", fname="made", X={"list": [1.0]}),
    "the same of a private module": named("numpy.lib.npyio", "NpzFile"),
    "a dtype that is none": named("numpy", "ndarray"),
    "NumPy of a module of ours": named("tfp_flows.core.serialization", "np"),
    "a module of a module of ours": named("tfp_flows.core.saved_names", "sys"),
    "modules of a module of ours": named("tfp_flows.core.saved_names.sys", "modules"),
    "a dotted name of ours": named(
        "tfp_flows.core.serialization", "Configured.from_config"
    ),
    "a function of ours": named("tfp_flows.core.serialization", "deserialize"),
    "the loader of ours": named("tfp_flows.training.loading", "load"),
    "a class of ours without a configuration": named(
        "tfp_flows.tables.table_density", "TableDensity"
    ),
    "a special name of ours": named("tfp_flows.core.serialization", "__loader__"),
    "a program of ours": named("tfp_flows.__main__", "main"),
    "a private module of Keras": named("keras.src.saving.saving_lib", "load_model"),
    "a log by Keras": built("keras.callbacks", "CSVLogger", filename="made"),
    "a private module of TensorFlow": named("tensorflow.python.ops.io_ops", "write_file"),
    "a function of Python in TensorFlow": named("tensorflow", "py_function"),
    "a module of a module": named("tensorflow.math", "sys"),
    "a class among functions": named("tensorflow.nn", "RNNCellDropoutWrapper"),
    "a forged registration": {"registered": "tfp_flows>evil"},
    "a forged registration of a path": {"registered": "os.system"},
    "a registration that is no name": {"registered": {"dict": {}}},
    "a module that is no name": named({"dict": {}}, "x"),
    "a module alone": {"module": "os"},
    "nothing": {},
    "nothing of JSON's": [1, 2],
    "an unknown kind": {"code": CODE},
    "no name of ours": named("tfp_flows", "Nothing"),
    "of TFP, what is no bijector": stock("bijectors", "__class__", name="x"),
    "of TFP, a module": stock("distributions", "Normal.mro"),
    "of TFP, an unknown part": stock("internal", "Affine"),
    "of TFP, what makes others": stock(
        "bijectors", "Inline", forward_fn=named("os", "system")
    ),
    "of TFP, functions that would do no harm": stock(
        "bijectors", "Inline", forward_fn=named("tensorflow.math", "tanh")
    ),
    "of TFP, functions of a joint distribution": stock(
        "distributions",
        "JointDistributionSequential",
        model={"list": [named("tfp_flows.transformers.affine", "exp_scale")]},
    ),
    "of TFP, no arguments of its": stock("bijectors", "Scale", evil=1.0),
    "a named tuple whose name is code": {
        "named": [1],
        "name": f"x(tuple): pass\n{CODE}(0)\nclass y",
        "fields": ["a"],
    },
    "a named tuple whose fields are code": {
        "named": [1],
        "name": "x",
        "fields": [f"a=({CODE})(0)"],
    },
    "a named tuple of another size": {"named": [1, 2], "name": "x", "fields": ["a"]},
    "an array of objects": {"array": [[MARSHALLED]], "dtype": "object"},
    "an array of long texts": {"array": ["x"], "dtype": "S4000000000"},
    "an array of long records": {"array": [0], "dtype": "V4000000000"},
    "a dtype of code": {"tf_dtype": CODE},
    "a variable that is code": {"variable": {"code": CODE}, "trainable": True},
    "a shape of texts": {"shape": [CODE]},
    "lists in lists": nested(260),
    "dicts in dicts": nested(260, "dict"),
    "a flow of gigabytes": built("tfp_flows.flows.nice", "NICE", event_size=2**22),
    "a flow of too many gigabytes": built(
        "tfp_flows.flows.real_nvp",
        "RealNVP",
        event_size=2,
        hidden_units={"tuple": [30_000, 30_000]},
    ),
}

# In the place of the layers of a network that is Keras's own.
LAYERS = {
    "code": from_keras("Lambda", function=LAMBDA),
    "code by its own module": from_keras(
        "Lambda", "keras.src.layers.core.lambda_layer", function=LAMBDA
    ),
    "code of before": LEGACY_LAYER,
    "code of before, without a module": {
        k: v for k, v in LEGACY_LAYER.items() if k != "module"
    },
    "code for a shape": from_keras(
        "Lambda", function=function("relu"), output_shape=LAMBDA
    ),
    "an activation": dense(activation=LAMBDA),
    "a dtype": dense(dtype=LAMBDA),
    "an argument that there is not": dense(evil=LAMBDA),
    "a configuration of the build": {**dense(), "build_config": {"input_shape": LAMBDA}},
    "a wrapper": from_keras("TimeDistributed", layer=from_keras("Lambda", function=LAMBDA)),
    "a network in a network": from_keras(
        "Sequential",
        "keras",
        name="s",
        layers=[from_keras("Sequential", "keras", name="t", layers=[LEGACY_LAYER])],
    ),
    "a network of tf_keras": from_keras("Sequential", "tf_keras", layers=[LEGACY_LAYER]),
    "a layer of tf_keras": from_keras("Dense", "tf_keras.layers", units=2),
    "a process": from_keras("Popen", "subprocess", args=["touch", "made"]),
    "a command as activation": dense(activation=function("system", "os")),
    "a command among built-in functions": dense(activation=function("system")),
    "a loader as activation": dense(activation=function("load_model", "keras.saving")),
    "a loader of before": dense(
        activation=function("deserialize_keras_object", "keras.legacy.saving")
    ),
    "a SavedModel": from_keras("TFSMLayer", filepath="x"),
    "a pickle of torch": from_keras("TorchModuleWrapper", module="x"),
    "a program of JAX": from_keras("JaxLayer", call_fn=LAMBDA),
    "a vocabulary from a file": from_keras("StringLookup", vocabulary="/etc/passwd"),
    "a callback": from_keras("CSVLogger", "keras.callbacks", filename="made"),
    "no layer of a private module": from_keras("H5IOStore", "keras.src.saving.saving_lib"),
    "a type of TensorFlow": {
        "class_name": "__typespec__",
        "spec_name": "Popen",
        "module": "subprocess",
        "config": ["touch"],
        "registered_name": None,
    },
    "a forged registration": {**dense(), "registered_name": "tfp_flows>evil"},
    "a class that is no text": {**dense(), "class_name": ["Dense"]},
    "an array of objects": dense(
        name={"class_name": "__numpy__", "config": {"value": [1], "dtype": "O"}}
    ),
    "layers in layers": None,  # filled below
    "units of a petabyte": from_keras("Dense", units=2**48),
    "units of many gigabytes": from_keras("Dense", units=2**31),
}
LAYERS["layers in layers"] = dense()
for _ in range(300):
    LAYERS["layers in layers"] = from_keras("Wrapper", layer=LAYERS["layers in layers"])


def process(**more):
    return {**from_keras("Popen", "subprocess", args=["touch", "made"]), **more}


# What becomes of the whole `config.json`.
CONFIGS = {
    "no object": lambda config: [config],
    "nothing": lambda config: {},
    "a process": lambda config: process(),
    "a process with our name": lambda config: process(
        registered_name="tfp_flows>DensityEstimator"
    ),
    "a network of Keras": lambda config: from_keras(
        "Sequential", "keras", name="s", layers=[LEGACY_LAYER]
    ),
    "a network of Keras 2": lambda config: {
        "class_name": "Sequential",
        "config": {"name": "s", "layers": [LEGACY_LAYER]},
    },
    "a network of tf_keras": lambda config: from_keras(
        "Sequential",
        "tf_keras.src.engine.sequential",
        name="s",
        layers=[LEGACY_LAYER],
        build_input_shape=[None, 2],
    ),
    "code": lambda config: LAMBDA,
    "an encoder of tf_keras": lambda config: {
        **from_keras(
            "VAE", "tfp_flows.vae.model", encoder=VALUES["Sequential of tf_keras"]
        ),
        "registered_name": "tfp_flows>VAE",
    },
    "another class": lambda config: {**config, "registered_name": "tfp_flows>MLP"},
    "a registration that is forged": lambda config: {
        **config,
        "registered_name": "tfp_flows>evil",
    },
    "a dtype": lambda config: {**config, "config": {**config["config"], "dtype": LAMBDA}},
    "columns": lambda config: {**config, "config": {**config["config"], "columns": LAMBDA}},
    "an optimizer": lambda config: {**config, "compile_config": {"optimizer": process()}},
    "a loss": lambda config: {
        **config,
        "compile_config": {"optimizer": "adam", "loss": LAMBDA},
    },
    "a metric": lambda config: {
        **config,
        "compile_config": {"optimizer": "adam", "metrics": [process()]},
    },
    "a schedule": lambda config: {
        **config,
        "compile_config": {
            "optimizer": from_keras("Adam", "keras.optimizers", learning_rate=LAMBDA)
        },
    },
    "another argument of `compile`": lambda config: {
        **config,
        "compile_config": {"optimizer": "adam", "evil": LAMBDA},
    },
    "a build": lambda config: {**config, "build_config": {"input_shape": process()}},
}


def with_conditioner(config, conditioner):
    """The configuration of `estimator` with another conditioner."""
    config = copy.deepcopy(config)
    flow = config["config"]["distribution"]["config"]["dict"]["bijector"]
    flow["config"]["dict"]["conditioner"] = conditioner
    return config


def conditioner_with(layer):
    network = named("keras.src.models.sequential", "Sequential")
    shape = [None, 1]
    network["config"] = {"name": "n", "layers": [layer], "build_input_shape": shape}
    place = "tfp_flows.networks.conditioner"
    return built(place, "Conditioner", network=network, input_shape=1)


CHANGES = {f"config, {name}": change for name, change in CONFIGS.items()}
CHANGES |= {
    f"value, {name}": lambda config, value=value: with_conditioner(config, value)
    for name, value in VALUES.items()
}
CHANGES |= {
    f"layer, {name}": lambda config, layer=layer: with_conditioner(
        config, conditioner_with(layer)
    )
    for name, layer in LAYERS.items()
}


def estimator(layer):
    conditioner = tfp_flows.Conditioner(keras.Sequential([layer]), 1)
    flow = tfp_flows.Coupling([True, False], conditioner, tfp_flows.transformers.Shift())
    base = tfp_flows.standard_normal(2)
    return tfp_flows.DensityEstimator(tfp_flows.FlowDistribution(base, flow))


def saved(folder, layer):
    """The members of a file as `save` writes it, by name."""
    estimator(layer).save(folder / "model.keras")
    with zipfile.ZipFile(folder / "model.keras") as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def members(tmp_path_factory):
    """Those of a model whose file fits any network without weights."""
    return saved(tmp_path_factory.mktemp("saved"), keras.layers.Identity())


@pytest.fixture(scope="module")
def with_weights(tmp_path_factory):
    """Those of a model with a kernel and a bias."""
    return saved(tmp_path_factory.mktemp("saved"), keras.layers.Dense(1))


def write(members, **options):
    with zipfile.ZipFile("hostile.keras", "w", **options) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return "hostile.keras"


def write_config(members, name):
    config = CHANGES[name](json.loads(members["config.json"]))
    return write({**members, "config.json": json.dumps(config)})


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield
    assert not os.path.exists("made")


def refuse(path):
    """Asserts that a file is refused with little memory."""
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="Expected"):
            tfp_flows.load(path)
        assert tracemalloc.get_traced_memory()[1] < 2**28
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", CHANGES)
def test_a_hostile_configuration_is_refused(name, members):
    refuse(write_config(members, name))


TOO_LARGE = ("petabyte", "gigabytes")


@pytest.mark.parametrize("name", [name for name in CHANGES if not name.endswith(TOO_LARGE)])
def test_nor_does_keras_run_it(name, members):
    path = write_config(members, name)
    with contextlib.suppress(Exception):  # Keras raises many kinds
        keras.saving.load_model(path)(np.zeros([1, 2], np.float32))


@pytest.mark.parametrize("name", VALUES)
def test_nor_is_it_made_as_an_argument(name):
    if name.endswith(TOO_LARGE):
        return
    path = "tfp_flows.transformers.affine"
    with pytest.raises(ValueError, match="Expected"):
        deserialize(built(path, "Affine", scale=VALUES[name]))


def weights(change):
    """The members of a file whose weights `change` has changed."""

    def changed(members):
        content = io.BytesIO(members["model.weights.h5"])
        with h5py.File(content, "r+") as file:
            names = []
            file.visititems(
                lambda name, part: (
                    names.append(name) if isinstance(part, h5py.Dataset) else None
                )
            )
            change(file, names[0])
        return write({**members, "model.weights.h5": content.getvalue()})

    return changed


def replaced(make):
    def change(file, name):
        del file[name]
        make(file, name)

    return weights(change)


def packed(**changes):
    options = {"compression": zipfile.ZIP_DEFLATED, "compresslevel": 1}
    return lambda members: write({**members, **changes}, **options)


def external(file, name):
    options = {"external": [("/etc/passwd", 0, 16)], "dtype": "f4"}
    file.create_dataset(name, (2, 2), **options)


def virtual(file, name):
    layout = h5py.VirtualLayout((2, 2), "f4")
    layout[:] = h5py.VirtualSource("/etc/other.h5", "x", (2, 2))
    file.create_virtual_dataset(name, layout)


def duplicated(members):
    path = write(members)
    with (
        pytest.warns(UserWarning, match="Duplicate"),
        zipfile.ZipFile(path, "a") as archive,
    ):
        archive.writestr("config.json", json.dumps(process()))
    return path


def encrypted(members):
    path = write(members)
    content = bytearray(open(path, "rb").read())
    content[content.index(b"PK\1\2") + 8] |= 1
    open(path, "wb").write(content)
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
    "many zeros for a configuration": packed(**{"config.json": bytes(2**27)}),
    "many zeros for weights": packed(**{"model.weights.h5": bytes(2**27)}),
    "many zeros for metadata": packed(**{"metadata.json": bytes(2**27)}),
    "a long configuration": packed(**{"config.json": b"[" + b"0," * 2**25 + b"0]"}),
    "a configuration of brackets": packed(**{"config.json": b"[" * 2**20}),
    "a configuration of nested objects": packed(**{"config.json": b'{"list": [' * 2**17}),
    "a configuration of a long number": packed(**{"config.json": b"9" * 2**20}),
    "a configuration that is no text": packed(**{"config.json": bytes(range(256))}),
    "many members": packed(**{f"assets/{i}": b"" for i in range(2_000)}),
    "a path to a folder above": packed(**{"../made": b""}),
    "a path through assets": packed(**{"assets/../../made": b""}),
    "a path of Windows": packed(**{"assets\\..\\..\\made": b""}),
    "a path from the root": packed(**{"/tmp/made": b""}),
    "code beside the model": packed(**{"setup.py": b"open('made', 'w')"}),
    "a pickle beside the model": packed(**{"model.pkl": b""}),
    "weights of NumPy": packed(**{"model.weights.npz": b""}),
    "one name twice": duplicated,
    "a password": encrypted,
    "a packing of another kind": lambda members: write(
        members, compression=zipfile.ZIP_LZMA
    ),
    "no weights": lambda members: write({"config.json": members["config.json"]}),
    "no configuration": lambda members: write({"model.weights.h5": b""}),
    "weights that are none": packed(**{"model.weights.h5": MARSHALLED.encode()}),
    "a pickle for an archive": a_pickle,
    "a folder with a link": folder,
    "an external link": replaced(
        lambda file, name: file.__setitem__(name, h5py.ExternalLink("/etc/x.h5", "x"))
    ),
    "a soft link": replaced(lambda file, name: file.__setitem__(name, h5py.SoftLink("/x"))),
    "a hard link": weights(lambda file, name: file.__setitem__("again", file[name])),
    "groups in a circle": weights(lambda file, name: file.__setitem__("again", file["/"])),
    "values of another file": replaced(external),
    "a virtual dataset": replaced(virtual),
    "a shape without values": replaced(
        lambda file, name: file.create_dataset(name, (2**30,), "f4", chunks=(2**20,))
    ),
    "packed zeros": replaced(
        lambda file, name: file.create_dataset(
            name, data=np.zeros(2**20), chunks=(2**18,), compression="gzip"
        )
    ),
    "texts for weights": replaced(lambda file, name: file.__setitem__(name, "text")),
    "references for weights": replaced(
        lambda file, name: file.create_dataset(name, data=file.ref, dtype=h5py.ref_dtype)
    ),
    "a named type for weights": replaced(
        lambda file, name: file.__setitem__(name, np.dtype("f8"))
    ),
    "groups in groups": weights(lambda file, name: file.create_group("/x" * 300)),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_a_hostile_archive_is_refused(name, with_weights):
    refuse(ARCHIVES[name](with_weights))


def test_the_files_that_attacks_change_load(members, with_weights):
    for good in (members, with_weights):
        assert np.isfinite(tfp_flows.load(write(good))(np.zeros([1, 2], np.float32)))


def test_a_table_is_read_by_the_same_rules(members):
    path = write_config(members, "value, Lambda of tf_keras")
    with pytest.raises(ValueError, match="Expected Keras 3 objects"):
        tfp_flows.TableDensity.load(path)
    with pytest.raises(ValueError, match="Expected the file of a `TableDensity`"):
        tfp_flows.TableDensity.load(write(members))


DESCRIPTIONS = {
    "no columns": {},
    "columns of code": {"columns": {"list": [CODE]}},
    "a column of other entries": {"columns": {"list": [{"dict": {"evil": 1}}]}},
    "columns alone": {"columns": {"list": []}},
}


@pytest.fixture(scope="module")
def saved_table(tmp_path_factory):
    frame = {"x": np.linspace(0.0, 1.0, 40), "kind": ["a", "b"] * 20}
    columns = tfp_flows.describe_columns(frame)
    table = tfp_flows.TableDensity(columns, num_members=1, hidden_units=(4,), seed=0)
    table.fit(frame, epochs=1, verbose=0)
    path = tmp_path_factory.mktemp("table") / "table.keras"
    table.save(path)
    return path


@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_a_table_of_another_description_is_refused(name, saved_table):
    with zipfile.ZipFile(saved_table) as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    config = json.loads(members["config.json"])
    rows = config["config"]["distribution"]["config"]["dict"]
    rows["description"] = {"dict": DESCRIPTIONS[name]}
    with pytest.raises(ValueError, match="Expected"):
        tfp_flows.TableDensity.load(write({**members, "config.json": json.dumps(config)}))


def step(name, module, /, **arguments):
    return built(f"tfp_flows.{module}", name, **arguments)


MATRIX, LONG = 30_000, 2**33
# Steps whose constructors build arrays before, or without, variables.
LARGE = {
    "a mixing": step("InvertibleLinear", "bijectors.linear", event_size=MATRIX),
    "a drawn mixing": step(
        "InvertibleConv1x1", "bijectors.linear", event_size=MATRIX, seed=0
    ),
    "a decorrelation": step("Decorrelate", "bijectors.standardize", event_size=MATRIX),
    "a Gaussian": step("Whiten", "bijectors.standardize", event_size=MATRIX),
    "tails": step("HeavyTails", "bijectors.heavy_tails", event_size=LONG),
    "a norm": step("ActNorm", "bijectors.act_norm", event_size=LONG),
    "a splines' weights": step(
        "Elementwise",
        "bijectors.elementwise",
        event_size=2**20,
        transformer=step(
            "RationalQuadraticSpline", "transformers.spline", num_bins=500, bound=1.0
        ),
    ),
    "an image": step("Squeeze", "bijectors.squeeze", image_shape={"list": [2**20] * 3}),
    "checkerboards": step(
        "RealNVPImage", "flows.real_nvp_image", image_shape={"list": [2**14, 2**14, 3]}
    ),
    "pixels": step("Glow", "flows.glow", image_shape={"list": [2**14, 2**14, 3]}),
    "wide masks": step(
        "MAF", "flows.maf", event_size=2, hidden_units={"tuple": [MATRIX, MATRIX]}
    ),
    "masks of many variables": step("MADE", "flows.made", event_size=2**19),
    "an ordering": step("IAF", "flows.iaf", event_size=LONG),
    "a permutation": step(
        "MAF", "flows.maf", event_size=LONG, random_orderings=True, num_steps=2
    ),
    "many steps": step("MAF", "flows.maf", event_size=2, num_steps=2**19, lu_mixing=True),
    "a context": step("NICE", "flows.nice", event_size=2, context_size=LONG),
    "many bins": step(
        "NeuralSplineFlow", "flows.neural_spline_flow", event_size=2**19, num_bins=500
    ),
}


@pytest.mark.parametrize("name", LARGE)
def test_a_step_of_more_memory_than_the_file_is_refused(name, members):
    config = json.loads(members["config.json"])
    config["config"]["distribution"]["config"]["dict"]["bijector"] = LARGE[name]
    path = write({**members, "config.json": json.dumps(config)})
    refuse(path)
    with pytest.raises(ValueError, match="entries|variables"):  # not by another error
        tfp_flows.load(path)


def test_a_large_file_loads(tmp_path):
    size = 1200  # a matrix of more entries than a small file may have
    flow = tfp_flows.InvertibleLinear(size)
    base = tfp_flows.standard_normal(size)
    model = tfp_flows.DensityEstimator(tfp_flows.FlowDistribution(base, flow))
    model.save(tmp_path / "large.keras")
    assert tfp_flows.load(tmp_path / "large.keras")(np.zeros([1, size], np.float32)).shape
