"""`export`: equal answers where only TensorFlow is imported."""

import fresh_process
import keras
import load_exported
import numpy as np
import pytest
from derivatives import op_by_op
from random_weights import randomize
from slow_cases import asked, with_slow
from small_estimator import estimator, from_flow

import tfp_flows as tff

RNG = np.random.default_rng(0)


def trained(model, context_size=0):
    dtype = model.compute_dtype
    inputs = {"x": RNG.normal(size=(6, 2)).astype(dtype)}
    if context_size:
        inputs["context"] = RNG.normal(size=(6, context_size)).astype(dtype)
    with op_by_op():
        model.fit(inputs, epochs=2, verbose=0)
    return model, inputs


def maf():
    flow = tff.MAF(2, num_steps=1, hidden_units=(8,), seed=0, dtype="float64")
    return trained(from_flow(flow, base=tff.standard_normal(2, dtype="float64")))


def masks():
    made = randomize(tff.BinaryMADE(3, hidden_units=(8,), num_masks=3, seed=0))
    return tff.DensityEstimator(made), {"x": np.eye(3, dtype="float32")}


def made():
    distribution = randomize(tff.CategoricalMADE([2, 4, 3], hidden_units=(8,), seed=0))
    return distribution, {"x": distribution.sample(6, seed=0).numpy()}


def table(**options):
    frame = {"kind": RNG.choice(["a", "b"], 80), "size": np.exp(RNG.normal(size=80))}
    options = {"num_members": 2, "hidden_units": (8,), "seed": 0, **options}
    fitted = tff.TableDensity(tff.describe_columns(frame), **options)
    fitted.fit(frame, epochs=1)
    x, context = fitted.encode(frame)
    return fitted, {"x": x} | ({"context": context} if fitted.context else {})


# How to make what is exported, with its inputs.
CASES = {
    "conditional": lambda: trained(estimator(context_size=3), 3),
    "maf in float64": maf,
    "masks": masks,
    "made": made,
    "table": table,
    "given": lambda: table(context="kind"),
}


@pytest.fixture(scope="module")
def exported(tmp_path_factory, request):
    """The exported model, its inputs, and a fresh process's answers, by case."""
    folder = tmp_path_factory.mktemp("exported")
    cases = {name: CASES[name]() for name in asked(request, "name", CASES)}
    for name, (case, inputs) in cases.items():
        if name == "maf in float64":  # what was loaded is exported too
            case.save(folder / "model.keras")
            case = keras.saving.load_model(folder / "model.keras")  # noqa: PLW2901
        if isinstance(case, keras.Model):
            case.export(folder / name, verbose=False)
        else:
            tff.export(case, folder / name)
        np.savez(folder / f"{name}.inputs.npz", **inputs)
    fresh_process.run(load_exported.load_all, folder, output=folder / "output.txt")
    return {
        name: (*case, dict(np.load(folder / f"{name}.answers.npz")))
        for name, case in cases.items()
    }


@pytest.mark.parametrize("name", with_slow(CASES, {"made", "table", "given"}))
@pytest.mark.usefixtures("op_by_op")
def test_endpoints_answer_as_the_distribution_does(exported, name):
    case, inputs, answers = exported[name]
    distribution, x = getattr(case, "distribution", case), inputs["x"]
    context = {k: v for k, v in inputs.items() if k == "context"}
    # TensorFlow computes models and tables op by op here, and as a graph there.
    has_graph = isinstance(case, (keras.Model, tff.TableDensity))
    tolerance = {"rtol": 1e-5, "atol": 1e-6} if has_graph else {"rtol": 0.0}
    expected = distribution.log_prob(x, **context)
    np.testing.assert_allclose(answers["log_prob"], expected, **tolerance)
    np.testing.assert_allclose(answers["signature"], expected, **tolerance)
    np.testing.assert_allclose(answers["serve"], expected[:2], **tolerance)
    for key, count, seed in (("sample", 5, 7), ("negative", 2, -3)):
        expected = distribution.sample(count, seed=seed, **context)
        np.testing.assert_allclose(answers[key], expected, rtol=1e-5, atol=1e-5)
    assert answers["log_prob"].dtype == distribution.dtype.as_numpy_dtype
