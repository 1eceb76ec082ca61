"""Times this package's flows on vectors side by side: training, scoring and sampling.

    python -m benchmarks.flow_times

A table a number of variables, in milliseconds: a step of gradient and Adam on 512 rows,
the log-densities of 1,024 rows, and 1,024 samples; medians over repetitions in which all
flows take turns, compiled by XLA. All have as many steps and equal hidden layers.
"""

import dataclasses
import functools

import tensorflow as tf

import tfp_flows
from benchmarks import runner, tensorflow_contender
from benchmarks.timing import interleave, markdown

_NSF = tfp_flows.NeuralSplineFlow
FLOWS = {
    "NICE": tfp_flows.NICE,
    "RealNVP": tfp_flows.RealNVP,
    "NeuralSplineFlow(coupling=True)": functools.partial(_NSF, coupling=True),
    "MADE": lambda size, num_steps, **options: tfp_flows.MADE(size, **options),
    "MAF": tfp_flows.MAF,
    "IAF": tfp_flows.IAF,
    "NeuralSplineFlow": _NSF,
}
# Rows of one piece of work.
TASKS = {"training step": 512, "density": 1024, "samples": 1024}


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Settings that all flows share.

    Attributes:
      event_size: number of variables, D.
      num_steps: steps, K; a MADE has one.
      hidden_units: widths of each network, all equal.
      calls: pieces of work in one timed run.
    """

    event_size: int
    num_steps: int = 5
    hidden_units: tuple = (128, 128)
    calls: int = 5


def make_distribution(name, workload):
    """Returns the flow `name` of `FLOWS` over a standard normal, in a workload's sizes."""
    size, steps, units = workload.event_size, workload.num_steps, workload.hidden_units
    flow = FLOWS[name](size, num_steps=steps, hidden_units=units, seed=0)
    return tfp_flows.FlowDistribution(tfp_flows.standard_normal(size), flow)


def time_workload(workload, worker, *, repetitions, patience):
    """Returns the table of a number of variables."""
    del worker
    columns = []
    for task, num_rows in TASKS.items():
        contenders = [_contender(name, task, num_rows, workload) for name in FLOWS]
        columns.append(interleave(contenders, repetitions, patience))
    rows = []
    for name, *timings in zip(FLOWS, *columns, strict=True):
        times = [f"{timing.median:.2f}" for timing in timings]
        rows.append([f"`{name}`", f"{timings[0].contender.num_parameters:,}", *times])
    return markdown(["flow", "weights", *TASKS], rows)


def _contender(name, task, num_rows, workload):
    dist = make_distribution(name, workload)
    variables = dist.trainable_variables
    x = tf.random.stateless_normal([num_rows, workload.event_size], seed=(0, 1))

    def offset(seed):  # so that no call can be computed beforehand
        return 1e-6 * tf.cast(seed[1], x.dtype)

    work = {
        "training step": tensorflow_contender.adam_step(
            lambda _: -tf.reduce_mean(dist.log_prob(x)), variables
        ),
        "density": lambda seed: tf.reduce_mean(dist.log_prob(x + offset(seed))),
        "samples": lambda seed: tf.reduce_mean(dist.sample(num_rows, seed=seed)),
    }[task]
    return tensorflow_contender.contender(
        name, work, workload.calls, variables, jit_compile=True
    )


if __name__ == "__main__":
    sizes = {"D=6": Sizes(6), "D=63": Sizes(63, calls=2)}
    runner.run(time_workload, sizes, repetitions=9)
