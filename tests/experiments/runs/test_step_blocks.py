"""Blocks of steps: what a killed training has saved is not done again, or refused."""

import json

import numpy as np
import pytest

import tfp_flows
from experiments.command_line.flag_settings import TrainingError
from experiments.density_estimation.settings import Settings
from experiments.posterior_inference.training import STEPS, train_in_blocks
from experiments.runs import resuming
from experiments.runs.run_directory import RunDirectoryError

_NUM_STEPS = 2 * STEPS + 7
_START = [np.float32([4.0, -2.0]), np.int64(0)]
_KNOWN = np.array([1.5, -np.inf])


class Descent:
    """Noisy steps to zero, whose noise depends on their number; may die in a block."""

    def __init__(self, *, dies_in_block=None):
        self.taken, self._dies_in_block = [], dies_in_block

    def __call__(self, values, num_steps):
        if len(self.taken) + 1 == self._dies_in_block:
            raise KeyboardInterrupt
        x, step = values
        losses = []
        for i in range(int(step), int(step) + num_steps):
            x = 0.97 * x + np.random.default_rng(i).normal(size=2).astype(np.float32)
            losses.append(np.sum(x**2))
        self.taken.append(num_steps)
        return [x.astype(np.float32), np.int64(step + num_steps)], np.array(losses)


def train(take, path, *, start=_START, known=_KNOWN):
    values, losses, _ = train_in_blocks(
        take, start, _NUM_STEPS, path, name="x", known=known
    )
    return [*values, losses]


def die(path, *, in_block):
    with pytest.raises(KeyboardInterrupt):
        train(Descent(dies_in_block=in_block), path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return train(Descent(), tmp_path_factory.mktemp("whole"))


def assert_ends_as(whole, take, path):
    for value, expected in zip(train(take, path), whole, strict=True):
        np.testing.assert_array_equal(value, expected)


def test_only_the_block_under_way_is_taken_again(whole, tmp_path, capsys):
    die(tmp_path, in_block=2)
    die(tmp_path, in_block=2)
    take = Descent()
    assert_ends_as(whole, take, tmp_path)
    assert take.taken == [7]
    text = "Training goes on from step {} of {}.".format
    steps = [text(n, _NUM_STEPS) for n in (STEPS, 2 * STEPS)]
    assert capsys.readouterr().out.splitlines() == steps


def test_a_loss_that_is_not_finite_is_told_and_not_saved(tmp_path):
    def take(values, num_steps):
        losses = np.ones(num_steps)
        losses[4] = np.nan
        return values, losses

    die(tmp_path, in_block=2)
    for _ in range(2):
        with pytest.raises(TrainingError, match=f"loss of x is .* at step {STEPS + 5};"):
            train(take, tmp_path)


@pytest.mark.parametrize(
    "change",
    [{"known": np.array([1.6, -np.inf])}, {"start": [np.float32([4.0]), np.int64(0)]}],
)
def test_another_training_is_refused(change, tmp_path):
    die(tmp_path, in_block=2)
    with pytest.raises(RunDirectoryError, match="holds the training of another posterior"):
        train(Descent(), tmp_path, **change)


def test_checkpoints_of_another_version_are_refused(tmp_path):
    path = resuming.checkpoints(tmp_path) / "versions.json"
    assert resuming.checkpoints(tmp_path) == path.parent
    now = tfp_flows.__version__
    path.write_text(json.dumps(json.loads(path.read_text()) | {"tfp_flows": "0.0.9"}))
    settings = Settings(run_dir=str(tmp_path))
    for call in (resuming.checkpoints, lambda _: resuming.unfinished(settings).__enter__()):
        with pytest.raises(RunDirectoryError, match=f"tfp_flows 0.0.9 there, {now} now"):
            call(tmp_path)
    path.write_text("{")
    with pytest.raises(RunDirectoryError, match="versions.json is damaged"):
        resuming.checkpoints(tmp_path)
