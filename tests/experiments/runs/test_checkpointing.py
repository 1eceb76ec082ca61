"""Checkpoints: whole or refused, the last two kept."""

import numpy as np
import pytest

from experiments.runs.checkpoints import Checkpoint
from experiments.runs.checkpoints import CheckpointFolder


def checkpoint(epoch):
    arrays = {
        "weights": [np.arange(3.0, dtype=np.float32) + epoch, np.float32(1.5)],
        "none": [],
    }
    return Checkpoint(epoch, {"best": 0.1 + epoch, "loss": float("inf")}, arrays)


def test_round_trip_is_exact():
    before = checkpoint(7)
    after = Checkpoint.from_bytes(before.to_bytes())
    assert (after.epoch, after.facts) == (7, before.facts)
    assert after.arrays["none"] == []
    for a, b in zip(after.arrays["weights"], before.arrays["weights"], strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def test_last_two_are_kept(tmp_path):
    folder = CheckpointFolder(tmp_path / "checkpoints")
    assert folder.load_newest() is None
    for epoch in range(1, 5):
        folder.save(checkpoint(epoch))
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == ["epoch_000003.checkpoint", "epoch_000004.checkpoint"]
    assert folder.load_newest().epoch == 4


def truncate(content):
    return content[:-100]


def flip_a_bit(content):
    return content[:200] + bytes([content[200] ^ 1]) + content[201:]


def empty(content):
    return b""


@pytest.mark.parametrize("damage", [truncate, flip_a_bit, empty])
def test_damaged_checkpoint_is_named_and_the_one_before_it_used(damage, tmp_path, capsys):
    folder = CheckpointFolder(tmp_path)
    folder.save(checkpoint(1))
    folder.save(checkpoint(2))
    path = tmp_path / "epoch_000002.checkpoint"
    path.write_bytes(damage(path.read_bytes()))
    assert folder.load_newest().epoch == 1
    assert f"{path} is damaged; the checkpoint before it is" in capsys.readouterr().out
    folder.save(checkpoint(2))
    assert folder.load_newest().epoch == 2


def test_last_damaged_checkpoint_means_to_start_anew(tmp_path, capsys):
    folder = CheckpointFolder(tmp_path)
    for epoch in (1, 2):
        folder.save(checkpoint(epoch))
    for path in tmp_path.iterdir():
        path.write_bytes(truncate(path.read_bytes()))
    assert folder.load_newest() is None
    newest, oldest = capsys.readouterr().out.splitlines()
    assert newest.endswith("is damaged; the checkpoint before it is used.")
    assert oldest.endswith("is damaged; there is none before it, and training starts anew.")


def test_deleting_leaves_the_newest_and_the_files_of_others(tmp_path):
    folder = CheckpointFolder(tmp_path / "checkpoints")
    for epoch in (1, 2):
        folder.save(checkpoint(epoch))
    (tmp_path / "checkpoints" / "note.txt").write_text("mine")
    folder.delete_all_but_newest()
    assert folder.load_newest().epoch == 2
    assert len(list((tmp_path / "checkpoints").iterdir())) == 2
