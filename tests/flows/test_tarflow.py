"""TarFlow: patches, sampling with cached keys and values, and guidance."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from random_weights import randomize
from subject import all_close, close, differ

import tfp_flows as tff

TINY = {"num_layers": 2, "num_units": 8, "num_heads": 2, "seed": 0}


def conditioner(dtype, num_tokens=20, token_size=3, **options):
    options = {"context_size": 2, **TINY, **options}
    network = tff.networks.CausalTransformer(
        2, num_tokens, token_size, dtype=dtype, **options
    )
    built = tff.Conditioner(network, num_tokens * token_size, context_size=2)
    return randomize(built, stddev=0.3)


def points(*shape, dtype="float64", seed=0):
    return tf.constant(np.random.default_rng(seed).normal(size=shape), dtype)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-10)])
@pytest.mark.usefixtures("op_by_op")
def test_cached_samples_are_those_of_whole_passes(dtype, tolerance, reverse):
    """One token after another, each by a pass over all of them and plain formulas."""
    network = conditioner(dtype, reverse=reverse)
    z, context = points(5, 60, dtype=dtype), points(5, 2, dtype=dtype, seed=1)
    step = tff.MaskedAutoregressive(60, network, dtype=dtype)
    y = np.zeros([5, 20, 3])
    log_det = 0.0
    for t in range(20)[:: -1 if reverse else 1]:
        parameters = network(tf.constant(y.reshape(5, 60), dtype), context)
        shift, s = np.split(np.reshape(parameters, [5, 2, 20, 3])[:, :, t], 2, axis=1)
        log_scale = 2.0 * np.tanh(s[:, 0] / 2.0)
        y[:, t] = np.reshape(z, [5, 20, 3])[:, t] * np.exp(log_scale) + shift[:, 0]
        log_det = log_det + log_scale.sum(axis=1)
    found, found_log_det = step.forward_and_log_det(z, context=context)
    assert np.abs(y).max() > 1.0
    close(found, y.reshape(5, 60), tolerance)
    close(found_log_det, log_det, tolerance)


@pytest.mark.usefixtures("op_by_op")
def test_samples_compute_each_position_once(monkeypatch):
    """Whole passes would map twenty positions a token."""
    from tfp_flows.networks import causal_transformer

    counts = []
    through_layers = causal_transformer._through_layers
    monkeypatch.setattr(
        causal_transformer,
        "_through_layers",
        lambda weights, hidden, attend: (
            counts.append(len(hidden)) or through_layers(weights, hidden, attend)
        ),
    )
    step = tff.MaskedAutoregressive(60, conditioner("float64"), dtype="float64")
    step.forward(points(5, 60), context=points(5, 2))
    assert counts == [5] * 20


def test_tokens_of_an_image_are_its_patches_row_by_row():
    options = {**TINY, "num_blocks": 1, "standardize": False, "logit_alpha": None}
    flow = tff.TarFlow((4, 6, 2), patch_size=2, **options)
    image = np.arange(48.0).reshape(1, 4, 6, 2).astype(np.float32)
    tokens = np.reshape(flow.inverse(image), [6, 8])
    for t in range(6):
        i, j = 2 * (t // 3), 2 * (t % 3)
        np.testing.assert_array_equal(tokens[t], image[0, i : i + 2, j : j + 2].ravel())


def test_blocks_read_the_tokens_in_alternating_orders():
    flow = tff.TarFlow((3, 2), num_blocks=3, **TINY)
    steps = [s for s in flow.bijectors if isinstance(s, tff.MaskedAutoregressive)]
    orders = [step.conditioner.network.reverse for step in steps]
    assert orders == [False, True, False]


@functools.lru_cache(maxsize=1)
def conditional():
    flow = tff.TarFlow((4, 2), num_blocks=2, context_size=3, dtype="float64", **TINY)
    # The statistics of contexts become others than 0 and 1.
    return randomize(flow, stddev=0.3)


@pytest.mark.usefixtures("op_by_op")
def test_guidance_of_weight_zero_is_none():
    flow, guided = conditional(), tff.flows.Guided(conditional(), weight=0.0)
    x, context = points(5, 4, 2), points(5, 3, seed=1)
    for method in ("forward_and_log_det", "inverse_and_log_det"):
        given = getattr(flow, method)(x, context=context)
        all_close(getattr(guided, method)(x, context=context), given)


@pytest.mark.usefixtures("op_by_op")
def test_guided_step_is_that_of_the_formula():
    flow, null = conditional(), np.float64([1.0, -1.0, 0.5])
    guided = tff.flows.Guided(flow, weight=1.5, null_context=null)
    y, context = points(5, 8), points(5, 3, seed=1)
    (index, step), *_ = (
        (i, s)
        for i, s in enumerate(flow.bijectors)
        if isinstance(s, tff.MaskedAutoregressive)
    )

    def parameters(context):
        return step.conditioner(y, flow.context_of_parts(context))

    given, without = parameters(context), parameters(tf.constant(np.tile(null, [5, 1])))
    shift, s = np.split(2.5 * given - 1.5 * without, 2, axis=1)
    log_scale = 2.0 * np.tanh(s / 2.0)
    found, log_det = guided.bijectors[index].inverse_and_log_det(y, context=context)
    close(found, (y - shift) * np.exp(-log_scale))
    close(log_det, -log_scale.sum(axis=1))
    back = guided.bijectors[index].forward(found.numpy(), context=context)
    close(back, y)
    assert differ(found, step.inverse(y, context=flow.context_of_parts(context)))


@pytest.mark.usefixtures("op_by_op")
def test_guided_flow_shares_and_saves_its_weights(tmp_path):
    flow = conditional()
    guided = tff.flows.Guided(flow, weight=2.0)
    x, context = points(6, 4, 2), points(6, 3, seed=1)
    assert {v.ref() for v in guided.variables} == {v.ref() for v in flow.variables}
    base = tff.standard_normal([4, 2], dtype="float64")
    model = tff.DensityEstimator(tff.FlowDistribution(base, guided))
    model.save(tmp_path / "guided.keras")
    loaded = tff.load(tmp_path / "guided.keras").distribution
    expected = model.distribution.log_prob(x, context=context)
    np.testing.assert_array_equal(loaded.log_prob(x, context=context), expected)


@pytest.mark.usefixtures("op_by_op")
def test_chain_around_a_guided_flow_does_not_standardise_contexts_again():
    guided = tff.flows.Guided(conditional(), weight=1.0)
    x, context = points(6, 4, 2), 5.0 + points(6, 3, seed=1)
    chain = tff.FlowChain([guided])
    chain.initialize(x, context=context)
    expected = guided.inverse_and_log_det(x, context=context)
    all_close(chain.inverse_and_log_det(x, context=context), expected)


@pytest.mark.usefixtures("op_by_op")
def test_gradient_of_guided_samples_is_that_of_finite_differences():
    guided = tff.flows.Guided(conditional(), weight=1.0)
    z, context = points(2, 4, 2), points(2, 3, seed=1)

    def loss(z, context):
        return tf.reduce_sum(tf.sin(guided.forward(z, context=context)))

    with tf.GradientTape() as tape:
        tape.watch([z, context])
        value = loss(z, context)
    by_z, by_context = tape.gradient(value, [z, context])
    rng = np.random.default_rng(2)
    to_z, to_context = rng.normal(size=z.shape), rng.normal(size=context.shape)
    step = 1e-6
    after = loss(z + step * to_z, context + step * to_context)
    before = loss(z - step * to_z, context - step * to_context)
    expected = tf.reduce_sum(by_z * to_z) + tf.reduce_sum(by_context * to_context)
    close((after - before) / (2 * step), expected, 1e-6)
