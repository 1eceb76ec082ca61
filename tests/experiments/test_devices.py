"""The benchmark for any device: what its networks compute in, and what its table says."""

import pytest
import tensorflow as tf

import tfp_flows
from experiments.benchmarks import devices
from experiments.benchmarks.workloads import Autoregressive
from experiments.benchmarks.workloads import RealNVP

WORKLOADS = [RealNVP(4, 2, (8,), 3, 1), Autoregressive(4, 2, (8,), 3, 1, "train")]


@pytest.mark.usefixtures("op_by_op")
@pytest.mark.parametrize("workload", WORKLOADS)
@pytest.mark.parametrize("networks", devices.NETWORKS)
def test_networks_compute_in_what_was_asked_for(workload, networks):
    dist = devices.make_distribution(workload, networks)
    found = [m for m in dist.submodules if isinstance(m, tfp_flows.Conditioner)]
    dtypes = {conditioner.network.compute_dtype for conditioner in found}
    assert len(found) == workload.num_steps
    assert dtypes == {networks.removeprefix("mixed_")}
    assert {v.dtype for v in dist.trainable_variables} == {tf.float32}
    assert dist.log_prob(workload.batch()).dtype == tf.float32


@pytest.mark.usefixtures("op_by_op")
def test_what_a_device_lacks_is_said_in_its_cell(monkeypatch):
    def lacking(contenders, **how):
        raise NotImplementedError("No bfloat16 here.\nAt a place.")

    how = {"jit_compile": False, "repetitions": 1, "patience": 0.0}
    times = devices.row(WORKLOADS[0], "float32", **how)
    assert all(float(cell.split(" (")[0]) > 0.0 for cell in times)
    monkeypatch.setattr(devices, "interleave", lacking)
    cells = devices.row(WORKLOADS[0], "mixed_bfloat16", **how)
    assert cells == ["NotImplementedError: No bfloat16 here."] * 3


def test_the_device_that_is_timed_is_named():
    kind = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    assert devices.devices().endswith(f"what is timed runs on {kind}:0")
