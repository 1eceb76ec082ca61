"""The benchmark for any device: what its networks compute in, and what its table says."""

import pytest
import tensorflow as tf

import tfp_flows
from benchmarks import autoregressive_tensorflow
from benchmarks import devices
from benchmarks import timing
from benchmarks.workloads import Autoregressive
from benchmarks.workloads import RealNVP

WORKLOADS = [RealNVP(4, 2, (8,), 3, 1), Autoregressive(4, 2, (8,), 3, 1, "train")]


@pytest.mark.usefixtures("op_by_op")
@pytest.mark.parametrize("workload", WORKLOADS)
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
    text = devices.time_workload(WORKLOADS[0], None, repetitions=1, patience=0.0)
    kind = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    assert text.splitlines()[0].endswith(f"what is timed runs on {kind}:0")
    rows = [line.split(" | ") for line in text.splitlines()[4:]]
    assert [row[0] for row in rows] == [f"| {n}" for n in devices.NETWORKS for _ in "ab"]
    for graph, xla in (rows[:2], rows[2:]):
        assert all(float(cell.split(" (")[0]) > 0.0 for cell in graph[2:])
        assert xla[2] == "NotImplementedError: No XLA here."
