"""A saved flow is the same flow in a process that did not build it."""

import importlib
import json
import sys
import zipfile

import fresh_process
import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from load_saved import answers, load_all
from random_weights import randomize
from slow_cases import asked, with_slow

import tfp_flows as tff
from tfp_flows.core.saved_names import custom_modules

tfb, tfd = tfp.bijectors, tfp.distributions
TINY = {"num_steps": 2, "hidden_units": (8,)}


def with_stock_parts():
    weight = tf.Variable([0.1, 0.2, 0.3], name="stock_weight")
    stock = [tfb.Shift(0.5), tfb.SinhArcsinh(0.1)]
    return tff.FlowChain(
        [
            tff.Bounds([-20.0, -np.inf, -30.0], [20.0, 30.0, np.inf]),
            tff.Standardize(3),
            tff.Permutation(tff.bijectors.random_permutation(3, 8)),
            tff.RealNVP(
                3, standardize=False, transformer=tff.transformers.Gated(1.0), **TINY
            ),
            tff.Invert(tff.ActNorm(3, dtype=np.float32)),
            tff.BatchNorm(3),
            tff.InvertibleLinear(3),
            tfb.Chain([tfb.Shift([1.0, 2.0, 3.0]), tfb.Scale(log_scale=weight)]),
            tfb.Blockwise(stock, block_sizes=[1, 2]),
            tfb.Scale(tfp.util.TransformedVariable([1.0] * 3, tfb.Exp())),
        ]
    )


def with_own_networks():
    """With functions of Keras and of TensorFlow."""
    layers = [keras.layers.Dense(4, keras.activations.gelu, kernel_regularizer="l2")]
    layers += [keras.layers.Dense(4, dtype="mixed_bfloat16")]
    x = keras.Input([1])
    hidden = keras.layers.Dense(4, "tanh", kernel_initializer="he_normal")(x)
    outputs = keras.layers.Dense(4)(keras.ops.abs(hidden) + hidden)
    steps = []
    for network, scale in (
        (keras.Sequential(layers), keras.ops.tanh),
        (keras.Model(x, outputs), tf.tanh),
    ):
        conditioner = tff.Conditioner(network, 1)
        steps += [tff.Coupling(tff.masks.half(3), conditioner, tff.Affine(scale))]
    return tff.FlowChain(steps)


def trainable_base():
    loc = tf.Variable([0.1, 0.0, -0.1], name="loc")
    return tfd.MultivariateNormalTriL(loc, tf.linalg.diag([1.0, 2.0, 0.5]))


def mixture_base():
    components = tfd.MultivariateNormalDiag(tf.constant([[0.0] * 3, [1.0] * 3]), [1.0] * 3)
    return tfd.MixtureSameFamily(tfd.Categorical(logits=[0.0, 0.5]), components)


def normal():
    return tff.standard_normal(3)


def guided():
    sizes = {"num_blocks": 2, "num_layers": 1, "num_units": 4, "num_heads": 1}
    return tff.flows.Guided(tff.TarFlow(3, context_size=2, **sizes), weight=1.5)


def from_flow(base, flow):
    return tff.FlowDistribution(base(), flow)


DISTRIBUTIONS = {
    "act_norm_context": lambda: from_flow(
        normal, tff.RealNVP(3, act_norm=True, context_size=2, **TINY)
    ),
    "stock_parts": lambda: from_flow(trainable_base, with_stock_parts()),
    "own_networks": lambda: from_flow(mixture_base, with_own_networks()),
    "maf_mog_context": lambda: from_flow(
        lambda: tff.MixtureMADE(3, 2, context_size=2, hidden_units=(8,)),
        tff.MAF(3, context_size=2, num_steps=1, hidden_units=(8,)),
    ),
    "guided_context": lambda: from_flow(normal, guided()),
    "binary_masks": lambda: tff.BinaryMADE(3, hidden_units=(8,), num_masks=3),
    "any_conditional": lambda: tff.distributions.AutoregressiveDistribution(
        tff.networks.OrderAgnosticMLP(6, (8,), 3, num_masks=2),
        tff.distributions.conditionals.GaussianMixture(2),
    ),
}


def data(distribution, rows=64):
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(rows, 3)) * [1.0, 2.0, 5.0] + [3.0, -2.0, 0.0]).astype("float32")
    if isinstance(distribution, tff.BinaryMADE):
        x = (x > 0.0).astype("float32")
    if not distribution.context_size:
        return x, {}
    return x, {"context": rng.normal(size=(rows, 2)).astype("float32")}


def fit(model, epochs):
    x, context = data(model.distribution)
    inputs = (x, context["context"]) if context else x
    return model.fit(inputs, epochs=epochs, batch_size=16, shuffle=False, verbose=0)


SAVED = with_slow(DISTRIBUTIONS, {"any_conditional", "guided_context", "maf_mog_context"})


@pytest.fixture(scope="module")
def saved(tmp_path_factory, request):
    """The folder of distributions in both forms, with a fresh process's answers."""
    folder = tmp_path_factory.mktemp("saved")
    for name in asked(request, "name", SAVED):
        distribution, path = DISTRIBUTIONS[name](), folder / f"{name}.keras"
        x, context = data(distribution, rows=20)
        distribution.initialize(x, **context)
        randomize(distribution, stddev=0.1)
        model = tff.DensityEstimator(distribution)
        model.save(path)
        tf.train.Checkpoint(distribution=distribution).write(str(path.with_suffix(".ckpt")))
        np.savez(path.with_suffix(".inputs.npz"), x=x, **context)
        np.savez(path.with_suffix(".npz"), **answers(distribution, x, context))
    fresh_process.run(load_all, folder, output=folder / "output.txt")
    return folder


@pytest.mark.parametrize("name", SAVED)
def test_fresh_process_gives_equal_densities_and_samples(saved, name):
    original = np.load(saved / f"{name}.npz")
    for form in ("keras", "ckpt"):
        loaded = np.load(saved / f"{name}.{form}.npz")
        for method in ("log_prob", "sample"):
            np.testing.assert_array_equal(loaded[method], original[method])
    entries = tf.train.list_variables(str(saved / f"{name}.ckpt"))
    entries = [key for key, _ in entries if key.endswith("VARIABLE_VALUE")]
    assert len(entries) == len(DISTRIBUTIONS[name]().variables)


@pytest.mark.slow_ids("stock_parts")
@pytest.mark.usefixtures("op_by_op")
@pytest.mark.parametrize("name", ["act_norm_context", "stock_parts", "binary_masks"])
def test_training_continues_as_if_uninterrupted(name, tmp_path):
    keras.utils.set_random_seed(1)
    uninterrupted = tff.DensityEstimator(DISTRIBUTIONS[name]())
    uninterrupted.compile(keras.optimizers.Adam(1e-2), jit_compile=False)
    fit(uninterrupted, epochs=1)
    uninterrupted.save(tmp_path / "model.keras")
    resumed = keras.saving.load_model(tmp_path / "model.keras")
    # What is loaded is not initialised again.
    x, context = data(resumed.distribution)
    if name == "act_norm_context":
        assert resumed.distribution.is_initialized
        resumed.distribution.initialize(100.0 * x, **context)
    history = [fit(model, epochs=2).history["loss"] for model in (uninterrupted, resumed)]
    np.testing.assert_array_equal(*history)
    for a, b in zip(uninterrupted.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_checkpoint_of_a_model_holds_all_variables_of_its_distribution(tmp_path):
    first, second = (
        tff.DensityEstimator(from_flow(normal, tff.RealNVP(3, seed=seed, **TINY)))
        for seed in (0, 1)
    )
    first.distribution.initialize(data(first.distribution)[0])
    path = tf.train.Checkpoint(model=first).write(str(tmp_path / "model"))
    tf.train.Checkpoint(model=second).read(path).assert_consumed()
    assert second.distribution.is_initialized
    for a, b in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.usefixtures("op_by_op")
def test_weights_file_alone_restores_a_model_of_other_seeds(tmp_path):
    def build(seed):
        permutation = tff.Permutation(tff.bijectors.random_permutation(3, seed))
        flow = tff.FlowChain([permutation, tff.RealNVP(3, seed=seed, **TINY)])
        return tff.DensityEstimator(from_flow(normal, flow))

    first, second = build(1), build(4)
    x = data(first.distribution)[0]
    first.compile("adam", jit_compile=False)
    first.fit(x, verbose=0)
    assert not np.allclose(first(x), second(x))
    first.save_weights(tmp_path / "model.weights.h5")
    second.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(first(x), second(x))


def test_lambda_is_refused_with_a_clear_message(tmp_path):
    flow = tff.RealNVP(3, transformer=tff.Affine(lambda s: s), **TINY)
    with pytest.raises(ValueError, match="can be saved.*lambda"):
        tff.DensityEstimator(from_flow(normal, flow)).save(tmp_path / "model.keras")


def test_missing_folders_of_the_path_are_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    flow = tff.NICE(3, **TINY)
    for path in ("new/folder/model.keras", "model.keras"):
        tff.DensityEstimator(from_flow(normal, flow)).save(path)
        assert (tmp_path / path).is_file()


OWN_PARTS = """
import keras
import tensorflow as tf
import tfp_flows as tff
from os import system

def gentle_scale(s):
    return 0.5 * tf.tanh(s)

class Doubled(keras.layers.Layer):
    def call(self, x):
        return 2.0 * x

class Twice(tff.FlowBijector):
    def __init__(self, event_ndims=1, **options):
        super().__init__(event_ndims=event_ndims, **options)

    def _forward_and_log_det(self, x, context, training):
        return 2.0 * x, tf.fill(tf.shape(x)[:-1], 2.0 * tf.math.log(2.0))

    def _inverse_and_log_det(self, y, context, training):
        return 0.5 * y, tf.fill(tf.shape(y)[:-1], -2.0 * tf.math.log(2.0))

class Mine(tff.DensityEstimator):
    pass
"""


@pytest.fixture
def own_parts(tmp_path, monkeypatch):
    """A module of a package outside this one."""
    (tmp_path / "own_package").mkdir()
    (tmp_path / "own_package" / "__init__.py").write_text("")
    (tmp_path / "own_package" / "parts.py").write_text(OWN_PARTS)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("own_package.parts")
    for name in ("own_package", "own_package.parts"):
        del sys.modules[name]


POINT = np.array([[1.0, 2.0]], np.float32)


def estimator_of(own_parts):
    network = keras.Sequential([own_parts.Doubled(), keras.layers.Dense(2)])
    transformer = tff.Affine(own_parts.gentle_scale)
    coupling = tff.Coupling([True, False], tff.Conditioner(network, 1), transformer)
    flow = tff.FlowChain([own_parts.Twice(name="twice"), coupling])
    return own_parts.Mine(tff.FlowDistribution(tff.standard_normal(2), flow))


def test_parts_of_ones_own_load_where_their_module_is_named(own_parts, tmp_path):
    model, path = estimator_of(own_parts), tmp_path / "own.keras"
    model.save(path)
    for others in ((), ["json"]):
        with pytest.raises(ValueError, match=r"got `own_package\.parts\.M.*custom_modules"):
            tff.load(path, custom_modules=others)
    for module in (own_parts, "own_package.parts", "own_package"):
        loaded = tff.load(path, custom_modules=[module])
        assert type(loaded) is own_parts.Mine
        np.testing.assert_array_equal(loaded(POINT), model(POINT))


def test_a_named_module_does_not_lend_what_it_imports(own_parts, tmp_path):
    model = estimator_of(own_parts)
    config = json.dumps(model.get_config()).replace("gentle_scale", "system")
    with custom_modules([own_parts]):
        type(model).from_config(model.get_config())
        with pytest.raises(ValueError, match="got `own_package.parts.system`"):
            type(model).from_config(json.loads(config))


def test_custom_modules_that_are_none():
    for modules, message in (
        ("json", "`custom_modules` in a list; got 'json'"),
        ([json, "no_such_module"], "`custom_modules` of modules.*'no_such_module'"),
        ([3], "`custom_modules` of modules.*got 3"),
    ):
        with pytest.raises(ValueError, match=message), custom_modules(modules):
            pass


FORMS = {"own_networks": "file", "stock_parts": "folder"}
FORMS |= {"act_norm_context": "packed", "any_conditional": "not compiled"}


@pytest.mark.parametrize(("name", "form"), FORMS.items())
def test_what_a_file_may_hold(name, form, tmp_path):
    keras.utils.set_random_seed(0)
    model = tff.DensityEstimator(DISTRIBUTIONS[name]())
    schedule = keras.optimizers.schedules.CosineDecay(1e-3, 100)
    model.compile(keras.optimizers.AdamW(schedule), jit_compile=False)
    path = tmp_path / ("model" if form == "folder" else "model.keras")
    model.save(path, **({"zipped": False} if form == "folder" else {}))
    if form == "packed":
        with zipfile.ZipFile(path) as archive:
            members = {member: archive.read(member) for member in archive.namelist()}
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for member, content in members.items():
                archive.writestr(member, content)
    loaded = tff.load(path, compile=form != "not compiled")
    x, context = data(model.distribution)
    inputs = (x, context["context"]) if context else x
    np.testing.assert_array_equal(loaded(inputs), model(inputs))
    assert loaded.compiled == (form != "not compiled")
    if form == "folder":
        with pytest.raises(ValueError, match="`filepath` of a folder without a model; got"):
            model.save(path, zipped=False)
        tff.load(path)  # it has stayed as it was
