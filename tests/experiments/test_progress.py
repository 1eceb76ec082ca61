"""What one sees of a run while it trains."""

import dataclasses
import os
import pty
import subprocess
import sys

import pytest
import tensorflow as tf

from experiments.data import load_dataset
from experiments.density_estimation import models
from experiments.density_estimation import training
from experiments.density_estimation.settings import Settings
from experiments.reports import progress

TINY = Settings(num_steps=2, hidden_units=(8,), epochs=4, batch_size=1000, num_samples=100)


def train(settings):
    distribution = models.build_distribution(settings, 2)
    return training.train(distribution, load_dataset("two_moons"), settings)


def test_log_likelihood_is_the_loss_with_the_other_sign(tmp_path):
    _, history, _ = train(dataclasses.replace(TINY, run_dir=str(tmp_path)))
    for prefix in ("", "val_"):
        expected = [-value for value in history[f"{prefix}loss"]]
        assert history[f"{prefix}log_likelihood"] == expected


def test_elsewhere_than_on_a_terminal_a_line_a_minute(capsys, monkeypatch):
    clock = iter([0.0, 30.0, 61.0, 70.0, 130.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    lines = progress.LinePerMinute(9)
    lines.on_train_begin()
    lines.on_epoch_begin(0)
    lines.on_train_batch_end(0, {"loss": 2.0, "log_likelihood": -2.0})
    lines.on_train_batch_end(1, {"loss": 1.5, "log_likelihood": -1.5})
    lines.on_epoch_end(0, {"log_likelihood": -1.4, "val_log_likelihood": -1.3})
    lines.on_epoch_end(0, {"log_likelihood": -1.2, "val_log_likelihood": -1.1})
    assert capsys.readouterr().out.splitlines() == [
        "Epoch 1/9, batch 2: log_likelihood -1.5000",
        "Epoch 1/9, done: log_likelihood -1.2000, val_log_likelihood -1.1000",
    ]


def test_on_a_terminal_a_bar_with_the_log_likelihood(tmp_path):
    settings = dataclasses.replace(TINY, run_dir=str(tmp_path), epochs=2)
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "experiments.density_estimation", *settings.flags()]
    process = subprocess.Popen(command, stdout=slave, stderr=subprocess.DEVNULL)
    os.close(slave)
    output = b""
    while chunk := read(master):
        output += chunk
    assert process.wait() == 0
    text = output.decode()
    assert "Epoch 2/2" in text
    assert "━" in text
    assert "val_log_likelihood: -" in text


def read(descriptor):
    try:
        return os.read(descriptor, 4096)
    except OSError:  # what Linux says when the other side is closed
        return b""


@pytest.mark.parametrize(("every", "steps"), [(2, [1, 3]), (0, [])])
def test_tensorboard_gets_scalars_and_pictures(every, steps, tmp_path):
    settings = dataclasses.replace(
        TINY, run_dir=str(tmp_path), tensorboard=True, pictures_every=every
    )
    train(settings)
    found = {}
    for path in sorted(tmp_path.glob("tensorboard/**/events*")):
        for record in tf.compat.v1.train.summary_iterator(str(path)):
            for value in record.summary.value:
                found.setdefault(value.tag, []).append(record.step)
    # Once for training and once for validation, as Keras does.
    assert sorted(found["epoch_log_likelihood"]) == [0, 0, 1, 1, 2, 2, 3, 3]
    assert found.get("data and samples", []) == steps
