"""What the benchmarks rest on: turns, tables, workers, memory, and sound numbers."""

import itertools
import math
import sys

import numpy as np
import pytest
import small_contender

from benchmarks import autoregressive_tensorflow
from benchmarks import budgeted_training
from benchmarks import flow_times
from benchmarks import memory
from benchmarks import posterior_step
from benchmarks import spline_flows_torch
from benchmarks import tensorflow_contender
from benchmarks import timing
from benchmarks import torch_contender
from benchmarks.budgeted_training import Budget
from benchmarks.budgeted_training import Rows
from benchmarks.timing import Contender
from benchmarks.timing import Timing
from benchmarks.worker import Worker
from benchmarks.workloads import WORKLOADS
from benchmarks.workloads import Autoregressive
from benchmarks.workloads import SplineFlow

TASKS = {
    "train": ("train", False),
    "sample": ("sample", False),
    "score": ("score", False),
    "sample_and_score": ("sample_and_score", True),
}


class Clock:
    """A clock that only contenders advance."""

    def __init__(self):
        self.seconds = 0.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(timing.time, "perf_counter", clock)
    return clock


def recorder(name, log, clock, seconds=0.001, result=1.0):
    """A contender that writes its name into `log` and takes `seconds`."""

    def run():
        log.append(name)
        clock.seconds += seconds
        return result

    return Contender(name, run, calls=2)


def test_contenders_take_turns(clock):
    log = []
    contenders = [recorder("a", log, clock), recorder("b", log, clock, seconds=0.01)]
    timings = timing.interleave(contenders, repetitions=3)
    assert log == list("aabb") + list("ab") * 3
    np.testing.assert_allclose([t.milliseconds for t in timings], [[0.5] * 3, [5.0] * 3])


def test_slow_contenders_take_fewer_turns(clock):
    log = []
    seconds = {"fast": 0.1, "slow": 4.0, "slower": 30.0}
    contenders = [recorder(name, log, clock, t) for name, t in seconds.items()]
    timings = timing.interleave(contenders, repetitions=9, patience=10.0)
    assert [len(t.milliseconds) for t in timings] == [9, 2, 1]
    assert log.count("slower") == 2  # no second run before counting starts


def test_results_that_are_not_finite_are_refused(clock):
    with pytest.raises(FloatingPointError, match="results of a; got"):
        timing.interleave([recorder("a", [], clock, result=math.nan)], repetitions=1)


def test_table_has_ratios_to_the_best_peer_and_to_references():
    names = {"ours": (3.0, 4.0, 5.0), "peer": (16.0,), "best": (8.0,), "floor": (2.0,)}
    timings = [
        Timing(Contender(name, None, 1, 5), milliseconds, 0.5)
        for name, milliseconds in names.items()
    ]
    lines = timing.table(timings, {"peer", "best"}, ["floor"]).splitlines()
    assert lines[0].split(" | ")[3:5] == ["x best peer", "x floor"]
    assert lines[2] == "| ours | 4.00 (3.00-5.00) | 3 | 0.50 | 2.00 | 5 | 0.500 |"
    assert timing.table(timings, set()).splitlines()[2].split(" | ")[3] == "-"


def test_installed_names_who_is_left_out(capsys, clock):
    present = recorder("a", [], clock)
    builders = [lambda: present, lambda: small_contender.build(calls=1, missing="nowhere")]
    assert timing.installed(builders) == [present]
    assert "`nowhere` is not installed" in capsys.readouterr().out


def test_worker_builds_and_runs_in_another_process(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "tests/experiments")
    with Worker(sys.executable) as worker:
        contender = worker.build(small_contender.build, calls=3)
        fields = contender.name, contender.calls, contender.num_parameters
        assert fields == ("there", 3, 7)
        assert [contender.run() for _ in range(3)] == [1.0, 2.0, 3.0]
        with pytest.raises(ImportError) as error:
            worker.build(small_contender.build, calls=1, missing="nowhere")
        assert error.value.name == "nowhere"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_peak_memory_is_that_of_the_run(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "tests/experiments")
    small, large = (
        memory.peak_memory(small_contender.build_array, mebibytes=size) / 2**20
        for size in (64, 256)
    )
    assert large - small == pytest.approx(256 - 64, rel=0.1)


@pytest.mark.slow_ids("sample_and_score", "score")
@pytest.mark.parametrize("task", TASKS)
def test_both_sides_are_of_one_size_and_finite(task):
    workload = Autoregressive(4, 2, (8, 8), 16, 2, *TASKS[task])
    ours = autoregressive_tensorflow.ours(workload)
    peer = autoregressive_tensorflow.stock(workload, jit_compile=False)
    assert {contender.num_parameters for contender in (*ours, peer)} == {
        sum(a * b + b for a, b in workload.kernel_shapes())
    }
    floor = tensorflow_contender.matrix_products(workload, backward=task == "train")
    assert all(math.isfinite(c.run()) for c in (ours[0], peer, floor))


def test_training_steps_train():
    workload = Autoregressive(4, 2, (8, 8), batch_size=64, calls=100, task="train")
    for contender in (
        autoregressive_tensorflow.ours(workload)[0],
        autoregressive_tensorflow.stock(workload, jit_compile=False),
    ):
        losses = [contender.run() for _ in range(4)]
        assert losses == sorted(losses, reverse=True)


def test_workloads_name_a_task():
    known = WORKLOADS["autoregressive"].values()
    assert {(w.task, w.is_inverse) for w in known} == set(TASKS.values())


@pytest.mark.slow_ids("sample-True", "train-False", "train-True")
@pytest.mark.parametrize("coupling", [False, True])
@pytest.mark.parametrize("task", ["train", "sample"])
def test_spline_flows_are_of_one_size_and_finite(coupling, task):
    workload = SplineFlow(4, 2, (8, 8), 16, 2, task, coupling=coupling, num_bins=3)
    assert workload.num_blocks == 1
    ours = autoregressive_tensorflow.ours(workload)
    assert len({contender.num_parameters for contender in ours}) == 1
    assert math.isfinite(ours[-1].run())


@pytest.mark.slow
def test_flows_on_vectors_are_timed_in_one_table():
    sizes = flow_times.Sizes(3, num_steps=2, hidden_units=(8, 8), calls=1)
    table = flow_times.time_workload(sizes, None, repetitions=1, patience=0.0)
    rows = [line.split(" | ") for line in table.split("\n")[2:]]
    assert [row[0] for row in rows] == [f"| `{name}`" for name in flow_times.FLOWS]
    assert all(float(cell.strip(" |")) > 0.0 for row in rows for cell in row[2:])


def test_a_spline_flow_is_trained_for_a_given_time(monkeypatch):
    clock = itertools.count()  # of which every look takes a second
    monkeypatch.setattr(budgeted_training.time, "perf_counter", lambda: next(clock))
    x = np.random.default_rng(0).normal(3.0, 0.5, size=(64, 4)).astype(np.float32)
    workload = SplineFlow(4, 1, (8, 8), 16, 1, "train", num_bins=3)
    contender = tensorflow_contender.budgeted(
        autoregressive_tensorflow.our_distribution(workload),
        Rows(x, x[:7]),
        Budget(60.0, 2, batch_size=16, learning_rate=1e-2),
        jit_compile=False,
    )
    first, second = contender.run(), contender.run()
    assert first.scores.shape == (7,)
    assert second.scores.mean() > first.scores.mean()
    assert second.num_rows > first.num_rows > 0


@pytest.mark.parametrize("peer", [spline_flows_torch.nflows, spline_flows_torch.zuko])
@pytest.mark.parametrize("coupling", [False, True])
def test_spline_flows_of_peers_train_and_sample(peer, coupling):
    pytest.importorskip("torch")
    pytest.importorskip(peer.__name__)
    for task in ("train", "sample"):
        workload = SplineFlow(4, 2, (8, 8), 16, 2, task, coupling=coupling)
        assert math.isfinite(peer(workload, num_threads=1).run())


def test_torch_training_step_trains():
    torch = pytest.importorskip("torch")
    weight = torch.nn.Parameter(torch.zeros(3))
    x = torch.ones(5, 3)
    step = torch_contender.training_step([weight], lambda x: -((x - weight) ** 2), x)
    contender = torch_contender.torch_contender("t", [weight], step, 10, num_threads=1)
    assert contender.num_parameters == 3
    assert contender.run() > contender.run()


def test_steps_of_variational_inference_are_of_one_size_and_train():
    workload = Autoregressive(4, 2, (8, 8), 64, 100, "train", is_inverse=True)
    built = [
        build(workload, jit_compile=jit_compile)
        for jit_compile in (True, False)
        for build in (posterior_step.ours, posterior_step.stock)
    ]
    assert len({contender.num_parameters for contender in built}) == 1
    for contender in built[2:]:
        losses = [contender.run() for _ in range(4)]
        assert losses == sorted(losses, reverse=True)
