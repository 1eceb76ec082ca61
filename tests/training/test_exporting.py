"""`DensityEstimator.export`: equal answers where only TensorFlow is imported."""

import fresh_process
import keras
import load_exported
import numpy as np
import pytest
import tensorflow as tf
from derivatives import op_by_op
from random_weights import randomize
from slow_cases import asked
from slow_cases import with_slow
from small_estimator import estimator
from small_estimator import of

import tfp_flows as tff

CASES = {
    "real_nvp": lambda: estimator(act_norm=True),
    "conditional": lambda: estimator(context_size=3),
    "maf in float64": lambda: of(
        tff.MAF(2, num_steps=1, hidden_units=(8,), seed=0, dtype="float64"),
        base=tff.standard_normal(2, dtype="float64"),
    ),
}


@pytest.fixture(scope="module")
def exported(tmp_path_factory, request):
    """Of each case, its model, its inputs, and what a fresh process has answered."""
    folder = tmp_path_factory.mktemp("exported")
    rng = np.random.default_rng(0)
    cases = {}
    for name in asked(request, "name", CASES):
        model = CASES[name]()
        dtype = model.compute_dtype
        inputs = {"x": rng.normal(size=(6, 2)).astype(dtype)}
        if name == "conditional":
            inputs["context"] = rng.normal(size=(6, 3)).astype(dtype)
        x = tuple(inputs.values()) if len(inputs) > 1 else inputs["x"]
        with op_by_op():
            model.fit(x, epochs=2, verbose=0)
        model.export(folder / name, verbose=False)
        np.savez(folder / f"{name}.inputs.npz", **inputs)
        cases[name] = model, inputs
    fresh_process.run(load_exported.load_all, folder, output=folder / "output.txt")
    return {
        name: (*case, dict(np.load(folder / f"{name}.answers.npz")))
        for name, case in cases.items()
    }


@pytest.mark.slow_ids("real_nvp")
@pytest.mark.parametrize("name", CASES)
@pytest.mark.usefixtures("op_by_op")
def test_endpoints_answer_as_the_distribution_does(exported, name):
    model, inputs, answers = exported[name]
    distribution = model.distribution
    context = {k: v for k, v in inputs.items() if k == "context"}
    tolerance = {"rtol": 1e-5, "atol": 1e-6}
    expected = distribution.log_prob(inputs["x"], **context)
    np.testing.assert_allclose(answers["log_prob"], expected, **tolerance)
    np.testing.assert_allclose(answers["signature"], expected, **tolerance)
    np.testing.assert_allclose(answers["serve"], expected[:2], **tolerance)
    for key, count, seed in (("sample", 5, 7), ("negative", 2, -3)):
        expected = distribution.sample(count, seed=seed, **context)
        np.testing.assert_allclose(answers[key], expected, **tolerance)
    assert answers["log_prob"].dtype == inputs["x"].dtype


def test_a_loaded_model_is_exported_too(tmp_path, banana):
    model = estimator()
    with op_by_op():
        model.fit(banana, batch_size=256, verbose=0)
        expected = model.distribution.log_prob(banana)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    loaded.export(tmp_path / "exported", verbose=False)
    exported = tf.saved_model.load(str(tmp_path / "exported"))
    np.testing.assert_allclose(exported.log_prob(banana), expected, rtol=1e-5)


def made():
    distribution = randomize(tff.CategoricalMADE([2, 4, 3], hidden_units=(8,), seed=0))
    return distribution, {"x": distribution.sample(6, seed=0).numpy()}


def table(**options):
    rng = np.random.default_rng(0)
    frame = {"kind": rng.choice(["a", "b"], 80), "size": np.exp(rng.normal(size=80))}
    options = {"num_members": 2, "hidden_units": (8,), "seed": 0, **options}
    fitted = tff.TableDensity(tff.describe_columns(frame), **options)
    fitted.fit(frame, epochs=1)
    x, context = fitted.encode(frame)
    return fitted, {"x": x} | ({"context": context} if fitted.context else {})


WITHOUT_MODEL = {"made": made, "table": table, "given": lambda: table(context="kind")}


@pytest.fixture(scope="module")
def without_model(tmp_path_factory, request):
    """Distributions that `tff.export` has written, with their inputs and answers."""
    folder = tmp_path_factory.mktemp("without_model")
    cases = {name: WITHOUT_MODEL[name]() for name in asked(request, "kind", WITHOUT_MODEL)}
    for name, (exported, inputs) in cases.items():
        tff.export(exported, folder / name)
        np.savez(folder / f"{name}.inputs.npz", **inputs)
    fresh_process.run(load_exported.load_all, folder, output=folder / "output.txt")
    return {
        name: (*case, dict(np.load(folder / f"{name}.answers.npz")))
        for name, case in cases.items()
    }


@pytest.mark.parametrize("kind", with_slow(WITHOUT_MODEL, {"table", "given"}))
def test_exported_distributions_answer_with_the_same_bits(without_model, kind):
    exported, inputs, answers = without_model[kind]
    distribution = getattr(exported, "distribution", exported)
    context = {k: v for k, v in inputs.items() if k == "context"}
    expected = distribution.log_prob(inputs["x"], **context)
    np.testing.assert_array_equal(answers["log_prob"], expected)
    first = {k: v[:2] for k, v in context.items()}
    served = distribution.log_prob(inputs["x"][:2], **first)
    np.testing.assert_array_equal(answers["serve"], served)
    drawn = distribution.sample(5, 7, **context)
    # Those of a table are drawn op by op, and else by a graph that is optimised.
    rounding = 0.0 if kind == "made" else 1e-5
    np.testing.assert_allclose(answers["sample"], drawn, rtol=rounding, atol=rounding)


def test_what_is_no_distribution_is_not_exported(tmp_path):
    with pytest.raises(ValueError, match="`distribution`.*'flow'"):
        tff.export("flow", tmp_path / "exported")
    with pytest.raises(ValueError, match="`folder`.*None"):
        tff.export(tff.standard_normal(2), None)


def test_other_formats_are_refused(tmp_path):
    with pytest.raises(ValueError, match="`format` of 'tf_saved_model'.*got 'onnx'"):
        estimator().export(tmp_path / "model", format="onnx")
