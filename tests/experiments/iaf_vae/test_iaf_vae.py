"""`iaf_vae` end to end, with tiny settings."""

import dataclasses
import json

import keras
import matplotlib.image
import numpy as np
import pytest
from slow_cases import with_slow
from tiny_runs import TINY_VAE as TINY
from tiny_runs import in_folder

import tfp_flows
from experiments.data import DataError
from experiments.iaf_vae import evaluation, models
from experiments.iaf_vae import experiment as iaf_vae
from experiments.iaf_vae.data import load_images
from experiments.runs import epochs
from experiments.runs.run_directory import RunDirectoryError

PICTURES = {
    *("samples.png", "reconstructions.png", "latent_map.png", "kl_per_latent.png"),
    *("interpolations.png", "posterior_shapes.png", "learning_curve.png"),
}
FILES = PICTURES | {
    *(".lock", "flags.txt", "metrics.csv", "model.keras", "results.json", "report.md"),
    *("report.html", "checkpoints"),
}


RUNS = {
    "iaf": {"prior": "real_nvp", "tensorboard": True, "pictures_every": 1},
    "gaussian": {
        **{"posterior": "gaussian", "likelihood": "gaussian", "gradient_clip_norm": 5.0},
        **{"bound": "importance_weighted", "num_draws": 3},
        **{"latent_size": 2, "log_likelihood_rows": 0},
    },
    "conv": {
        **{"dataset": "images", "num_bits": 3, "encoder": "conv", "channels": (2, 2)},
        **{"likelihood": "discretized_logistic", "ema_momentum": 0.9, "latent_size": 1},
    },
    "ladder": {
        **{"dataset": "images", "num_bits": 3, "encoder": "ladder", "channels": (2, 2)},
        **{"likelihood": "discretized_logistic", "latent_size": 1, "free_bits": 0.01},
        **{"num_flow_steps": 4, "hidden_units": (128, 128)},
    },
}


@pytest.fixture(scope="module")
def coloured_pictures(tmp_path_factory):
    """A file of 600 noisy pictures, 6 x 10, each of a colour of its own."""
    rng = np.random.default_rng(0)
    colours = rng.integers(40, 215, (600, 1, 1, 3))
    pictures = colours + rng.integers(-40, 41, (600, 6, 10, 3))
    path = tmp_path_factory.mktemp("pictures") / "pictures.npz"
    np.savez(path, pictures.astype(np.uint8))
    return str(path)


@pytest.mark.usefixtures("op_by_op")
@pytest.mark.parametrize("name", with_slow(RUNS, RUNS.keys() - {"iaf"}))
def test_run_writes_every_file_with_the_numbers(name, tmp_path, coloured_pictures, capsys):
    changes = RUNS[name]
    if changes.get("dataset") == "images":
        changes = {**changes, "images_path": coloured_pictures}
    settings = in_folder(TINY, tmp_path, **changes)
    results = iaf_vae.run(settings)
    missing = {"posterior_shapes.png"} if results["latent_size"] == 1 else set()
    logs = {"tensorboard"} if settings.tensorboard else set()
    assert {path.name for path in tmp_path.iterdir()} == (FILES | logs) - missing
    for kind in ("pictures", "validation") if logs else ():
        assert list((tmp_path / "tensorboard" / kind).glob("events*"))
    assert json.loads((tmp_path / "results.json").read_text()) == results
    text = (tmp_path / "report.md").read_text()
    for key in ("elbo", "log_likelihood", "reconstruction", "kl"):
        assert f"{results[key]['nats']:.3f} ± " in text
    for picture in PICTURES - missing:
        assert f"({picture})" in text
        assert matplotlib.image.imread(tmp_path / picture)[..., :3].std() > 0.02
    model = keras.saving.load_model(tmp_path / "model.keras")
    images = load_images(settings)
    again = evaluation.measure(model, images, settings)
    assert again == {key: results[key] for key in again}
    num_rows = settings.log_likelihood_rows or len(images.dataset.test)
    assert results["log_likelihood"]["num_rows"] == num_rows
    assert ("bits_per_dimension" in results) == (settings.likelihood != "bernoulli")
    if settings.likelihood == "gaussian":
        bits = tfp_flows.bits_per_dimension(
            results["log_likelihood"]["nats"], 64, bins_per_unit=17
        ).bits
        np.testing.assert_allclose(results["bits_per_dimension"]["nats"], bits)
    capsys.readouterr()
    assert iaf_vae.run(settings) == results
    assert "finished" in capsys.readouterr().out
    (tmp_path / "results.json").unlink()
    with pytest.raises(RunDirectoryError, match=f"--latent_size={settings.latent_size} "):
        iaf_vae.run(dataclasses.replace(settings, latent_size=4))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dataset": "two_moons"}, "data set of images; two_moons has none"),
        ({"dataset": "mnist", "data_dir": "/nowhere"}, "`data_dir` to be a folder"),
    ],
)
def test_wrong_data_leave_nothing_behind(changes, message, tmp_path):
    with pytest.raises(DataError, match=message):
        iaf_vae.run(in_folder(TINY, tmp_path / "run", **changes))
    assert not (tmp_path / "run").exists()


def test_grey_rows_are_drawn_anew_in_each_epoch_with_their_probabilities():
    images = load_images(TINY)
    assert images.redrawn
    train = images.dataset.train[:300]
    assert set(np.unique(train * 16)) == set(range(17))
    rows = epochs.EpochRows(train, batch_size=300, seed=0, binarize=True)
    dataset, drawn = rows.as_dataset(), []
    for epoch in range(20):
        rows.on_epoch_begin(epoch)
        (batch,) = dataset.as_numpy_iterator()
        assert set(np.unique(batch)) <= {0.0, 1.0}
        drawn.append(batch.mean(axis=0))
    error = np.sqrt((train * (1.0 - train)).mean(axis=0) / (20 * len(train)))
    assert np.all(np.abs(np.mean(drawn, axis=0) - train.mean(axis=0)) <= 5.0 * error)
    assert np.any(drawn[0] != drawn[1])
    rows.on_epoch_begin(0)
    (again,) = dataset.as_numpy_iterator()
    np.testing.assert_array_equal(again.mean(axis=0), drawn[0])


def test_validation_and_test_rows_are_drawn_once_by_the_data_seed():
    first, same, other = (
        load_images(dataclasses.replace(TINY, data_seed=seed)).dataset for seed in (0, 0, 1)
    )
    for name in ("validation", "test"):
        rows = getattr(first, name)
        assert set(np.unique(rows)) == {0.0, 1.0}
        np.testing.assert_array_equal(rows, getattr(same, name))
        assert np.any(rows != getattr(other, name))


def test_statistics_of_a_gaussian_posterior_are_its_own():
    settings = dataclasses.replace(TINY, posterior="gaussian", latent_size=4)
    images = load_images(settings)
    model = tfp_flows.VAE(**models.vae_parts(settings, images))
    x = images.dataset.test[:200]
    mean, scale, _ = model.posterior._split(model.encoder(x))
    expected = 0.5 * (scale**2 + mean**2 - 1.0) - np.log(scale)
    found = evaluation.latent_statistics(model, x, seed=0)
    np.testing.assert_allclose(found.kl, np.mean(expected, axis=0), atol=0.03)
    np.testing.assert_allclose(found.means, mean, atol=0.7)
    np.testing.assert_allclose(found.variance, np.var(mean, axis=0), rtol=0.1, atol=0.01)
