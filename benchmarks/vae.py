"""Times the training step of an IAF-VAE beside that of a Gaussian one, and PyTorch.

    python -m benchmarks.vae

A table of medians over interleaved repetitions, and the ratio of the IAF's step to the
Gaussian's and the flow's bare matrix products together.
"""

import dataclasses

import keras
import tensorflow as tf

import tfp_flows
from benchmarks import runner, tensorflow_contender, vae_torch
from benchmarks.timing import installed, interleave, table
from benchmarks.workloads import WORKLOADS


def ours(workload, *, jit_compile):
    """This package's training step, as `fit` runs it, on a batch in memory."""
    model = _our_model(workload)
    model.compile(keras.optimizers.Adam(1e-4))
    model.optimizer.build(model.trainable_variables)
    x = tf.constant(workload.batch())

    kind = "IAF" if workload.num_flow_steps else "Gaussian"
    contender = tensorflow_contender.contender(
        f"tfp_flows, {kind}",
        lambda _: model.train_step((x,))["loss"],
        workload.calls,
        model.trainable_weights,
        jit_compile=jit_compile,
    )

    def run():
        model.reset_metrics()  # what Keras reports is the mean over all steps so far
        return contender.run()

    return dataclasses.replace(contender, run=run)


def time_steps(workload, worker, **how):
    """Returns the table of a `VAE` with a flow, and a line on the cost of the flow."""
    workloads = {"IAF": workload, "Gaussian": workload.without_flow()}
    own = {
        (kind, jit_compile): ours(w, jit_compile=jit_compile)
        for kind, w in workloads.items()
        for jit_compile in (True, False)
    }
    peers = {
        kind: installed(runner.on_threads(worker, vae_torch.lean, w))
        for kind, w in workloads.items()
    }
    floor = tensorflow_contender.matrix_products(workload, backward=True)
    everyone = [*own.values(), *peers["IAF"], *peers["Gaussian"], floor]
    timings = interleave(everyone, **how)
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
        posterior = tfp_flows.posteriors.AmortizedFlow(posterior, flow)
    shared = {"activation": "elu", "zero_last_layer": False}
    hidden = workload.hidden_units
    return tfp_flows.VAE(
        tfp_flows.MLP(posterior.num_parameters, hidden, seed=1, **shared),
        posterior,
        tfp_flows.MLP(workload.event_size, hidden[::-1], seed=2, **shared),
        tfp_flows.likelihoods.Bernoulli(workload.event_size),
    )


if __name__ == "__main__":
    runner.run(time_steps, WORKLOADS["vae"], repetitions=9)
