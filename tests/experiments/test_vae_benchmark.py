"""The VAE benchmark compares equals."""

import math
import sys

import pytest

from benchmarks import tensorflow_contender
from benchmarks import vae
from benchmarks import vae_torch
from benchmarks.worker import Worker
from benchmarks.workloads import VAE

SMALL = VAE(12, (6, 5), 3, 2, (7, 7), context_size=4, batch_size=8, calls=3)


@pytest.mark.parametrize("workload", [SMALL, SMALL.without_flow()])
def test_number_of_parameters_is_that_of_the_shapes(workload):
    contender = vae.ours(workload, jit_compile=False)
    size, context = workload.latent_size, workload.context_size
    dense = [(12, 6), (6, 5), (5, 2 * size + context), (size, 5), (5, 6), (6, 12)]
    count = sum(a * b + b for a, b in dense)
    count += sum(a * b + b for a, b in workload.kernel_shapes())
    assert contender.num_parameters == count
    losses = [contender.run() for _ in range(30)]
    assert losses[-1] < losses[0]


def test_torch_contender_is_of_the_same_size_and_trains():
    pytest.importorskip("torch")
    for workload in (SMALL, SMALL.without_flow()):
        contender = vae_torch.lean(workload, num_threads=1)
        expected = vae.ours(workload, jit_compile=False).num_parameters
        assert contender.num_parameters == expected
        assert math.isfinite(contender.run())


@pytest.mark.slow
def test_table_names_the_cost_of_the_flow():
    with Worker(sys.executable) as worker:
        text = vae.time_steps(SMALL, worker, repetitions=1)
    assert "XLA: the step with the IAF takes" in text
    assert tensorflow_contender.matrix_products(SMALL, backward=True).name in text
