"""What the benchmarks rest on: turns, tables, workers, memory, and sound numbers."""

import functools
import itertools
import math
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import small_contender
import tensorflow as tf

import tfp_flows
from benchmarks import autoregressive_tensorflow
from benchmarks import budgeted_training
from benchmarks import curves
from benchmarks import curves_page
from benchmarks import devices
from benchmarks import first_calls
from benchmarks import first_calls_peers
from benchmarks import flow_times
from benchmarks import memory
from benchmarks import posterior_step
from benchmarks import spline_flows_torch
from benchmarks import stability
from benchmarks import tensorflow_contender
from benchmarks import timing
from benchmarks import vae
from benchmarks.budgeted_training import Budget
from benchmarks.budgeted_training import BudgetedTraining
from benchmarks.budgeted_training import Images
from benchmarks.budgeted_training import Rows
from benchmarks.timing import Contender
from benchmarks.timing import Timing
from benchmarks.timing import interleave
from benchmarks.worker import Worker
from benchmarks.workloads import VAE
from benchmarks.workloads import Autoregressive
from benchmarks.workloads import RealNVP
from benchmarks.workloads import SplineFlow


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


def test_contenders_take_turns_and_slow_ones_fewer(clock):
    log = []
    seconds = {"a": 0.1, "b": 4.0, "c": 30.0}
    contenders = [recorder(name, log, clock, t) for name, t in seconds.items()]
    timings = timing.interleave(contenders, repetitions=9, patience=10.0)
    assert log[:8] == list("aabbcabc")  # no second run of `c` before counting starts
    assert [len(t.milliseconds) for t in timings] == [9, 2, 1]
    np.testing.assert_allclose([t.milliseconds[0] for t in timings], [50, 2000, 15000])
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
@pytest.mark.parametrize("task", ["train", "sample", "score", "sample_and_score"])
def test_both_sides_are_of_one_size_and_finite(task):
    workload = Autoregressive(4, 2, (8, 8), 64, 30, task, task == "sample_and_score")
    ours = autoregressive_tensorflow.ours(workload)
    peer = autoregressive_tensorflow.stock(workload, jit_compile=False)
    assert {contender.num_parameters for contender in (*ours, peer)} == {
        sum(a * b + b for a, b in workload.kernel_shapes())
    }
    if task == "train":
        for contender in (ours[0], peer):
            losses = [contender.run() for _ in range(4)]
            assert losses == sorted(losses, reverse=True)
    floor = tensorflow_contender.matrix_products(workload, backward=task == "train")
    assert all(math.isfinite(c.run()) for c in (ours[0], peer, floor))


@pytest.mark.slow_ids("train-True")
@pytest.mark.parametrize(("task", "coupling"), [("sample", False), ("train", True)])
def test_spline_flows_are_of_one_size_and_finite(task, coupling):
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


WITHOUT_TENSORFLOW = ("autoregressive_torch", "autoregressive_jax", "binary_made_peers")
WITHOUT_TENSORFLOW += ("glow_torch", "spline_flows_torch", "vae_torch", "worker")


class Work:
    """A model whose steps take three seconds each, of a clock that nobody else moves."""

    def __init__(self, monkeypatch, losses=1.0):
        self.seconds = 0.0
        self.rates, self.batches = [], []
        self.loss = losses
        for clock in ("perf_counter", "process_time"):
            monkeypatch.setattr(budgeted_training.time, clock, lambda: self.seconds)

    def step(self, x, learning_rate):
        self.seconds += 3.0
        self.rates.append(learning_rate)
        self.batches.append(x)
        return self.loss

    def score(self, x):
        self.seconds += 100.0  # does not count
        return np.zeros(len(x))

    def contender(self, num_turns=2):
        pixels = np.arange(7 * 4, dtype=np.uint8).reshape(7, 2, 2, 1) * 9
        training = BudgetedTraining(
            lambda x: self.batches.append(x),
            self.step,
            self.score,
            Images(pixels, pixels[:3]),
            Budget(10.0, num_turns, batch_size=2, learning_rate=1.0),
        )
        return training.contender("t", 0)


def test_turns_end_with_their_share_of_the_budget_and_rates_fall(monkeypatch):
    contender = Work(monkeypatch).contender()
    first, second = contender.run(), contender.run()
    assert (first.seconds, second.seconds) == (6.0, 12.0)
    assert (first.num_rows, second.num_rows) == (4, 8)
    assert second.processor_seconds == 12.0
    work = Work(monkeypatch)
    work.contender(num_turns=1).run()
    expected = [0.5 + 0.5 * np.cos(np.pi * share) for share in (0.0, 0.3, 0.6, 0.9)]
    np.testing.assert_allclose(work.rates, expected)
    with pytest.raises(FloatingPointError, match="finite loss; got nan"):
        Work(monkeypatch, losses=np.nan).contender().run()


def test_noise_stays_in_the_bins_and_uniform_densities_have_eight_bits(monkeypatch):
    work = Work(monkeypatch)
    bits = work.contender().run().scores
    np.testing.assert_array_equal(bits, [8.0, 8.0, 8.0])
    pixels = np.concatenate([np.floor(x * 256.0) for x in work.batches[1:]])
    assert set(pixels.ravel()) <= set(np.arange(28) * 9.0)
    np.testing.assert_array_equal(work.batches[0], work.batches[1])  # initialises


def test_what_runs_beside_torch_needs_no_tensorflow():
    modules = ", ".join(f"benchmarks.{name}" for name in WITHOUT_TENSORFLOW)
    code = f"import sys; sys.modules['tensorflow'] = None; import {modules}"
    subprocess.run([sys.executable, "-c", code], check=True)


MAF = "MAF, D=6, 5 x 64/64"


def test_a_masked_flow_is_sampled_in_a_graph_of_few_operations():
    seconds, sampled = first_calls.first_call(MAF, "sample", "graph")
    _, scored = first_calls.first_call(MAF, "log_prob", "graph")
    assert seconds > 0.0
    assert sampled < 4 * scored


def test_each_run_is_the_first_one_of_a_new_process(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "tests/experiments")
    with Worker(sys.executable) as worker:
        build = small_contender.build
        contender = first_calls_peers.first_call("peer", worker, build, calls=5)
        (timing,) = interleave([contender], repetitions=3, patience=None)
        with pytest.raises(ImportError, match="no_such_package"):
            worker.first_run(build, calls=1, missing="no_such_package")
    assert timing.result == 1.0  # how often the process has run it
    assert all(0.0 <= milliseconds < 1e3 for milliseconds in timing.milliseconds)


def test_first_calls_op_by_op_have_the_result_of_a_graph():
    sizes = {"hidden_units": (8,), "batch_size": 4, "calls": 1, "task": "train"}
    workload = Autoregressive(event_size=2, num_steps=1, **sizes)
    eager, graph = (
        autoregressive_tensorflow.our(workload, jit_compile=how).run()
        for how in (None, False)
    )
    np.testing.assert_allclose(eager, graph, rtol=1e-5)


SMALLEST = [RealNVP(4, 2, (8,), 3, 1), Autoregressive(4, 2, (8,), 3, 1, "train")]


@pytest.mark.usefixtures("op_by_op")
@pytest.mark.parametrize("workload", SMALLEST)
@pytest.mark.parametrize("networks", devices.NETWORKS)
def test_networks_compute_in_what_was_asked_for(workload, networks):
    dist = autoregressive_tensorflow.our_distribution(workload, network_dtype=networks)
    found = [m for m in dist.submodules if isinstance(m, tfp_flows.Conditioner)]
    dtypes = {conditioner.network.compute_dtype for conditioner in found}
    assert len(found) == workload.num_steps
    assert dtypes == {networks.removeprefix("mixed_")}
    assert {v.dtype for v in dist.trainable_variables} == {tf.float32}
    assert dist.log_prob(workload.batch()).dtype == tf.float32


@pytest.mark.usefixtures("op_by_op")
def test_the_table_has_times_or_says_what_is_lacking(monkeypatch):
    def lacking(contenders, **how):
        if "XLA" in contenders[0].name:
            raise NotImplementedError("No XLA here.\nAt a place.")
        return timing.interleave(contenders, **how)

    monkeypatch.setattr(devices, "interleave", lacking)
    text = devices.time_workload(SMALLEST[0], None, repetitions=1, patience=0.0)
    kind = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    assert text.splitlines()[0].endswith(f"what is timed runs on {kind}:0")
    rows = [line.split(" | ") for line in text.splitlines()[4:]]
    assert [row[0] for row in rows] == [f"| {n}" for n in devices.NETWORKS for _ in "ab"]
    for graph, xla in (rows[:2], rows[2:]):
        assert all(float(cell.split(" (")[0]) > 0.0 for cell in graph[2:])
        assert xla[2] == "NotImplementedError: No XLA here."


@pytest.mark.usefixtures("op_by_op")
def test_errors_are_those_of_each_dtype():
    make = functools.partial(tfp_flows.RealNVP, 4, num_steps=2, hidden_units=(8,), seed=0)
    narrow, wide, from_log_det, largest = stability.errors(make, 0.1, 1e6)
    assert 1e-9 < narrow < 1e-4
    assert wide < 1e-12
    assert 0.0 < from_log_det < 1e-3
    assert largest > 40.0  # four times the logarithm of the unit


SMALL_VAE = VAE(12, (6, 5), 3, 2, (7, 7), context_size=4, batch_size=8, calls=3)


@pytest.mark.parametrize("workload", [SMALL_VAE, SMALL_VAE.without_flow()])
def test_number_of_parameters_is_that_of_the_shapes(workload):
    contender = vae.ours(workload, jit_compile=False)
    size, context = workload.latent_size, workload.context_size
    dense = [(12, 6), (6, 5), (5, 2 * size + context), (size, 5), (5, 6), (6, 12)]
    count = sum(a * b + b for a, b in dense)
    count += sum(a * b + b for a, b in workload.kernel_shapes())
    assert contender.num_parameters == count
    losses = [contender.run() for _ in range(30)]
    assert losses[-1] < losses[0]


@pytest.mark.slow
def test_table_names_the_cost_of_the_flow():
    with Worker(sys.executable) as worker:
        text = vae.time_steps(SMALL_VAE, worker, repetitions=1)
    assert "XLA: the step with the IAF takes" in text
    assert tensorflow_contender.matrix_products(SMALL_VAE, backward=True).name in text


MEASURED = [
    ["MAF", "num_steps", "train", 64, "tfp_flows", 3.0, 2.0, 4.04, "then"],
    ["MAF", "num_steps", "train", 1, "tfp_flows", 1.0, 1.0, 1.0, "then"],
    ["MAF", "num_steps", "train", 1, "zuko", 2.0, 2.0, 2.0, "then"],
    ["MAF", "event_size", "memory", 2, "zuko", 7.0, 7.0, 7.0, "then"],
]


def measured(*chosen, note="then"):
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
    again = [*MEASURED[2][:-4], 9.0, 9.0, 9.0, "before"]
    curves_page.keep(measured(*MEASURED[:2], again), tmp_path)
    curves_page.keep(measured(*MEASURED[2:], note="now"), tmp_path)
    kept = pd.read_csv(tmp_path / "curves.csv")
    assert kept.shape == (4, len(curves_page.COLUMNS))
    page = (tmp_path / "curves.md").read_text()
    assert "Measured then; now:\n\n| what | contender | steps = 1 | steps = 64 |" in page
    assert "| training step, ms | tfp_flows | 1 | 3 (2-4.04) |" in page
    assert "| training step, ms | zuko | 2 |  |" in page
    assert "](curves_maf.png)" in page
    assert (tmp_path / "curves_maf.png").stat().st_size > 1000
