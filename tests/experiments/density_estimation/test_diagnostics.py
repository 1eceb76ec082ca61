"""The diagnostics: right flows pass, wrong ones are found."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from random_weights import randomize

import tfp_flows
from experiments.data import load_dataset
from experiments.data.dataset import Dataset
from experiments.density_estimation import diagnostics, pictures, training
from experiments.density_estimation.diagnostics import Subject
from experiments.density_estimation.evaluation import (
    class_agreement,
    likelihood_classification,
)
from experiments.density_estimation.models import build_distribution
from experiments.density_estimation.settings import Settings
from experiments.reports.predictions import FLOW, LEVELS


def subject(shift, rng, base=tfp_flows.standard_normal):
    """Standard normal data under a flow that is off by `shift`."""
    flow = tfp_flows.RealNVP(2, num_steps=2, hidden_units=(4,), standardize=False, seed=0)
    rows = rng.normal(size=(2000, 2)).astype(np.float32) + np.float32(shift)
    dataset = Dataset("normal", rows, rows, rows)
    distribution = tfp_flows.FlowDistribution(base(2), flow)
    return Subject(distribution, dataset, Settings(num_samples=1000))


def test_right_flow_passes_and_wrong_flow_fails(rng):
    right, wrong = subject(0.0, rng), subject(0.7, rng)
    test = diagnostics.two_sample_test(right)
    assert abs(test["accuracy"] - 0.5) < 2.0 * test["two_standard_errors"]
    assert diagnostics.two_sample_test(wrong)["accuracy"] > 0.6
    wrong.samples = np.array(wrong.samples)
    wrong.samples[:3, 0] = np.inf, -np.inf, np.nan
    assert diagnostics.two_sample_test(wrong)["num_samples_not_finite"] == 3
    critical = diagnostics.calibration(right)["critical_distance"]
    assert critical == pytest.approx(1.358 / np.sqrt(2000))
    assert max(diagnostics.calibration(right)["ks_distances"]) < 2.0 * critical
    assert min(diagnostics.calibration(wrong)["ks_distances"]) > 5.0 * critical


def given(context, data, samples):
    """A subject for `two_sample_test`: rows and samples given a context."""
    return SimpleNamespace(
        data=data, samples=samples, context=context, settings=Settings(num_samples=500)
    )


CONTEXTS = {
    # Contexts of large size, or each shared by two rows; and a shift of the samples.
    "continuous": (lambda rng: rng.normal(1000.0, 50.0, size=(500, 2)), 60.0),
    "repeated": (lambda rng: np.repeat(rng.normal(size=(250, 2)), 2, axis=0), 2.0),
}


@pytest.mark.parametrize("name", CONTEXTS)
def test_draws_of_the_true_conditional_pass_and_wrong_ones_fail(name, rng):
    make, error = CONTEXTS[name]
    context = make(rng)
    data, samples = context @ rng.normal(size=(2, 2)) + rng.normal(size=(2, 500, 2))
    right = diagnostics.two_sample_test(given(context, data, samples))
    assert abs(right["accuracy"] - 0.5) < 1.5 * right["two_standard_errors"]
    wrong = diagnostics.two_sample_test(given(context, data, samples + error))
    assert wrong["accuracy"] > 0.6


def test_samples_that_do_not_follow_the_context_fail(rng):
    # The samples have the right distribution, but not for their contexts.
    context = np.eye(2)[rng.integers(2, size=500)]
    data = context + 0.1 * rng.normal(size=(500, 2))
    test = diagnostics.two_sample_test(given(context, data, rng.permutation(data)))
    assert test["accuracy"] > 0.5 + 2.0 * test["two_standard_errors"]


def test_rows_that_are_looked_at_are_spread_over_a_sorted_file():
    test = np.sort(np.random.default_rng(0).normal(size=(4000, 1)), axis=0)
    contexts = {f"{part}_context": test for part in ("train", "validation", "test")}
    dataset = Dataset("sorted", test, test, test, **contexts)
    subject = Subject(None, dataset, Settings(num_samples=1000))
    assert abs(np.mean(subject.data)) < 0.15
    np.testing.assert_array_equal(subject.data, subject.context)


def subject_with(samples_by_class):
    dataset = load_dataset("digits", conditional=True)
    parts = {"dataset": dataset, "samples_by_class": samples_by_class}
    return SimpleNamespace(settings=Settings(), **parts)


@pytest.fixture(scope="module")
def real():
    """Twenty test images of each class, `[10, 20, 64]`."""
    dataset = load_dataset("digits", conditional=True)
    classes = dataset.test_context.argmax(axis=1)
    return np.stack([dataset.test[classes == c][:20] for c in range(10)])


def test_real_images_agree(real):
    found = class_agreement(subject_with(real))
    assert found["agreement"] > 0.95
    assert found["classifier_test_accuracy"] > 0.97
    share = found["agreement"]
    assert found["two_standard_errors"] == pytest.approx(
        2.0 * np.sqrt(share * (1.0 - share) / 200)
    )


def test_images_of_other_classes_and_what_is_not_finite_do_not(real):
    found = class_agreement(subject_with(np.roll(real, 1, axis=0)))
    assert found["agreement"] < 0.05
    broken = real.copy()
    broken[:, :10, 5] = np.array([np.nan, np.inf] * 5)
    broken[3] = real[4]
    by_class = class_agreement(subject_with(broken))["by_class"]
    assert min(by_class, key=by_class.get) == "3"
    assert max(by_class.values()) <= 0.5


GLOW = {"flow": "glow", "num_steps": 1, "hidden_channels": 4, "dataset": "digits"}
HISTORY = {"loss": [1.0], "val_loss": [1.0]}


def subject_of(tmp_path, num_samples=100, **arguments):
    settings = Settings(run_dir=str(tmp_path), num_samples=num_samples, **arguments)
    dataset = load_dataset("digits", conditional=settings.conditional)
    distribution = build_distribution(
        settings, 64, dataset.context_size, image_shape=dataset.image_shape
    )
    if settings.flow in ("glow", "tarflow"):
        randomize(distribution.bijector, stddev=0.1)
    return Subject(distribution, dataset, settings)


@pytest.mark.usefixtures("op_by_op")
def test_samples_by_class_are_guided(tmp_path):
    small = {"patch_size": 4, "num_layers": 1, "num_units": 4, "num_heads": 1}
    small |= {
        "flow": "tarflow",
        "dataset": "digits",
        "conditional": True,
        "num_samples": 20,
    }
    plain, guided, no_guidance = (
        subject_of(tmp_path, **small, guidance=weight) for weight in (0.0, 2.0, 1e-9)
    )
    for subject in (guided, no_guidance):  # of the same flow
        subject.distribution = plain.distribution
    samples = plain.samples_by_class
    np.testing.assert_allclose(no_guidance.samples_by_class, samples, atol=1e-4)
    assert np.abs(guided.samples_by_class - samples).max() > 0.01
    np.testing.assert_array_equal(guided.samples, plain.samples)
    rows, contexts = training.training_rows(guided.dataset, guided.settings).inputs
    np.testing.assert_array_equal(rows, guided.dataset.train)
    has_class = np.sum(contexts, axis=1) > 0.0
    given = guided.dataset.train_context
    np.testing.assert_array_equal(contexts, given * has_class[:, None])
    assert 0.07 < 1.0 - has_class.mean() < 0.13


@pytest.mark.usefixtures("op_by_op")
@pytest.mark.slow  # those of a run with Glow are in test_density_estimation.py
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (GLOW | {"conditional": True}, {"levels.png", "temperatures.png"}),
        # Two samples are enough for all pictures.
        (
            {"flow": "nice", "num_steps": 2, "base": "logistic", "num_samples": 2},
            {"interpolations.png", "attributes.png"},
        ),
    ],
    ids=["glow given classes", "nice"],
)
def test_every_run_on_images_gets_its_pictures(arguments, expected, tmp_path):
    subject = subject_of(tmp_path, **arguments)
    drawn = pictures.draw(subject, HISTORY)
    always = {"samples.png", "nearest.png", "reconstructions.png"}
    assert ("a row a class" in drawn["samples.png"]) == subject.settings.conditional
    assert list(drawn)[0] == "samples.png"
    assert set(drawn) == always | expected | {"calibration.png", "learning_curve.png"}
    assert all((tmp_path / name).stat().st_size > 2000 for name in drawn)


@pytest.mark.usefixtures("op_by_op")
@pytest.mark.parametrize("conditional", [False, True])
def test_bits_of_levels_add_up_to_those_of_the_density(conditional, tmp_path):
    subject = subject_of(tmp_path, **GLOW, conditional=conditional)
    bits = diagnostics.bits_of_levels(
        subject.distribution, subject.data, subject.context, bin_width=1.0 / 17.0
    )
    kwargs = {"context": subject.context} if conditional else {}
    nats = np.mean(subject.distribution.log_prob(subject.data, **kwargs))
    total = -(nats / 64 - np.log(17.0)) / np.log(2.0)
    assert bits["before_the_levels"] + sum(bits["levels"]) == pytest.approx(total, rel=1e-5)
    assert bits["latent_sizes"] == [32, 32]


def test_likelihood_classification_counts_the_right_classes(tmp_path):
    """A density that knows the context of each row classifies all rows."""
    subject = subject_of(tmp_path, **GLOW, conditional=True)

    class Oracle:
        context_size = 10

        def log_prob(self, rows, context):
            own = [np.flatnonzero((subject.data == row).all(1))[0] for row in rows]
            return np.sum(subject.context[own] * context, axis=1) * 100.0

    subject.distribution = Oracle()
    assert likelihood_classification(subject)["accuracy"] == 1.0


tfd = tfp.distributions
SPREAD = 0.5


class Linear:
    """Normal variables around multiples of one context: y_i = i x + noise."""

    def __init__(self, size):
        self._factors = tf.range(1.0, size + 1.0)

    def _given(self, context):
        return tfd.Normal(context * self._factors, SPREAD)

    def quantile(self, p, context):
        return self._given(context).quantile(p[..., None])

    def sample(self, shape, seed, context):
        return self._given(context).sample(shape, seed=seed)

    def log_prob(self, y, context):
        return tf.reduce_sum(self._given(context).log_prob(y), axis=-1)


def linear_subject(size, *, num_rows=300, num_test=2000, **changes):
    rng = np.random.default_rng(0)
    sets, contexts = {}, {}
    for name, count in (("train", num_rows), ("validation", 10), ("test", num_test)):
        x = rng.normal(size=(count, 1)).astype(np.float32)
        noise = SPREAD * rng.normal(size=(count, size))
        sets[name] = (x * np.arange(1.0, size + 1.0) + noise).astype(np.float32)
        contexts[f"{name}_context"] = x
    dataset = Dataset("linear", **sets, **contexts)
    dataset = dataclasses.replace(dataset, **changes)
    return Subject(Linear(size), dataset, Settings(num_samples=100))


@pytest.fixture(scope="module")
def from_one():
    return linear_subject(1)


def test_scores_of_the_truth_are_those_of_a_normal_distribution(from_one):
    found = from_one.prediction
    scores = found["methods"][FLOW]
    spread = SPREAD / from_one.dataset.train.std()
    # The score is a mean over 19 levels, the formula an integral over all.
    assert scores["crps"] == pytest.approx(spread / np.sqrt(np.pi), rel=0.05)
    assert scores["width"] == pytest.approx(2.0 * 1.6449 * spread, rel=1e-3)
    assert scores["inside"] == pytest.approx(0.9, abs=4.0 * np.sqrt(0.09 / 2000))
    np.testing.assert_allclose(scores["below"], found["levels"], atol=0.045)


def test_quantiles_of_several_variables_are_of_draws(monkeypatch):
    monkeypatch.setattr(diagnostics, "_MAX_VARIABLES", 2)
    from_two = linear_subject(2, num_rows=60, num_test=50)
    given = tfd.Normal(from_two.dataset.test_context * [1.0, 2.0], SPREAD)
    expected = given.quantile(LEVELS.astype(np.float32)[:, None, None])
    error = diagnostics.quantiles(from_two) - np.moveaxis(expected, 0, -1)
    assert np.abs(error).max() < 0.3
    assert abs(error.mean()) < 0.01
    scores = from_two.prediction["methods"][FLOW]
    assert scores["inside"] == pytest.approx(0.9, abs=0.08)


def test_quantiles_of_one_variable_without_a_formula_are_of_draws(from_one):
    shared = {"context_size": 1, "standardize": False, "seed": 0}
    flow = tfp_flows.MAF(1, num_steps=1, hidden_units=(4,), **shared)
    distribution = tfp_flows.FlowDistribution(tfp_flows.standard_normal(1), flow)
    defended = tfp_flows.Defensive(distribution, 1e-6)
    dataset = dataclasses.replace(from_one.dataset, **few_rows(from_one.dataset, 40))
    exact, drawn = (
        diagnostics.quantiles(Subject(d, dataset, Settings(num_samples=100)))
        for d in (distribution, defended)
    )
    assert exact.shape == drawn.shape == (40, 1, len(LEVELS))
    assert np.abs(exact - drawn).max() < 0.4
    assert diagnostics.coverage(Subject(defended, dataset, Settings())) is None


def few_rows(dataset, count):
    names = ("test", "test_context")
    return {name: getattr(dataset, name)[:count] for name in names}


def test_baselines_that_suit_the_data_come_close_and_none_is_ahead(from_one):
    methods = from_one.prediction["methods"]
    assert list(methods) == [
        FLOW,
        "quantile gradient boosting",
        "Gaussian process",
    ]
    crps = [scores["crps"] for scores in methods.values()]
    assert crps[0] < crps[2] < 1.05 * crps[0]  # its mean is nearly linear
    assert crps[0] < crps[1] < 1.3 * crps[0]


NO_PREDICTIONS = {
    "without a context": {f"{s}_context": None for s in ("train", "validation", "test")},
    "of zeros and ones": {"is_binary": True},
    "of classes": {"class_names": ("a",)},
    "of images": {"image_shape": (1, 1)},
}


@pytest.mark.parametrize("name", NO_PREDICTIONS)
def test_other_data_have_none(name):
    assert linear_subject(1, **NO_PREDICTIONS[name]).prediction is None
