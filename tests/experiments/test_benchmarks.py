"""The benchmarks: each module can be imported, and tiny runs of each kind have tables."""

import contextlib
import dataclasses
import functools
import importlib
import itertools
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from derivatives import op_by_op

import benchmarks
import tfp_flows
from benchmarks import (
    autoregressive_tensorflow,
    binary_made,
    budgeted_training,
    commits,
    curves,
    curves_page,
    first_calls,
    flow_times,
    stability,
    tensorflow_contender,
    timing,
    vae,
)
from benchmarks.timing import Contender
from benchmarks.worker import Worker
from benchmarks.workloads import VAE, Autoregressive, BinaryMADE, Glow, RealNVP, SplineFlow

MODULES = sorted(p.stem for p in Path(benchmarks.__file__).parent.glob("[!_]*.py"))
WITHOUT_TENSORFLOW = ("autoregressive_torch", "autoregressive_jax", "binary_made_peers")
WITHOUT_TENSORFLOW += ("glow_torch", "spline_flows_torch", "vae_torch", "worker")


@pytest.mark.parametrize("name", MODULES)
def test_every_module_can_be_imported(name):
    assert importlib.import_module(f"benchmarks.{name}").__doc__


def test_what_runs_beside_torch_needs_no_tensorflow():
    modules = ", ".join(f"benchmarks.{name}" for name in WITHOUT_TENSORFLOW)
    code = f"import sys; sys.modules['tensorflow'] = None; import {modules}"
    subprocess.run([sys.executable, "-c", code], check=True)


SIZES = {"num_steps": 2, "hidden_units": (8, 8), "batch_size": 16, "calls": 2}
TRAINED = Autoregressive(4, **SIZES, task="train")
VECTORS = RealNVP(4, **SIZES)
# Module, and what is timed after a space if there are several; and a tiny workload.
TABLES = {
    "devices": VECTORS,
    "autoregressive": dataclasses.replace(TRAINED, task="score"),
    "posterior_step": dataclasses.replace(TRAINED, is_inverse=True),
    "spline_flows": SplineFlow(4, **SIZES, task="sample", num_bins=3),
    "autoregressive sampling": dataclasses.replace(TRAINED, task="sample"),
    "real_nvp_step": VECTORS,
    "binary_made": BinaryMADE(8, 1, event_size=6, batch_size=4),
    "glow": Glow(True, image_size=4, num_levels=1, num_steps=1, hidden_channels=4, calls=1),
    "vae": VAE(12, (6, 5), 3, 2, (7, 7), context_size=4, batch_size=8, calls=3),
    "flow_times": flow_times.Sizes(3, num_steps=2, hidden_units=(8, 8), calls=1),
    "first_calls_peers": TRAINED,
}
OTHER_FUNCTIONS = {
    "binary_made": functools.partial(binary_made.time_task, "train"),
    "vae": vae.time_steps,
}
# In `make test`, not compiled; the others as users run them.
OP_BY_OP = {"devices", "autoregressive", "posterior_step"}
# In which ours and the peers must be of one size.
OF_ONE_SIZE = ("autoregressive", "posterior_step", "spline_flows")


@pytest.mark.slow_ids(*(TABLES.keys() - OP_BY_OP))
@pytest.mark.parametrize("name", TABLES)
def test_a_tiny_run_gives_a_table(name):
    module = importlib.import_module(f"benchmarks.{name.split()[0]}")
    time = OTHER_FUNCTIONS.get(name) or module.time_workload
    ways = op_by_op() if name in OP_BY_OP else contextlib.nullcontext()
    with Worker(sys.executable) as worker, ways:
        text = time(TABLES[name], worker, repetitions=1, patience=0.0)
    lines = [line.split(" | ") for line in text.splitlines() if line.startswith("| ")]
    header, _, *rows = lines
    assert len(rows) > 1
    assert {len(line) for line in lines} == {len(header)}
    assert "Error" not in text
    if name in OF_ONE_SIZE:
        place = header.index("parameters")
        assert len({row[place] for row in rows} - {"-"}) == 1


def test_contenders_take_turns_and_are_compared_with_the_best_peer():
    log = []

    def contender(name, result=1.0):
        return Contender(name, lambda: log.append(name) or result, calls=1)

    contenders = [contender(name) for name in ("ours", "peer", "best")]
    timings = timing.interleave(contenders, repetitions=2)
    assert log == [*np.repeat(["ours", "peer", "best"], 2), *2 * ["ours", "peer", "best"]]
    times = [(3.0, 4.0, 5.0), (16.0,), (8.0,)]
    timings = [
        dataclasses.replace(timing, milliseconds=milliseconds)
        for timing, milliseconds in zip(timings, times, strict=True)
    ]
    lines = timing.table(timings, {"peer", "best"}).splitlines()
    assert lines[2] == "| ours | 4.00 (3.00-5.00) | 3 | 0.50 | - | 1.000 |"
    with pytest.raises(FloatingPointError, match="results of broken; got"):
        timing.interleave([contender("broken", math.nan)], repetitions=1)


def test_a_spline_flow_is_trained_for_a_given_time(monkeypatch):
    clock = itertools.count()  # of which every look takes a second
    monkeypatch.setattr(budgeted_training.time, "perf_counter", lambda: next(clock))
    x = np.random.default_rng(0).normal(3.0, 0.5, size=(64, 4)).astype(np.float32)
    workload = SplineFlow(4, 1, (8, 8), 16, 1, "train", num_bins=3)
    contender = tensorflow_contender.budgeted(
        autoregressive_tensorflow.our_distribution(workload),
        budgeted_training.Rows(x, x[:7]),
        budgeted_training.Budget(60.0, 2, batch_size=16, learning_rate=1e-2),
        jit_compile=False,
    )
    first, second = contender.run(), contender.run()
    assert first.scores.shape == (7,)
    assert second.scores.mean() > first.scores.mean()
    assert second.num_rows > first.num_rows > 0


def test_a_masked_flow_is_sampled_in_a_graph_of_few_operations():
    _, sampled = first_calls.first_call("MAF, D=6, 5 x 64/64", "sample", "graph")
    _, scored = first_calls.first_call("MAF, D=6, 5 x 64/64", "log_prob", "graph")
    assert sampled < 4 * scored


@pytest.mark.usefixtures("op_by_op")
def test_rounding_errors_are_those_of_each_dtype():
    make = functools.partial(tfp_flows.RealNVP, 4, num_steps=2, hidden_units=(8,), seed=0)
    narrow, wide, from_log_det, largest = stability.errors(make, 0.1, 1e6)
    assert 1e-9 < narrow < 1e-4
    assert wide < 1e-12
    assert 0.0 < from_log_det < 1e-3
    assert largest > 40.0  # four times the logarithm of the unit


def test_a_sweep_is_kept_as_numbers_tables_and_pictures(tmp_path):
    def measure(workload, gone):
        return {name: (float(workload.batch_size),) * 3 for name in {"tfp_flows"} - gone}

    values, tasks = (1, 16, 256), ["train", "score"]
    rows = list(curves.sweep("MAF", "batch_size", values, tasks, measure, longest=100.0))
    assert [row[2:4] for row in rows] == [[t, v] for v in values[:2] for t in tasks]
    for note in ("before", "now"):  # the same points, of which the later are kept
        table = pd.DataFrame([[*row, note] for row in rows], columns=curves_page.COLUMNS)
        curves_page.keep(table, tmp_path)
    assert set(pd.read_csv(tmp_path / "curves.csv")["note"]) == {"now"}
    assert len(pd.read_csv(tmp_path / "curves.csv")) == 4
    page = (tmp_path / "curves.md").read_text()
    assert "Measured now:\n\n| what | contender | rows = 1 | rows = 16 |" in page
    assert "| training step, ms | tfp_flows | 1 | 16 |" in page
    assert (tmp_path / "curves_maf.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("after", "is_slower"),
    [
        ((13.0, 13.1, 13.2, 13.3, 13.4), True),
        ((11.0, 11.1, 11.2, 11.3, 11.4), False),
        ((9.0, 11.0, 13.0, 16.0, 20.0), False),  # above the limit, but so is the spread
    ],
)
def test_a_commit_is_slower_where_it_is_so_beyond_the_spread(after, is_slower, capsys):
    comparison = commits.Comparison("a", (10.0,) * 5, after)
    assert comparison.is_worse(1.2) == is_slower
    assert ("| slower |" in comparison.row(1.2)) == is_slower
    assert commits.main(["commits", "v1"]) == 2
    assert "Expected two commits; got ['v1']" in capsys.readouterr().err
