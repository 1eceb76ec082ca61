"""Trains spline flows beside nflows' and zuko's, for as long each, on the same rows.

    python -m benchmarks.spline_likelihood --data_dir=DIR --minutes=30

All have equal steps, bins, residual blocks and units, batches, Adam, step sizes and
clipping, and take turns, so that a busy machine is fair to all. After each turn the table
grows by a row each: nats of the test rows.
"""

from absl import app, flags

from benchmarks import (
    autoregressive_tensorflow,
    runner,
    spline_flows_torch,
    tensorflow_contender,
)
from benchmarks.budgeted_training import Rows
from benchmarks.workloads import SplineFlow
from experiments.data import load_dataset

_PEERS = {"nflows": "nflows", "zuko": "zuko"}


def ours(workload, rows, budget):
    """Returns the `Contender` of this package."""
    distribution = autoregressive_tensorflow.our_distribution(workload)
    return tensorflow_contender.budgeted(distribution, rows, budget, jit_compile=True)


def main(argv):
    """Trains all in turns."""
    del argv
    values = flags.FLAGS
    dataset = load_dataset(values.dataset, data_dir=values.data_dir)
    rows = Rows(dataset.train, dataset.test[: values.num_test])
    workload = SplineFlow(
        dataset.event_size,
        values.num_steps,
        (values.units,) * (values.num_blocks + 1),
        values.batch_size,
        calls=1,
        task="train",
        coupling=values.coupling,
    )
    budget = runner.budget(clip_norm=5.0)
    train = spline_flows_torch.train
    runner.run_in_turns(ours, train, _PEERS, workload, rows, budget, unit="nats a row")


if __name__ == "__main__":
    runner.define_flags_of_turns(_PEERS, minutes=30.0, batch_size=512, num_test=50_000)
    flags.DEFINE_string("dataset", "power", "Rows to train on, as of density_estimation.")
    flags.DEFINE_boolean("coupling", False, "Whether the steps are couplings.")
    flags.DEFINE_integer("num_steps", 10, "Steps of the flow.", lower_bound=1)
    flags.DEFINE_integer("units", 64, "Of each hidden layer.", lower_bound=1)
    flags.DEFINE_integer("num_blocks", 2, "Residual blocks.", lower_bound=1)
    app.run(main)
