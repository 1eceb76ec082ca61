import keras
import numpy as np
import pytest
import tensorflow as tf
from random_weights import randomize
from subject import all_close, close

import tfp_flows as tff
from tfp_flows.bijectors import scan
from tfp_flows.bijectors.scan import Scan

X = np.random.default_rng(0).normal(size=(5, 2, 2, 3))


def glow_steps(count=6, **arguments):
    options = {"hidden_channels": 4, "dtype": "float64", **arguments}
    return [tff.flows.GlowStep((2, 2, 3), seed=k, **options) for k in range(count)]


def test_equals_the_chain_of_the_same_steps():
    chain = randomize(tff.FlowChain(glow_steps()))
    like = Scan(chain.bijectors)
    all_close(like.inverse_and_log_det(X), chain.inverse_and_log_det(X))
    all_close(like.forward_and_log_det(X), chain.forward_and_log_det(X))


def test_graph_does_not_repeat_the_steps_arithmetic():
    def num_operations(num_steps):
        like = Scan(glow_steps(num_steps))
        call = tf.function(like.inverse_and_log_det, autograph=False)
        return len(call.get_concrete_function(tf.constant(X)).graph.get_operations())

    # A further step adds the reads of its variables and part of a call, no other operation.
    assert num_operations(10) - num_operations(6) < 4 * 20


class Hiding:
    """A conditioner that is no `tf.Module`, in which nobody finds the variables."""

    def __init__(self):
        self.network = tff.Conditioner(tff.MLP(4), 2)

    def __call__(self, x, context=None):
        return self.network(x)

    def get_config(self):
        return {}


def hiding():
    coupling = tff.Coupling(tff.masks.half(4), Hiding())
    return tff.FlowChain([tff.ActNorm(4), coupling], name="hiding")


@pytest.mark.parametrize(
    ("steps", "size", "message"),
    [
        (
            lambda: [*glow_steps(1), *glow_steps(1, transformer=tff.transformers.Shift())],
            None,
            "equal but for `seed` and `name`",
        ),
        (lambda: [tff.MAF(3).bijectors[1]], 3, "got the autoregressive step `masked_auto"),
        (lambda: [hiding()], 4, "elsewhere in `hiding`"),
    ],
    ids=["another transformer", "autoregressive", "variables out of reach"],
)
def test_steps_that_cannot_share_a_trace_are_refused(steps, size, message):
    with pytest.raises(ValueError, match=message):
        Scan(steps()).inverse_and_log_det(np.ones([5, size], np.float32))


def test_any_keras_network_can_be_a_steps():
    def step(units):
        layers = [keras.layers.Dense(4, dtype="float64") for _ in range(units)]
        conditioner = tff.Conditioner(keras.Sequential(layers), 2)
        return tff.Coupling(tff.masks.half(4), conditioner, dtype=tf.float64)

    chain = randomize(tff.FlowChain([step(2), step(2)]))
    x = np.random.default_rng(1).normal(size=(5, 4))
    like = Scan(chain.bijectors)
    close(like.inverse_and_log_det(x)[0], chain.inverse_and_log_det(x)[0])


@pytest.mark.parametrize("recompute", [False, True])
def test_what_xla_compiles_has_no_calls_whose_gradient_keeps_constants(recompute):
    """Else XLA, which takes them for data, would compile at every call."""
    like = Scan(glow_steps(2), recompute=recompute)

    def gradient(x):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(like.inverse_and_log_det(x)[0])
        return tape.gradient(loss, like.trainable_variables)

    def types_of_calls(jit_compile):
        call = tf.function(gradient, jit_compile=jit_compile, autograph=False)
        operations = call.get_concrete_function(tf.constant(X)).graph.get_operations()
        return [o for o in operations if o.type.endswith("PartitionedCall")]

    # There and back; recomputing, once more before that.
    assert len(types_of_calls(False)) == 2 + recompute
    assert not types_of_calls(True)


def couplings(count, context_size):
    """Steps on `[3]` with small networks, which XLA compiles in less time."""

    def step(seed):
        network = tff.MLP(2, (4,), seed=seed, dtype="float64")
        conditioner = tff.Conditioner(network, 2, context_size=context_size)
        coupling = tff.Coupling([True, True, False], conditioner, dtype=tf.float64)
        return tff.FlowChain([tff.ActNorm(3, dtype="float64"), coupling])

    return [step(seed) for seed in range(count)]


@pytest.mark.slow_ids("glow*")
@pytest.mark.parametrize(
    ("kind", "direction", "recompute"),
    [
        ("couplings", "inverse", True),
        ("glow", "inverse", True),
        ("glow", "inverse", False),
        ("glow", "forward", False),
    ],
)
def test_a_loop_for_xla_equals_the_chain(kind, direction, recompute, monkeypatch):
    monkeypatch.setattr(scan, "_STEPS_WITHOUT_LOOP", 2)
    make, x = (couplings, X[:, 0, 0]) if kind == "couplings" else (glow_steps, X)
    steps = make(3, context_size=2)
    chain = randomize(tff.FlowChain(steps, standardize_context=False))
    like = Scan(chain.bijectors, standardize_context=False, recompute=recompute)
    context = tf.constant(np.random.default_rng(1).normal(size=(5, 2)))

    def value_and_gradients(flow):
        @tf.function(jit_compile=flow is like, autograph=False)
        def call(x, context):
            with tf.GradientTape() as tape:
                tape.watch([x, context])
                y, log_det = getattr(flow, f"{direction}_and_log_det")(x, context=context)
                loss = tf.reduce_sum(tf.sin(y)) + tf.reduce_sum(log_det**2)
            sources = [x, context, *chain.trainable_variables]
            return y, log_det, tape.gradient(loss, sources, unconnected_gradients="zero")

        operations = call.get_concrete_function(tf.constant(x), context).graph
        loops = [o for o in operations.get_operations() if o.type.endswith("While")]
        return call(tf.constant(x), context), len(loops)

    (from_chain, none), (from_loop, loops) = map(value_and_gradients, (chain, like))
    assert (none, loops) == (0, 2)  # there and back
    all_close(tf.nest.flatten(from_loop), tf.nest.flatten(from_chain), 1e-9)
