"""`density_estimation` end to end, with tiny settings."""

import dataclasses
import json
import math
import subprocess
import sys

import keras
import numpy as np
import pytest
from slow_cases import with_slow

from experiments.data import load_dataset
from experiments.density_estimation import baselines
from experiments.density_estimation import evaluation
from experiments.density_estimation import experiment as density_estimation
from experiments.density_estimation import flows
from experiments.density_estimation import models
from experiments.density_estimation import training
from experiments.density_estimation.settings import Settings
from experiments.reports import provenance

TINY = Settings(
    num_steps=2, hidden_units=(8,), epochs=2, batch_size=1000, num_samples=100, progress=0
)
FILES = {
    ".lock",
    "checkpoints",
    "flags.txt",
    "metrics.csv",
    "model.keras",
    "results.json",
    "report.md",
    "report.html",
    "calibration.png",
    "warp.png",
    "density.png",
    "learning_curve.png",
}


def tiny(tmp_path, **changes):
    return dataclasses.replace(TINY, run_dir=str(tmp_path), **changes)


# Of these, the base has no independent variables; the second is no chain of steps either.
MISSING = {"maf_mog": {"calibration.png"}, "mixture_made": {"calibration.png", "warp.png"}}
CONTINUOUS = [
    name for name, flow in flows.FLOWS.items() if not (flow.is_binary or flow.takes_images)
]


@pytest.mark.parametrize("flow", with_slow(CONTINUOUS, {"maf", "nice"}))
def test_run_writes_every_file_with_the_numbers(flow, tmp_path):
    is_one_step = flow in ("made", "mixture_made")
    changes = {"num_steps": Settings().num_steps} if is_one_step else {}
    results = density_estimation.run(tiny(tmp_path, flow=flow, **changes))
    assert {path.name for path in tmp_path.iterdir()} == FILES - MISSING.get(flow, set())
    assert json.loads((tmp_path / "results.json").read_text()) == results
    log_likelihood = results["test_log_likelihood"]
    text = (tmp_path / "report.md").read_text()
    for number in (*log_likelihood.values(), results["gaussian_log_likelihood"]["nats"]):
        assert f"{number:.3f}" in text
    model = keras.saving.load_model(tmp_path / "model.keras")
    log_prob = model.distribution.log_prob(load_dataset("two_moons").test).numpy()
    assert log_likelihood["nats"] == pytest.approx(log_prob.mean(), abs=1e-5)
    standard_error = log_prob.std() / math.sqrt(len(log_prob))
    assert log_likelihood["two_standard_errors"] == pytest.approx(
        2 * standard_error, rel=1e-3
    )


@pytest.mark.parametrize(
    ("flow", "options"),
    [("glow", {"num_steps": 1}), ("real_nvp_image", {"num_blocks": 1, "batch_norm": True})],
)
def test_image_flow_is_fitted_to_images_and_reports_bits(flow, options, tmp_path):
    settings = Settings(
        dataset="digits",
        flow=flow,
        num_levels=1,
        hidden_channels=2,
        epochs=1,
        num_samples=50,
        progress=0,
        run_dir=str(tmp_path),
        **options,
    )
    results = density_estimation.run(settings)
    assert (tmp_path / "samples.png").is_file()
    nats, bits = results["test_log_likelihood"]["nats"], results["bits_per_dimension"]
    expected = np.log2(17) - nats / (64 * np.log(2))
    assert bits["bits"] == pytest.approx(expected)
    assert f"{bits['bits']:.3f} ± " in (tmp_path / "report.md").read_text()
    header, row = (tmp_path / "metrics.csv").read_text().splitlines()
    shown = dict(zip(header.split(","), row.split(","), strict=True))
    expected = np.log2(17) + float(shown["val_loss"]) / (64 * np.log(2))
    assert float(shown["val_bits_per_dimension"]) == pytest.approx(expected)


def test_image_flow_refuses_rows_and_sizes_that_do_not_divide():
    settings = Settings(flow="glow", num_levels=2)
    with pytest.raises(ValueError, match="data set of images"):
        models.build_distribution(settings, 2)
    with pytest.raises(ValueError, match=r"divisible by 4; got \(6, 6, 1\)"):
        models.build_distribution(settings, 36, image_shape=(6, 6))


def test_same_seed_same_numbers(tmp_path):
    folders = tmp_path / "first", tmp_path / "again"
    first, again = (
        density_estimation.run(tiny(folder, dataset="digits", batch_size=100))
        for folder in folders
    )
    assert first["test_log_likelihood"] == again["test_log_likelihood"]
    assert (tmp_path / "again" / "samples.png").is_file()


def test_flags_txt_repeats_the_run(tmp_path):
    tiny(tmp_path / "run", epochs=1, flow="nice").write_flags(tmp_path / "flags.txt")
    program = [sys.executable, "-m", "experiments.density_estimation"]
    command = [*program, f"--flagfile={tmp_path / 'flags.txt'}"]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "nice" in output
    assert "full-covariance Gaussian" in output
    assert (tmp_path / "run" / "flags.txt").read_text() == (
        tmp_path / "flags.txt"
    ).read_text()


def test_unknown_flow_lists_the_choices():
    with pytest.raises(ValueError, match=r"`flow`.*nice.*real_nvp.*got 'nothing'"):
        dataclasses.replace(TINY, flow="nothing")


def test_option_that_the_flow_lacks_is_refused():
    settings = dataclasses.replace(TINY, flow="nice", lu_mixing=True)
    with pytest.raises(ValueError, match="`lu_mixing`, which nice lacks"):
        models.build_distribution(settings, 2)


@pytest.mark.parametrize("options", [{"batch_norm": True}, {"act_norm": True}, {}])
def test_kept_weights_are_those_that_were_validated(options, tmp_path):
    settings = tiny(tmp_path, ema_momentum=0.9, epochs=3, **options)
    dataset = load_dataset("two_moons")
    distribution = models.build_distribution(settings, 2)
    model, history, _ = training.train(distribution, dataset, settings)
    validated = evaluation.flow_log_likelihood(model, dataset.validation, batch_size=512)
    assert validated.nats == pytest.approx(-min(history["val_loss"]), abs=1e-4)


def test_time_limit_stops_after_an_epoch(tmp_path):
    settings = tiny(tmp_path, epochs=50, max_minutes=1e-9)
    distribution = models.build_distribution(settings, 2)
    _, history, _ = training.train(distribution, load_dataset("two_moons"), settings)
    assert len(history["loss"]) == 1


def test_fresh_noise_stays_in_its_bin(tmp_path):
    dataset = load_dataset("digits")
    rows = training.training_rows(dataset, tiny(tmp_path, batch_size=2000))
    first, second = (batches(rows, epoch)[0] for epoch in range(2))
    assert not np.array_equal(np.sort(first, axis=0), np.sort(second, axis=0))
    bins = [np.floor(x / np.float32(dataset.bin_width)) for x in (first, dataset.train)]
    totals = [sorted(x.sum(axis=1)) for x in bins]
    np.testing.assert_array_equal(*totals)


def batches(rows, epoch):
    rows.on_epoch_begin(epoch)
    return list(rows.as_dataset().as_numpy_iterator())


def test_order_depends_on_seed_and_epoch_alone(tmp_path):
    dataset = load_dataset("digits")
    rows, again = (
        training.training_rows(dataset, tiny(tmp_path, batch_size=500)) for _ in range(2)
    )
    assert [len(batch) for batch in batches(rows, 0)] == [500, 500, 257]
    for epoch in (5, 2):
        np.testing.assert_array_equal(
            np.concatenate(batches(rows, epoch)), np.concatenate(batches(again, epoch))
        )
    assert not np.array_equal(batches(rows, 5)[0], batches(rows, 2)[0])


def test_gaussian_log_likelihood_agrees_with_tfp():
    import tensorflow_probability as tfp

    dataset = load_dataset("two_moons")
    covariance = np.cov(dataset.train, rowvar=False, dtype=np.float64)
    mean = dataset.train.mean(0, dtype=np.float64)
    gaussian = tfp.distributions.MultivariateNormalTriL(
        mean, np.linalg.cholesky(covariance)
    )
    expected = gaussian.log_prob(dataset.test.astype(np.float64)).numpy()
    actual = baselines.gaussian_log_prob(dataset.test, mean, covariance)
    np.testing.assert_allclose(actual, expected, rtol=1e-8)
    assert baselines.gaussian_log_likelihood(dataset).nats == pytest.approx(
        expected.mean(), abs=0.01
    )


def test_command_names_what_differs_from_the_defaults():
    settings = Settings(flow="nice", hidden_units=(8, 8), run_dir="a b")
    assert provenance.command(settings) == (
        "python -m experiments.density_estimation "
        "--flow=nice '--run_dir=a b' --hidden_units=8,8"
    )
