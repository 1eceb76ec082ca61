"""What one sees of a run while it trains."""

import pytest
import tensorflow as tf
from tiny_runs import TINY, in_folder

from experiments.data import load_dataset
from experiments.density_estimation import models, training
from experiments.reports import progress


def train(settings):
    distribution = models.build_distribution(settings, 2)
    return training.train(distribution, load_dataset("two_moons"), settings)


def assert_log_likelihood_is_the_loss_with_the_other_sign(history):
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


@pytest.mark.usefixtures("op_by_op")
@pytest.mark.slow_ids("0-steps1")
@pytest.mark.parametrize(("every", "steps"), [(2, [1, 3]), (0, [])])
def test_metrics_and_tensorboard_have_the_log_likelihood(every, steps, tmp_path):
    changes = {"epochs": 4, "tensorboard": True, "pictures_every": every}
    settings = in_folder(TINY, tmp_path, **changes)
    _, history, _ = train(settings)
    assert_log_likelihood_is_the_loss_with_the_other_sign(history)
    found = {}
    for path in sorted(tmp_path.glob("tensorboard/**/events*")):
        for record in tf.compat.v1.train.summary_iterator(str(path)):
            for value in record.summary.value:
                found.setdefault(value.tag, []).append(record.step)
    # Once for training and once for validation, as Keras does.
    assert sorted(found["epoch_log_likelihood"]) == [0, 0, 1, 1, 2, 2, 3, 3]
    assert found.get("data and samples", []) == steps
