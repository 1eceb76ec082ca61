"""First calls: size of the graph of each public method, and seconds until its result.

    python -m benchmarks.first_calls [--flow=MAF]

Each row of the table has a new flow, since calls may share traces. Seconds are processor
time of tracing, optimising, compiling and one run on 64 rows; operations are the nodes of
the graph, in which the nodes of each function count once. PYTHONPATH may name another
version of `tfp_flows`.
"""

import functools
import sys
import time

import numpy as np
import tensorflow as tf
from absl import app, flags

import tfp_flows as tff

_FLOW = flags.DEFINE_string("flow", "", "Only flows whose name contains this.")

_ROWS = 64

# Shape of an event, and the flow.
FLOWS = {
    "MAF, D=6, 5 x 64/64": ([6], lambda: tff.MAF(6, num_steps=5, hidden_units=(64, 64))),
    "MAF, D=63, 10 x 512/512": (
        [63],
        lambda: tff.MAF(63, num_steps=10, hidden_units=(512, 512)),
    ),
    "IAF, D=32, 4 x 64/64": ([32], lambda: tff.IAF(32, num_steps=4, hidden_units=(64, 64))),
    "RealNVP, D=2, 8 x 64/64": (
        [2],
        lambda: tff.RealNVP(2, num_steps=8, hidden_units=(64, 64)),
    ),
    "RealNVP, D=43, 10 x 100/100": (
        [43],
        lambda: tff.RealNVP(43, num_steps=10, hidden_units=(100, 100)),
    ),
    "Glow, 8x8x3, 2 levels of 2": (
        [8, 8, 3],
        lambda: tff.Glow((8, 8, 3), num_levels=2, num_steps=2, hidden_channels=16),
    ),
}


def _gradient(distribution, x):
    with tf.GradientTape() as tape:
        tape.watch(x)
        log_prob = distribution.log_prob(x)
    return tape.gradient(log_prob, [x, *distribution.trainable_variables])


METHODS = {
    "log_prob": lambda distribution, x: distribution.log_prob(x),
    "sample": lambda distribution, x: distribution.sample(_ROWS, seed=1),
    "sample_and_log_prob": lambda distribution, x: (
        distribution.experimental_sample_and_log_prob(_ROWS, seed=1)
    ),
    "forward": lambda distribution, x: distribution.bijector.forward(
        tf.reshape(x, [_ROWS, *distribution.bijector.inverse_event_shape(x.shape[1:])])
    ),
    "inverse": lambda distribution, x: distribution.bijector.inverse(x),
    "gradient of log_prob": _gradient,
}


def _built(flow):
    """Returns the distribution, and rows of data for it."""
    shape, build = FLOWS[flow]
    bijector = build()
    base = tff.standard_normal(bijector.inverse_event_shape(shape))
    rows = tf.random.stateless_normal([_ROWS, *shape], seed=[0, 1])
    return tff.FlowDistribution(base, bijector), rows


def first_call(flow, method, how):
    """Returns the seconds of a first call, and the number of its graph's operations.

    Args:
      flow: one of `FLOWS`.
      method: one of `METHODS`.
      how: "eager", "graph" or "XLA".
    """
    distribution, x = _built(flow)
    # Not a local function, for which TensorFlow would warn of retracing.
    call = functools.partial(METHODS[method], distribution)
    function = tf.function(call, autograph=False, jit_compile=how == "XLA")
    start = time.process_time()
    result = call(x) if how == "eager" else function(x)
    for array in tf.nest.flatten(result):
        np.asarray(array)
    seconds = time.process_time() - start
    graph = function.get_concrete_function(x).graph.as_graph_def()
    bodies = (body.node_def for body in graph.library.function)
    return seconds, len(graph.node) + sum(map(len, bodies))


def frames_before_network(flow, method):
    """Frames of `tfp_flows` from the eager public call to its first network."""
    depths = []

    def profile(frame, event, _):
        if event != "call" or depths or not _is_network(frame):
            return
        depth = 0
        while frame is not None:
            depth += "/tfp_flows/" in frame.f_code.co_filename
            frame = frame.f_back
        depths.append(depth)

    distribution, x = _built(flow)
    sys.setprofile(profile)
    try:
        METHODS[method](distribution, x)
    finally:
        sys.setprofile(None)
    return depths[0]


def _is_network(frame):
    """Whether a frame is a network's method that reads its weights."""
    code = frame.f_code
    return code.co_name == "unpack" and code.co_filename.endswith("packed_weights.py")


def table(flows):
    """Yields the lines of a table in Markdown."""
    yield "| flow | method | eager | graph | XLA | operations | frames |"
    yield "|---|---|---|---|---|---|---|"
    for flow in flows:
        for method in METHODS:
            calls = [first_call(flow, method, how) for how in ("eager", "graph", "XLA")]
            seconds = " | ".join(f"{s:.2f} s" for s, _ in calls)
            frames = frames_before_network(flow, method)
            yield f"| {flow} | {method} | {seconds} | {calls[1][1]:,} | {frames} |"


def _main(_):
    # Start TensorFlow before the first measurement.
    for how in ("eager", "graph", "XLA"):
        first_call("RealNVP, D=2, 8 x 64/64", "sample", how)
    for line in table(flow for flow in FLOWS if _FLOW.value in flow):
        print(line, flush=True)


if __name__ == "__main__":
    app.run(_main)
