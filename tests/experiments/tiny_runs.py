"""Settings of runs that are as small as can be, and what tests do with such runs."""

import contextlib
import dataclasses
import json
import pathlib

import pytest

from experiments.density_estimation import diagnostics, evaluation, pictures
from experiments.density_estimation import experiment as density_estimation
from experiments.density_estimation.settings import Settings
from experiments.iaf_vae import pictures as vae_pictures
from experiments.iaf_vae.settings import VAESettings
from experiments.posterior_inference.settings import PosteriorSettings

TINY = Settings(
    flow="real_nvp",
    **{"num_steps": 1, "hidden_units": (4,), "epochs": 2, "batch_size": 6000},
    **{"evaluation_batch_size": 5000, "num_samples": 100, "progress": 0},
)
TINY_VAE = VAESettings(
    latent_size=3,
    hidden_units=(8,),
    num_flow_steps=1,
    flow_hidden_units=(6,),
    flow_context_size=4,
    prior_hidden_units=(6,),
    epochs=2,
    batch_size=500,
    importance_samples=5,
    log_likelihood_rows=50,
    progress=0,
)
TINY_POSTERIOR = PosteriorSettings(
    **{"num_steps": 1, "hidden_units": (4,), "training_steps": 3, "sample_size": 4},
    **{"num_draws": 200, "num_chains": 2, "num_adaptation_steps": 40},
    **{"jit_compile": False, "reference": "none"},
)


def in_folder(settings, folder, **changes):
    return dataclasses.replace(settings, run_dir=str(folder), **changes)


def outcome(run_dir):
    """Metrics, if any, and results, without what has no bearing on numbers."""
    results = json.loads(pathlib.Path(run_dir, "results.json").read_text())
    metrics = pathlib.Path(run_dir, "metrics.csv")
    kept = {k: v for k, v in results.items() if "seconds" not in k and k != "command"}
    return kept, metrics.read_text() if metrics.is_file() else ""


def run_without_end(settings):
    """Trains, and then dies."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation, "measure", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            density_estimation.run(settings)


@contextlib.contextmanager
def quick_runs():
    """Leaves out pictures, baselines of predictions, and the classifier of samples."""
    known = {"accuracy": 0.5, "two_standard_errors": 0.1, "num_rows": 100}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pictures, "draw", lambda *_: {})
        patch.setattr(vae_pictures, "draw", lambda *_: {})
        patch.setattr(diagnostics, "two_sample_test", lambda subject: known)
        patch.setattr(diagnostics, "prediction_scores", lambda subject: None)
        yield
