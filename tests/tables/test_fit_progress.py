"""Progress of a fit: one line that changes, or lines seconds apart; none of short fits."""

import pytest

from tfp_flows.tables import training

SECONDS_AN_EPOCH = 2.0
LOGS = {"loss": 1.5, "val_loss": 2.25}


@pytest.fixture
def told(monkeypatch, capsys):
    """A function that runs some epochs, and returns what was written."""

    def run(epochs, is_terminal):
        now = [100.0]
        monkeypatch.setattr(training.time, "monotonic", lambda: now[0])
        monkeypatch.setattr(training.sys.stderr, "isatty", lambda: is_terminal)
        progress = training.FitProgress(50)
        progress.on_train_begin()
        for epoch in range(epochs):
            now[0] += SECONDS_AN_EPOCH
            progress.on_epoch_end(epoch, LOGS)
        progress.on_train_end()
        written = capsys.readouterr()
        assert written.out == ""
        return written.err

    return run


def test_a_file_gets_a_line_every_ten_seconds_and_the_last(told):
    assert told(1, is_terminal=False) == ""
    lines = told(13, is_terminal=False).splitlines()
    epochs = [2, 7, 12, 13]
    assert lines == [
        f"epoch {e} of at most 50: loss 1.5000, val_loss 2.2500, {2 * e} s" for e in epochs
    ]


def test_a_terminal_gets_one_line_that_changes(told):
    written = told(3, is_terminal=True)
    assert written.count("\n") == 1
    shown = [line.strip() for line in written.split("\r") if line]
    assert shown[0] == "epoch 1 of at most 50: preparing"
    assert shown[-1] == "epoch 3 of at most 50: loss 1.5000, val_loss 2.2500, 6 s"
