"""The benchmark of first calls, and what it is to keep small."""

import sys

import numpy as np
import pytest
import small_contender

from benchmarks import autoregressive_tensorflow
from benchmarks import first_calls
from benchmarks import first_calls_peers
from benchmarks.timing import interleave
from benchmarks.worker import Worker
from benchmarks.workloads import Autoregressive

MAF = "MAF, D=6, 5 x 64/64"


def test_a_masked_flow_is_sampled_in_a_graph_of_few_operations():
    seconds, sampled = first_calls.first_call(MAF, "sample", "graph")
    _, scored = first_calls.first_call(MAF, "log_prob", "graph")
    assert seconds > 0.0
    assert sampled < 4 * scored


def test_frames_are_counted_up_to_the_first_network():
    flow = "RealNVP, D=2, 8 x 64/64"
    in_coupling = first_calls.frames_before_network(flow, "inverse")
    assert 1 < in_coupling <= first_calls.frames_before_network(flow, "log_prob")


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


@pytest.mark.parametrize("task", ["score", "sample", "train"])
def test_first_calls_op_by_op_have_the_result_of_a_graph(task):
    sizes = {"hidden_units": (8,), "batch_size": 4, "calls": 1, "task": task}
    workload = Autoregressive(event_size=2, num_steps=1, **sizes)
    eager, graph = (
        autoregressive_tensorflow.our(workload, jit_compile=how).run()
        for how in (None, False)
    )
    np.testing.assert_allclose(eager, graph, rtol=1e-5)
