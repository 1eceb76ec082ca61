"""`density_estimation` end to end, with tiny settings."""

import dataclasses
import io
import json
import math
import sys

import keras
import matplotlib.image
import numpy as np
import pytest
from derivatives import op_by_op
from scipy import stats
from slow_cases import with_slow
from tiny_runs import TINY, in_folder, quick_runs

from experiments.data import load_dataset
from experiments.density_estimation import diagnostics, evaluation, models, training
from experiments.density_estimation import experiment as density_estimation
from experiments.density_estimation.diagnostics import Subject
from experiments.density_estimation.settings import Settings
from experiments.reports import predictions

pytestmark = pytest.mark.xdist_group("finished runs")

FILES = {
    *(".lock", "checkpoints", "flags.txt", "metrics.csv", "model.keras", "results.json"),
    *("report.md", "report.html", "calibration.png", "warp.png", "density.png"),
    "learning_curve.png",
}
# The bases of these flows have dependent variables.
MISSING = dict.fromkeys(
    ("maf_mog", "nsf_mog", "nsf_coupling_mog", "mixture_made"), {"calibration.png"}
)
CONTINUOUS = [
    name for name, flow in models.FLOWS.items() if not (flow.is_binary or flow.takes_images)
]


@pytest.mark.slow_ids("iaf", "made", "maf_mog", "mixture_made", "nsf", "nsf_coupling_mog")
@pytest.mark.parametrize(
    "flow", with_slow(CONTINUOUS, {"maf", "nice", "nsf_coupling", "nsf_mog"})
)
def test_run_writes_every_file_with_the_numbers(flow, finished):
    folder = finished(flow)
    assert {path.name for path in folder.iterdir()} == FILES - MISSING.get(flow, set())
    results = json.loads((folder / "results.json").read_text())
    log_likelihood = results["test_log_likelihood"]
    text = (folder / "report.md").read_text()
    for number in (*log_likelihood.values(), results["gaussian_log_likelihood"]["nats"]):
        assert f"{number:.3f}" in text
    model = keras.saving.load_model(folder / "model.keras")
    log_prob = model.distribution.log_prob(load_dataset("two_moons").test).numpy()
    assert log_likelihood["nats"] == pytest.approx(log_prob.mean(), abs=1e-5)
    standard_error = log_prob.std() / math.sqrt(len(log_prob))
    assert log_likelihood["two_standard_errors"] == pytest.approx(
        2 * standard_error, rel=1e-3
    )


@pytest.mark.slow_ids("real_nvp_image", "tarflow")
@pytest.mark.parametrize("flow", ["glow", "real_nvp_image", "tarflow"])
def test_image_flow_is_fitted_to_images_and_reports_bits(flow, finished):
    folder = finished(flow)
    results = json.loads((folder / "results.json").read_text())
    pictures = ("samples", "nearest", "reconstructions", "interpolations", "attributes")
    assert all((folder / f"{name}.png").stat().st_size > 2000 for name in pictures)
    nats, bits = results["test_log_likelihood"]["nats"], results["bits_per_dimension"]
    expected = np.log2(17) - nats / (64 * np.log(2))
    assert bits["bits"] == pytest.approx(expected)
    assert f"{bits['bits']:.3f} ± " in (folder / "report.md").read_text()
    header, row = (folder / "metrics.csv").read_text().splitlines()
    shown = dict(zip(header.split(","), row.split(","), strict=True))
    expected = np.log2(17) + float(shown["val_loss"]) / (64 * np.log(2))
    assert float(shown["val_bits_per_dimension"]) == pytest.approx(expected)


def test_image_flow_refuses_rows_and_sizes_that_do_not_divide():
    settings = Settings(flow="glow", num_levels=2)
    with pytest.raises(ValueError, match="data set of images"):
        models.build_distribution(settings, 2)
    with pytest.raises(ValueError, match=r"divisible by 4; got \(6, 6, 1\)"):
        models.build_distribution(settings, 36, image_shape=(6, 6))


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.usefixtures("op_by_op")
def test_flags_txt_repeats_the_run_and_a_terminal_sees_a_bar(tmp_path, monkeypatch):
    settings = in_folder(TINY, tmp_path / "run", flow="nice", progress=-1, num_samples=20)
    settings.write_flags(tmp_path / "flags.txt")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    with quick_runs():
        assert density_estimation.cli(["", f"--flagfile={tmp_path / 'flags.txt'}"]) == 0
    for words in ("Epoch 2/2", "━", "val_log_likelihood: -", "nice", "full-covariance"):
        assert words in terminal.getvalue()
    flags = [(tmp_path / name).read_text() for name in ("flags.txt", "run/flags.txt")]
    assert flags[0] == flags[1]


@pytest.mark.usefixtures("op_by_op")
def test_kept_weights_are_those_that_were_validated(tmp_path):
    settings = in_folder(TINY, tmp_path, ema_momentum=0.9, epochs=3, batch_norm=True)
    dataset = load_dataset("two_moons")
    distribution = models.build_distribution(settings, 2)
    model, history, _ = training.train(distribution, dataset, settings)
    validated = model.predict(dataset.validation, batch_size=512, verbose=0)
    assert validated.mean() == pytest.approx(-min(history["val_loss"]), abs=1e-4)


def test_fresh_noise_stays_in_its_bin(tmp_path):
    dataset = load_dataset("digits")
    rows = training.training_rows(dataset, in_folder(TINY, tmp_path, batch_size=2000))
    first, second = (batches(rows, epoch)[0] for epoch in range(2))
    assert not np.array_equal(np.sort(first, axis=0), np.sort(second, axis=0))
    bins = [np.floor(x / np.float32(dataset.bin_width)) for x in (first, dataset.train)]
    totals = [sorted(x.sum(axis=1)) for x in bins]
    np.testing.assert_array_equal(*totals)


def batches(rows, epoch):
    rows.on_epoch_begin(epoch)
    return list(rows.as_dataset().as_numpy_iterator())


def test_gaussian_log_likelihood_is_that_of_the_moments():
    dataset = load_dataset("two_moons")
    mean, covariance = dataset.train.mean(0), np.cov(dataset.train, rowvar=False)
    expected = stats.multivariate_normal(mean, covariance).logpdf(dataset.test)
    actual = evaluation.gaussian_log_prob(dataset.test, mean, covariance)
    np.testing.assert_allclose(actual, expected, rtol=1e-5)
    nats = evaluation.gaussian_log_probs(dataset).mean()
    assert nats == pytest.approx(expected.mean(), abs=0.01)


SMALL = dataclasses.replace(TINY, num_bins=4, hidden_units=(8,), epochs=1, num_samples=300)


@pytest.fixture(scope="module")
def two_modes(tmp_path_factory):
    """Folder and results of a run on one variable given another."""
    folder = tmp_path_factory.mktemp("two_modes")
    settings = in_folder(SMALL, folder, dataset="two_modes", flow="nsf")
    with op_by_op(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(predictions, "_MAX_BOOSTED_ROWS", 200)
        return folder, density_estimation.run(settings)


@pytest.mark.slow
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


@pytest.mark.slow
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
        pixels = matplotlib.image.imread(folder / f"{picture}.png")
        assert pixels[..., :3].std() > 0.02


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
    # A flow on the plane has a part of its mass outside.
    plane = models.build_distribution(dataclasses.replace(TINY, flow="maf"), 2)
    assert diagnostics.integral_over_angles(Subject(plane, dataset, settings)) < 0.999


def test_angles_refuse_tails_and_another_base():
    for changes, words in (
        ({"learned_tails": True}, "`learned_tails`"),
        ({"base": "logistic"}, "`base`"),
    ):
        settings = dataclasses.replace(SMALL, dataset="torus", flow="nsf", **changes)
        with pytest.raises(ValueError, match=words):
            models.build_distribution(settings, 2, angles=(0, 1))
