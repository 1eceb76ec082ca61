"""Benchmarks: each module can be imported, and a tiny run of each kind prints a table."""

import contextlib
import dataclasses
import functools
import importlib
import math
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from derivatives import op_by_op

import benchmarks
from benchmarks import (
    binary_made,
    commits,
    flow_times,
    imputation,
    timing,
    vae,
)
from benchmarks.timing import Contender
from benchmarks.worker import Worker
from benchmarks.workloads import VAE, Autoregressive, BinaryMADE, Glow, RealNVP, SplineFlow

MODULES = sorted(p.stem for p in Path(benchmarks.__file__).parent.glob("[!_]*.py"))


@pytest.mark.parametrize("name", MODULES)
def test_every_module_can_be_imported(name):
    assert importlib.import_module(f"benchmarks.{name}").__doc__


SIZES = {"num_steps": 2, "hidden_units": (8, 8), "batch_size": 16, "calls": 2}
TRAINED = Autoregressive(4, **SIZES, task="train")
VECTORS = RealNVP(4, **SIZES)
# Module, with a second word if it times several workloads; and a tiny workload.
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
# These run op by op in `make test`; the others run as users run them.
OP_BY_OP = {"devices", "autoregressive", "posterior_step"}
# Here ours and the peers must have equally many parameters.
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


@pytest.mark.parametrize(
    ("after", "is_slower"),
    [
        ((13.0, 13.1, 13.2, 13.3, 13.4), True),
        ((11.0, 11.1, 11.2, 11.3, 11.4), False),
        ((9.0, 11.0, 13.0, 16.0, 20.0), False),  # above the limit, but within the spread
    ],
)
def test_a_commit_is_slower_where_it_is_so_beyond_the_spread(after, is_slower, capsys):
    comparison = commits.Comparison("a", (10.0,) * 5, after)
    assert comparison.is_worse(1.2) == is_slower
    assert ("| slower |" in comparison.row(1.2)) == is_slower
    assert commits.main(["commits", "v1"]) == 2
    assert "Expected two commits; got ['v1']" in capsys.readouterr().err


def test_completions_nearer_to_the_hidden_numbers_score_higher(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "normal.csv"
    pd.DataFrame(rng.normal(size=(100, 2)), columns=["a", "b"]).to_csv(path, index=False)
    train, test, hidden = imputation.task(path, seed=0)
    assert (len(train), len(test)) == (80, 20)
    count = int(hidden.isna().sum().sum())
    assert 0 < count < 20
    noise = rng.normal(scale=0.1, size=(50, 20, 2))
    right, near, far = (
        imputation.scores([test + shift + part for part in noise], train, test, hidden)
        for shift in (0.0, 0.2, 2.0)
    )
    assert [each["cells"] for each in (right, near, far)] == [count] * 3
    assert right["rmse"] < near["rmse"] < far["rmse"]
    assert right["nats"] > near["nats"] > far["nats"] > -10.0  # by the wide kernel


def test_scores_of_imputation_are_means_over_seeds():
    score = {"rmse": 0.5, "nats": -1.0, "error": 0.3, "cells": 40, "rows": 90}
    other = {"rmse": 0.7, "nats": -2.0, "error": 0.4, "cells": 60, "rows": 90}
    found = {
        f"a | {contender} | {seed}": each
        for seed, each in enumerate([score, other])
        for contender in imputation.CONTENDERS
    }
    row = imputation.as_table(found).splitlines()[-1]
    cells = [cell.strip() for cell in row.strip("| ").split("|")]
    assert cells == ["a", "90", "100", *["0.600"] * 3, *["-1.500 ± 0.250"] * 3]
