"""Tables that are far larger than what is held of them; processes that are killed."""

import json
import resource
import sys
import time

import fresh_process
import numpy as np
import pytest
from saved_models import save_model

import tfp_flows
from experiments import score
from experiments.data import text_table

COUNT = 1_000_000
MIB = 1 << 20


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """Files of a table of 60 MB and of a model of its two columns."""
    folder = tmp_path_factory.mktemp("large")
    rng = np.random.default_rng(0)
    with (folder / "rows.csv").open("w") as file:
        file.write("a,b\n")
        for _ in range(10):
            rows = rng.normal(size=(COUNT // 10, 2))
            np.savetxt(file, rows, fmt="%.25f", delimiter=",")
    save_model(folder / "model.keras", tfp_flows.MADE(2, hidden_units=(4,), seed=0), 2)
    return folder


def settings(folder, out):
    paths = {"model": folder / "model.keras", "csv": folder / "rows.csv", "out": out}
    return score.ScoreSettings(progress=0, **{k: str(v) for k, v in paths.items()})


def score_and_measure(settings, path):
    """Writes the memory, in MiB, that scoring in small blocks takes beyond the imports."""
    text_table._BYTES_A_BLOCK = MIB
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    score.score(settings)
    kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    path.write_text(json.dumps(kib / 1024))


@pytest.mark.slow
def test_memory_does_not_grow_with_the_table(large, tmp_path):
    output = tmp_path / "output.txt"
    whole = (large / "rows.csv").read_bytes()
    (large / "first.csv").write_bytes(whole[: whole.rfind(b"\n", 0, 20 * MIB) + 1])
    found = []
    for name in ("rows.csv", "first.csv"):
        out, report = tmp_path / f"{name}.scored", tmp_path / f"{name}.json"
        paths = {"model": large / "model.keras", "csv": large / name, "out": out}
        asked = score.ScoreSettings(progress=0, **{k: str(v) for k, v in paths.items()})
        fresh_process.run(score_and_measure, asked, report, output=output)
        found.append(json.loads(report.read_text()))
    assert len(whole) > 50 * MIB
    assert found[0] < found[1] + 25.0


@pytest.mark.slow
def test_nothing_is_lost_when_processes_are_killed(large, tmp_path):
    score.score(settings(large, tmp_path / "whole.csv"))
    out = tmp_path / "killed.csv"
    rng, kills = np.random.default_rng(0), 0
    while not out.exists():
        process = fresh_process.start(_score, settings(large, out))
        size = _size(out)
        while process.is_alive() and _size(out) == size:
            time.sleep(0.005)
        time.sleep(rng.uniform(0.0, 0.5))
        process.kill()
        process.join()
        kills += process.exitcode != 0
    assert kills > 1
    assert out.read_bytes() == (tmp_path / "whole.csv").read_bytes()


def _score(settings):
    score.score(settings)
    sys.exit(0)


def _size(out):
    path = out.with_name(f"{out.name}.partial")
    return path.stat().st_size if path.exists() else 0
