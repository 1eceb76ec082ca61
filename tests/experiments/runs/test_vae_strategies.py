"""A VAE trains on several devices, and in several processes, as on one."""

import dataclasses
import pathlib

import keras
import killed_runs
import local_workers
import numpy as np
import pytest

from experiments.command_line.flag_settings import UsageError
from experiments.iaf_vae import experiment as iaf_vae
from experiments.iaf_vae.data import load_images
from experiments.iaf_vae.settings import VAESettings

# 1,257 rows drawn anew in each epoch, so that the last batch has 57; the validation rows,
# 180, divide unevenly too. The free bits come to cost something within the run.
SETTINGS = VAESettings(
    latent_size=3,
    hidden_units=(8,),
    num_flow_steps=2,
    flow_hidden_units=(6,),
    flow_context_size=4,
    free_bits=0.3,
    warm_up_epochs=2,
    gradient_clip_norm=5.0,
    ema_momentum=0.5,
    epochs=3,
    batch_size=300,
    evaluation_batch_size=67,
    importance_samples=5,
    log_likelihood_rows=50,
    progress=0,
)


def metrics_and_model(run_dir):
    metrics = np.genfromtxt(run_dir / "metrics.csv", delimiter=",", skip_header=1)
    return metrics, keras.saving.load_model(run_dir / "model.keras")


@pytest.fixture(scope="module")
def one_device(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vae") / "one"
    settings = dataclasses.replace(SETTINGS, run_dir=str(folder))
    killed_runs.run_to_the_end(settings, iaf_vae.run)
    return folder


def assert_equal_up_to_rounding(folder, one_device):
    (metrics, model), (expected, expected_model) = map(
        metrics_and_model, (folder, one_device)
    )
    assert len(metrics) == SETTINGS.epochs
    np.testing.assert_allclose(metrics, expected, rtol=1e-4)
    x = load_images(SETTINGS).dataset.test
    bounds = [each.elbo(x, num_samples=8).elbo for each in (model, expected_model)]
    np.testing.assert_allclose(*bounds, rtol=1e-4)


@pytest.mark.slow
def test_two_replicas_equal_one_device_and_go_on_after_a_kill(one_device, tmp_path):
    settings = dataclasses.replace(SETTINGS, strategy="mirrored", run_dir=str(tmp_path))
    killed_runs.run_and_kill(settings, iaf_vae.run, rng=np.random.default_rng(1))
    killed_runs.run_to_the_end(settings, iaf_vae.run)
    assert_equal_up_to_rounding(tmp_path, one_device)


@pytest.mark.slow
def test_two_workers_equal_one_process_and_one_writes(one_device, tmp_path):
    folder = tmp_path / "run"
    settings = dataclasses.replace(SETTINGS, run_dir=str(folder))
    local_workers.end_well(local_workers.start_run(settings, iaf_vae))
    assert not pathlib.Path(f"{folder}_of_1").exists()
    assert_equal_up_to_rounding(folder, one_device)


def test_what_replicas_cannot_do_is_refused():
    with pytest.raises(UsageError, match="no `jit_compile` with a `strategy`"):
        VAESettings(strategy="mirrored", jit_compile=True)
