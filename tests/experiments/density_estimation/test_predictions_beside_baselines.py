"""Scores of predictions, against closed forms and what the baselines are known to do."""

import dataclasses

import matplotlib.image
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from experiments.data.dataset import Dataset
from experiments.density_estimation import diagnostics
from experiments.density_estimation import pictures
from experiments.density_estimation.diagnostics import Subject
from experiments.density_estimation.report import findings
from experiments.density_estimation.settings import Settings
from experiments.reports import predictions
from experiments.reports.predictions import FLOW
from experiments.reports.predictions import LEVELS

tfd = tfp.distributions
SPREAD = 0.5


class Linear:
    """Normal variables around multiples of their one context: y_i = i x + noise."""

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


def subject(size, *, num_rows=300, num_test=2000, **changes):
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
    return subject(1)


def test_scores_of_the_truth_are_those_of_a_normal_distribution(from_one):
    found = from_one.prediction
    scores = found["methods"][FLOW]
    spread = SPREAD / from_one.dataset.train.std()
    # A mean over 19 levels, beside the integral over all.
    assert scores["crps"] == pytest.approx(spread / np.sqrt(np.pi), rel=0.05)
    assert scores["width"] == pytest.approx(2.0 * 1.6449 * spread, rel=1e-3)
    assert scores["inside"] == pytest.approx(0.9, abs=4.0 * np.sqrt(0.09 / 2000))
    np.testing.assert_allclose(scores["below"], found["levels"], atol=0.045)


def test_quantiles_of_several_variables_are_of_draws(monkeypatch):
    monkeypatch.setattr(diagnostics, "_MAX_VARIABLES", 2)
    from_two = subject(2, num_rows=60, num_test=50)
    found = diagnostics.quantiles(from_two)
    context = from_two.dataset.test_context
    expected = tfd.Normal(context * [1.0, 2.0], SPREAD).quantile(
        LEVELS.astype(np.float32)[:, None, None]
    )
    np.testing.assert_allclose(found, np.moveaxis(expected, 0, -1), atol=0.3)
    error = found - np.moveaxis(expected, 0, -1)
    assert abs(error.mean()) < 0.01
    scores = from_two.prediction["methods"][FLOW]
    assert scores["inside"] == pytest.approx(0.9, abs=0.08)


def test_baselines_that_suit_the_data_come_close_and_none_is_ahead(from_one):
    methods = from_one.prediction["methods"]
    assert list(methods) == [
        FLOW,
        "quantile gradient boosting",
        "Gaussian process",
    ]
    crps = [scores["crps"] for scores in methods.values()]
    assert crps[0] < crps[2] < 1.05 * crps[0]  # a process whose mean is nearly linear
    assert crps[0] < crps[1] < 1.3 * crps[0]


def test_many_rows_have_bayesian_ridge_regression(monkeypatch):
    monkeypatch.setattr(predictions, "_MAX_PROCESS_ROWS", 299)
    monkeypatch.setattr(predictions, "_MAX_BOOSTED_ROWS", 50)
    methods = subject(1).prediction["methods"]
    ridge = methods["Bayesian ridge regression"]
    assert ridge["crps"] == pytest.approx(methods[FLOW]["crps"], rel=0.02)


NO_PREDICTIONS = {
    "without a context": {f"{s}_context": None for s in ("train", "validation", "test")},
    "of zeros and ones": {"is_binary": True},
    "of classes": {"class_names": ("a",)},
    "of images": {"image_shape": (1, 1)},
}


@pytest.mark.parametrize("name", NO_PREDICTIONS)
def test_other_data_have_none(name):
    assert subject(1, **NO_PREDICTIONS[name]).prediction is None


def test_pictures_and_words(from_one, tmp_path):
    pictures.draw_levels(from_one.prediction, tmp_path / "levels.png")
    pictures.draw_densities(from_one, tmp_path / "predictions.png")
    for path in tmp_path.iterdir():
        assert matplotlib.image.imread(path)[..., :3].std() > 0.02
    test = {"accuracy": 0.5, "two_standard_errors": 0.1, "num_rows": 9}
    results = {"two_sample_test": test, "calibration": None}
    text = findings(results | {"prediction": from_one.prediction})
    (text,) = (value for key, value in text.items() if key.startswith("prediction"))
    scores = from_one.prediction["methods"]["Gaussian process"]
    assert f"Gaussian process: CRPS {scores['crps']:.3f}" in text
