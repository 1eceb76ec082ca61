"""Two replicas train as one device does, up to rounding."""

import dataclasses
import json

import keras
import killed_runs
import numpy as np
import pytest

from experiments.command_line.flag_settings import UsageError
from experiments.density_estimation.settings import Settings

# 10,000 rows: 20 steps of 500, or 3 epochs with a last batch of odd size.
EVEN = Settings(
    num_steps=2, hidden_units=(8,), epochs=1, batch_size=500, num_samples=100, progress=0
)
UNEVEN = dataclasses.replace(
    EVEN, epochs=3, batch_size=1667, gradient_clip_norm=0.1, evaluation_batch_size=667
)
GLOW = Settings(
    dataset="digits",
    flow="glow",
    recompute=True,
    num_steps=2,
    hidden_channels=4,
    epochs=1,
    batch_size=200,
    num_samples=100,
    progress=0,
)


def run(settings, folder, strategy):
    # In a process of its own: TensorFlow's replicas do not survive a second strategy.
    killed_runs.run_to_the_end(
        dataclasses.replace(settings, run_dir=str(folder), strategy=strategy)
    )
    metrics = np.genfromtxt(folder / "metrics.csv", delimiter=",", skip_header=1)
    model = keras.saving.load_model(folder / "model.keras")
    return model.get_weights(), metrics, json.loads((folder / "results.json").read_text())


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(EVEN, marks=pytest.mark.slow),
        pytest.param(UNEVEN, marks=pytest.mark.slow),
        pytest.param(
            dataclasses.replace(
                UNEVEN, num_steps=1, ema_momentum=0.9, act_norm=True, weight_decay=0.1
            ),
            marks=pytest.mark.slow,
        ),
        pytest.param(GLOW, marks=pytest.mark.slow),
    ],
    ids=["even", "uneven_and_clipped", "averaged_with_act_norm", "glow_recomputing"],
)
def test_two_replicas_equal_one_device(settings, tmp_path):
    one, two = (run(settings, tmp_path / s, s) for s in ("none", "mirrored"))
    for a, b in zip(one[0], two[0], strict=True):
        np.testing.assert_allclose(a.astype(float), b.astype(float), atol=2e-5)
    np.testing.assert_allclose(one[1], two[1], rtol=1e-4)
    assert one[2]["test_log_likelihood"]["nats"] == pytest.approx(
        two[2]["test_log_likelihood"]["nats"], abs=1e-4
    )


@pytest.mark.slow
def test_two_replicas_have_one_batch_statistic(tmp_path):
    settings = dataclasses.replace(UNEVEN, batch_norm=True)
    one, two = (run(settings, tmp_path / s, s) for s in ("none", "mirrored"))
    # Not the weights: shift and scale before a batch norm change nothing, so that Adam
    # moves them by rounding.
    np.testing.assert_allclose(one[1], two[1], rtol=1e-4)
    assert one[2]["test_log_likelihood"]["nats"] == pytest.approx(
        two[2]["test_log_likelihood"]["nats"], abs=1e-4
    )


@pytest.mark.slow
def test_killed_run_of_two_replicas_goes_on(tmp_path):
    paused, whole = (
        dataclasses.replace(
            UNEVEN, epochs=8, strategy="mirrored", run_dir=str(tmp_path / name)
        )
        for name in ("paused", "whole")
    )
    assert killed_runs.run_and_kill(paused, rng=np.random.default_rng(2)) > 0
    assert killed_runs.run_to_the_end(paused) == killed_runs.run_to_the_end(whole)


def test_what_replicas_cannot_do_is_refused():
    with pytest.raises(UsageError, match="no `jit_compile` with a `strategy`"):
        Settings(strategy="mirrored", jit_compile=True)
