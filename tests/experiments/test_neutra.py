"""`neutra` end to end, with tiny settings, and the worth of its draws."""

import json
import types

import numpy as np
import pytest
import tensorflow as tf
from tiny_runs import TINY_POSTERIOR, in_folder

from experiments import neutra
from experiments.neutra import NeutraSettings
from experiments.posterior_inference.chains import Chains
from experiments.posterior_inference.targets import TARGETS


def test_draws_of_a_normal_are_worth_their_number():
    """A chain that never leaves the middle is not, whatever it takes its draws for."""
    draws = np.random.default_rng(0).normal(1.0, 2.0, size=(100, 400, 1))
    middle = np.clip(draws, -1.0, 3.0)
    for rows, is_worth in [(draws, True), (middle, False)]:
        found = neutra.summary(
            Chains(rows, num_gradients=10**6, divergences=0.0), (1.0, 2.0)
        )
        worth = found["worth_per_1000_gradients"]
        assert worth["mean"] > 30.0
        assert (worth["mean_square"] > 30.0) == is_worth


def test_gradients_of_training_are_those_of_all_draws_of_a_group():
    parts = tf.nest.map_structure(lambda _: np.ones(3), TARGETS["banana"].build().dtype)
    posterior = types.SimpleNamespace(
        sample_and_log_prob=lambda *_, **__: (parts, np.zeros(3, np.float32))
    )
    sizes = {"training_steps": 20, "sample_size": 4, "importance_sample_size": 3}
    settings = NeutraSettings(target="banana", **sizes)
    found = neutra.measure(posterior, {}, TARGETS["banana"], settings)
    assert found["training_gradients"] == 240


@pytest.mark.slow
def test_neutra_compares_two_samplers(tmp_path):
    settings = NeutraSettings(**vars(TINY_POSTERIOR))
    changes = {"target": "gaussian", "posterior": "real_nvp", "num_draws": 40}
    settings = in_folder(settings, tmp_path, **changes)
    results = neutra.run(settings)
    assert json.loads((tmp_path / "results.json").read_text()) == results
    assert list(results["samplers"]) == ["plain NUTS", "NUTS through real_nvp"]
    for sampler in results["samplers"].values():
        assert sampler["num_gradients"] >= 40
        assert np.isfinite(sampler["mean_of_first"])
    page = neutra.report(results, settings)
    assert page.text() in (tmp_path / "report.md").read_text()
    assert (tmp_path / "report.html").is_file()
    assert (tmp_path / "pairs.png").is_file()
