"""Pictures and findings of flows on images."""

import numpy as np
import pytest
from random_weights import randomize

from experiments.data import load_dataset
from experiments.density_estimation import diagnostics
from experiments.density_estimation import pictures
from experiments.density_estimation.diagnostics import Subject
from experiments.density_estimation.evaluation import likelihood_classification
from experiments.density_estimation.models import build_distribution
from experiments.density_estimation.settings import Settings

GLOW = {"flow": "glow", "num_steps": 1, "hidden_channels": 4, "dataset": "digits"}
HISTORY = {"loss": [1.0], "val_loss": [1.0]}


def subject_of(tmp_path, num_samples=100, **arguments):
    settings = Settings(run_dir=str(tmp_path), num_samples=num_samples, **arguments)
    dataset = load_dataset("digits", conditional=settings.conditional)
    distribution = build_distribution(
        settings, 64, dataset.context_size, image_shape=dataset.image_shape
    )
    if settings.flow == "glow":
        randomize(distribution.bijector, stddev=0.1)
    return Subject(distribution, dataset, settings)


@pytest.mark.slow_ids("conditional")
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (GLOW, {"interpolations.png", "attributes.png", "levels.png"}),
        (GLOW | {"conditional": True}, {"levels.png", "temperatures.png"}),
        (
            {"flow": "nice", "num_steps": 2, "base": "logistic"},
            {"interpolations.png", "attributes.png"},
        ),
    ],
    ids=["glow", "conditional", "nice"],
)
def test_every_run_on_images_gets_its_pictures(arguments, expected, tmp_path):
    subject = subject_of(tmp_path, **arguments)
    drawn = pictures.draw(subject, HISTORY)
    always = {"samples.png", "nearest.png", "reconstructions.png"}
    assert ("a row a class" in drawn["samples.png"]) == subject.settings.conditional
    assert list(drawn)[0] == "samples.png"
    assert set(drawn) == always | expected | {"calibration.png", "learning_curve.png"}
    assert all((tmp_path / name).stat().st_size > 5000 for name in drawn)


@pytest.mark.slow_ids("5")
@pytest.mark.parametrize("num_samples", [2, 5])
def test_few_samples_fill_what_they_can(num_samples, tmp_path):
    subject = subject_of(tmp_path, num_samples, **GLOW)
    drawn = pictures.draw(subject, HISTORY)
    assert all((tmp_path / name).stat().st_size > 2000 for name in drawn)


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


def test_resampling_keeps_the_coarser_levels(tmp_path):
    subject = subject_of(tmp_path, **GLOW)
    rows, flow = subject.data[:5], subject.distribution.bijector
    kept, finest, both = diagnostics.resample_levels(subject.distribution, rows, seed=1)
    np.testing.assert_allclose(kept, rows, atol=1e-4)
    latents = [flow.inverse_and_log_det(x)[0].numpy() for x in (rows, finest, both)]
    np.testing.assert_allclose(latents[1][:, 32:], latents[0][:, 32:], atol=1e-3)
    np.testing.assert_allclose(latents[1][:, :32], latents[2][:, :32], atol=1e-3)
    assert np.abs(latents[1][:, :32] - latents[0][:, :32]).mean() > 0.1
    assert np.abs(latents[2][:, 32:] - latents[0][:, 32:]).mean() > 0.1


def test_likelihood_classification_counts_the_right_classes(tmp_path):
    """An oracle of the context is always right, whatever the rows look like."""
    subject = subject_of(tmp_path, **GLOW, conditional=True)

    class Oracle:
        context_size = 10

        def log_prob(self, rows, context):
            own = [np.flatnonzero((subject.data == row).all(1))[0] for row in rows]
            return np.sum(subject.context[own] * context, axis=1) * 100.0

    subject.distribution = Oracle()
    found = likelihood_classification(subject)
    assert found["accuracy"] == 1.0
    subject.context = np.roll(subject.context, 1, axis=1)[::-1]
    assert likelihood_classification(subject)["accuracy"] == 1.0
