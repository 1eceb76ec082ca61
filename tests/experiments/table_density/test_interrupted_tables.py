"""Runs of `table_density` that are killed: the same command ends at the same numbers."""

import time

import fresh_process
import numpy as np
import pandas as pd
import pytest
from refused import assert_refused

from experiments import table_density
from experiments.table_density import experiment
from experiments.table_density.settings import TableDensitySettings
from tfp_flows.tables import training

SMALL = {"num_members": 1, "hidden_units": (4,), "num_bins": 4, "progress": 0}


def written(path):
    rng = np.random.default_rng(0)
    kind = rng.choice(["a", "b"], 80)
    frame = pd.DataFrame({"kind": kind, "size": rng.normal(size=80) + (kind == "b")})
    frame.to_csv(path, index=False)
    return path


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_numbers(tmp_path):
    path = str(written(tmp_path / "rows.csv"))
    options = {**SMALL, "epochs": 400, "patience": 400, "csv_path": path}
    whole, paused = (
        TableDensitySettings(**options, run_dir=str(tmp_path / name))
        for name in ("whole", "paused")
    )
    process = fresh_process.start(_run_with_many_backups, paused)
    backup = tmp_path / "paused" / "checkpoints" / "fit.npz"
    while process.is_alive() and not backup.is_file():
        time.sleep(0.01)
    time.sleep(0.5)
    process.kill()
    process.join()
    assert not (tmp_path / "paused" / "results.json").exists()
    found = [table_density.run(settings) for settings in (paused, whole)]
    assert not backup.exists()
    assert found[0]["num_epochs"] == found[1]["num_epochs"] == 400
    # To the last digit op by op (`test_interrupted_fit.py`). Here two processes may differ
    # in the eighth digit, without an interruption too, as several threads add up.
    for name in ("nats", "two_standard_errors"):
        values = [results["test_log_likelihood"][name] for results in found]
        np.testing.assert_allclose(*values, rtol=1e-5)


def _run_with_many_backups(settings):
    training._SECONDS = 0.0
    table_density.run(settings)


def test_the_state_of_other_rows_is_refused(tmp_path, capsys, monkeypatch):
    path = written(tmp_path / "rows.csv")
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    (tmp_path / "run" / "checkpoints" / "fit.npz").write_bytes(b"nothing")
    flags = [f"--csv_path={path}", f"--run_dir={tmp_path / 'run'}", "--num_members=1"]
    words = ["Expected `backup` that a fit has written"]
    assert_refused(experiment, flags, 1, words, capsys, monkeypatch)
