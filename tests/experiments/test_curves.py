"""The curves of cost: which points they have, and what is kept of them."""

import numpy as np
import pandas as pd

from benchmarks import curves
from benchmarks import curves_page

ROWS = [
    ["MAF", "num_steps", "train", 64, "tfp_flows", 3.0, 2.0, 4.04, "then"],
    ["MAF", "num_steps", "train", 1, "tfp_flows", 1.0, 1.0, 1.0, "then"],
    ["MAF", "num_steps", "train", 1, "zuko", 2.0, 2.0, 2.0, "then"],
    ["MAF", "event_size", "memory", 2, "zuko", 7.0, 7.0, 7.0, "then"],
]


def rows(*chosen, note="then"):
    return pd.DataFrame([[*row[:-1], note] for row in chosen], columns=curves_page.COLUMNS)


def swept(flow, axis, tasks, longest=1e9):
    """What is asked of `measure`, where the peer takes as many milliseconds as steps."""
    asked = []

    def measure(workload, gone):
        asked.append(workload)
        times = {"ours": 0.1, "peer": float(workload.num_steps)}
        return {name: (time,) * 3 for name, time in times.items() if name not in gone}

    found = list(
        curves.sweep(flow, axis, curves.AXES[axis], tasks, measure, longest=longest)
    )
    return asked, found


def test_a_sweep_varies_one_size_of_each_task():
    asked, found = swept("MAF", "batch_size", ["train", "score"])
    values = [1, 16, 256, 4096, 65536]
    assert [w.batch_size for w in asked] == list(np.repeat(values, 2))
    assert [w.task for w in asked] == ["train", "score"] * 5
    assert {w.num_steps for w in asked} == {5}
    assert found[0] == ["MAF", "batch_size", "train", 1, "ours", 0.1, 0.1, 0.1]
    assert len(found) == 5 * 2 * 2


def test_runs_have_more_calls_where_these_are_short():
    asked, _ = swept("MAF", "event_size", ["sample"])
    for sequential in (False, True):
        counts = [curves.calls(w, sequential=sequential) for w in asked]
        assert counts == sorted(counts, reverse=True)
        assert 1 <= counts[-1] < counts[0] <= 20
    assert curves.calls(asked[1], sequential=True) < curves.calls(
        asked[1], sequential=False
    )


def test_what_was_measured_is_kept_as_numbers_tables_and_pictures(tmp_path):
    again = [*ROWS[2][:-4], 9.0, 9.0, 9.0, "before"]
    curves_page.keep(rows(*ROWS[:2], again), tmp_path)
    curves_page.keep(rows(*ROWS[2:], note="now"), tmp_path)
    kept = pd.read_csv(tmp_path / "curves.csv")
    assert kept.shape == (4, len(curves_page.COLUMNS))
    page = (tmp_path / "curves.md").read_text()
    assert "Measured then; now:\n\n| what | contender | steps = 1 | steps = 64 |" in page
    assert "| training step, ms | tfp_flows | 1 | 3 (2-4.04) |" in page
    assert "| training step, ms | zuko | 2 |  |" in page
    assert "](curves_maf.png)" in page
    assert (tmp_path / "curves_maf.png").stat().st_size > 1000
