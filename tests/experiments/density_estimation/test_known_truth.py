"""Runs on data of a known density: its likelihood beside, coverage, and the integral."""

import dataclasses

import keras
import numpy as np
import pytest
from derivatives import op_by_op
from tiny_runs import TINY
from tiny_runs import in_folder

from experiments.data import load_dataset
from experiments.density_estimation import diagnostics
from experiments.density_estimation import experiment as density_estimation
from experiments.density_estimation import models
from experiments.density_estimation.diagnostics import Subject
from experiments.reports import predictions

SMALL = dataclasses.replace(TINY, num_bins=4, hidden_units=(8,), epochs=1, num_samples=300)
pytestmark = pytest.mark.xdist_group("finished runs")


@pytest.fixture(scope="module")
def two_modes(tmp_path_factory):
    """The folder, and the results, of a run of one variable given another."""
    folder = tmp_path_factory.mktemp("two_modes")
    settings = in_folder(SMALL, folder, dataset="two_modes", flow="nsf")
    with op_by_op(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(predictions, "_MAX_BOOSTED_ROWS", 200)
        return folder, density_estimation.run(settings)


def test_the_true_density_stands_beside_that_of_the_flow(two_modes):
    folder, results = two_modes
    dataset = load_dataset("two_modes")
    true = dataset.log_density(dataset.test, dataset.test_context)
    assert results["true_log_likelihood"]["nats"] == pytest.approx(true.mean())
    shortfall = results["true_log_likelihood"]["nats"]
    shortfall -= results["test_log_likelihood"]["nats"]
    assert results["shortfall"]["nats"] == pytest.approx(shortfall, abs=1e-5)
    assert results["shortfall"]["nats"] > 0.0
    text = (folder / "report.md").read_text()
    assert f"{true.mean():.3f}" in text
    assert "the true density" in text
    assert "more likely than under the flow" in text


def test_coverage_is_that_of_intervals_between_quantiles(two_modes):
    folder, results = two_modes
    dataset = load_dataset("two_modes")
    distribution = keras.saving.load_model(folder / "model.keras").distribution
    for share in (0.5, 0.9):
        low, high = (
            distribution.quantile(
                np.full(len(dataset.test), p, np.float32), context=dataset.test_context
            )
            for p in (0.5 - 0.5 * share, 0.5 + 0.5 * share)
        )
        inside = np.mean((dataset.test > low) & (dataset.test < high))
        assert results["coverage"]["shares"][str(share)] == pytest.approx(inside, abs=2e-4)
    assert results["coverage"]["num_rows"] == len(dataset.test)
    assert "intervals of 0.9" in (folder / "report.md").read_text()
    found = results["prediction"]["methods"]
    assert found["the flow"]["inside"] == results["coverage"]["shares"]["0.9"]
    assert len(found) == 3
    for picture in ("conditional", "levels", "predictions"):
        assert f"({picture}.png)" in (folder / "report.md").read_text()
        assert (folder / f"{picture}.png").is_file()


@pytest.mark.slow
def test_the_density_of_angles_is_one_of_the_circle(tmp_path):
    settings = in_folder(SMALL, tmp_path, dataset="torus", flow="nsf_coupling", num_steps=2)
    results = density_estimation.run(settings)
    assert results["integral"] == pytest.approx(1.0, abs=1e-3)
    assert "integral of the density" in (tmp_path / "report.md").read_text()
    distribution = keras.saving.load_model(tmp_path / "model.keras").distribution
    dataset = load_dataset("torus")
    turned = distribution.log_prob(dataset.test[:9] + np.float32(2.0 * np.pi))
    np.testing.assert_allclose(turned, distribution.log_prob(dataset.test[:9]), atol=1e-3)
    # A flow on the plane has less than all of its density there.
    plane = models.build_distribution(dataclasses.replace(TINY, flow="maf"), 2)
    assert diagnostics.integral_over_angles(Subject(plane, dataset, settings)) < 0.999


def test_tails_carry_a_flow_to_heavy_tails():
    settings = dataclasses.replace(TINY, dataset="heavy_tails_1", flow="maf")
    light, heavy = (
        models.build_distribution(dataclasses.replace(settings, learned_tails=tails), 5)
        for tails in (False, True)
    )
    far = np.array([[0.0, 1e3, 2e3, -1e3, 0.0], [0.0, 2e3, 4e3, -2e3, 0.0]], np.float32)
    # By a power law, twice as far out, a density falls by a constant factor.
    falls = heavy.log_prob(far).numpy()
    assert 3.0 < falls[0] - falls[1] < 30.0
    assert light.log_prob(far).numpy()[0] < -1e5


def test_angles_refuse_tails_and_another_base():
    for changes, words in (
        ({"learned_tails": True}, "`learned_tails`"),
        ({"base": "logistic"}, "`base`"),
    ):
        settings = dataclasses.replace(SMALL, dataset="torus", flow="nsf", **changes)
        with pytest.raises(ValueError, match=words):
            models.build_distribution(settings, 2, angles=(0, 1))
