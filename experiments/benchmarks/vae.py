"""Times the training step of an IAF-VAE beside that of a Gaussian one, and PyTorch.

    python -m experiments.benchmarks.vae

A table of medians over interleaved repetitions, and the ratio of the IAF's step to the
Gaussian's and the flow's bare matrix products together.
"""

import functools
import sys

import keras
import tensorflow as tf
from absl import app
from absl import flags

import tfp_flows
from experiments.benchmarks import training_step
from experiments.benchmarks import vae_torch
from experiments.benchmarks.timing import Contender
from experiments.benchmarks.timing import installed
from experiments.benchmarks.timing import interleave
from experiments.benchmarks.timing import table
from experiments.benchmarks.vae_workload import Workload
from experiments.benchmarks.worker import Worker
from experiments.reports import provenance as report


def ours(workload, *, jit_compile):
    """This package's training step, as `fit` runs it, on a batch in memory."""
    model = _our_model(workload)
    model.compile(keras.optimizers.Adam(1e-4))
    model.optimizer.build(model.trainable_variables)
    x = tf.constant(workload.batch())

    @tf.function(jit_compile=jit_compile, autograph=False)
    def step():
        return model.train_step((x,))["loss"]

    def run():
        for _ in range(workload.calls):
            loss = step()
        # What Keras reports is the mean over all steps so far.
        model.reset_metrics()
        return float(loss)

    kind = "IAF" if workload.num_flow_steps else "Gaussian"
    name = f"tfp_flows, {kind}, {'XLA' if jit_compile else 'plain graph'}"
    count = training_step.count(model.trainable_weights)
    return Contender(name, run, workload.calls, count)


def time_steps(workload, worker, *, repetitions):
    """Returns the table, and a line on the cost of the flow.

    Args:
      workload: a `Workload` with a flow.
      worker: a `Worker` whose interpreter may have torch.
      repetitions: counted runs of each contender.
    """
    workloads = {"IAF": workload, "Gaussian": workload.without_flow()}
    own = {
        (kind, jit_compile): ours(w, jit_compile=jit_compile)
        for kind, w in workloads.items()
        for jit_compile in (True, False)
    }
    peers = {
        kind: installed(
            functools.partial(worker.build, vae_torch.lean, w, num_threads=num_threads)
            for num_threads in (1, 2)
        )
        for kind, w in workloads.items()
    }
    floor = training_step.matrix_products(workload, backward=True)
    everyone = [*own.values(), *peers["IAF"], *peers["Gaussian"], floor]
    timings = interleave(everyone, repetitions)
    return "\n".join(
        [
            table(timings, {peer.name for peer in peers["IAF"]}, [floor.name]),
            *_costs(timings, own, floor, peers),
        ]
    )


def _costs(timings, own, floor, peers):
    medians = {timing.contender.name: timing.median for timing in timings}
    lines = [""]
    for jit_compile, name in ((True, "XLA"), (False, "plain graph")):
        iaf, gaussian = (medians[own[k, jit_compile].name] for k in ("IAF", "Gaussian"))
        ratio = iaf / (gaussian + medians[floor.name])
        lines.append(
            f"{name}: the step with the IAF takes {ratio:.2f} times that of the Gaussian "
            "and the matrix products together."
        )
    for kind, contenders in peers.items():
        if contenders:
            best = min(medians[peer.name] for peer in contenders)
            ratio = min(medians[own[kind, jit].name] for jit in (True, False)) / best
            lines.append(f"{kind}: {ratio:.2f} times PyTorch, the better of each.")
    return lines


def _our_model(workload):
    posterior = tfp_flows.posteriors.DiagonalGaussian(workload.latent_size)
    if workload.num_flow_steps:
        flow = tfp_flows.IAF(
            workload.latent_size,
            num_steps=workload.num_flow_steps,
            hidden_units=workload.flow_hidden_units,
            context_size=workload.context_size,
            seed=0,
        )
        posterior = tfp_flows.posteriors.FlowPosterior(posterior, flow)
    shared = {"activation": "elu", "zero_last_layer": False}
    hidden = workload.hidden_units
    return tfp_flows.VAE(
        tfp_flows.MLP(posterior.num_parameters, hidden, seed=1, **shared),
        posterior,
        tfp_flows.MLP(workload.event_size, hidden[::-1], seed=2, **shared),
        tfp_flows.likelihoods.Bernoulli(workload.event_size),
    )


def main(argv):
    """Prints the table."""
    del argv
    values, workload = flags.FLAGS, Workload()
    print(f"{report.machine()}; {report.versions()}\n\n{workload}\n", flush=True)
    with Worker(values.peers_python) as worker:
        print(time_steps(workload, worker, repetitions=values.repetitions), flush=True)


if __name__ == "__main__":
    flags.DEFINE_integer("repetitions", 9, "Counted runs of each contender.", lower_bound=1)
    flags.DEFINE_string(
        "peers_python", sys.executable, "Interpreter of an environment with torch."
    )
    app.run(main)
