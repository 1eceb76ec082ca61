"""Contexts in the data's own units, wherever a flow or distribution is conditional."""

import functools

import numpy as np
import pytest
import tensorflow as tf

import tfp_flows

SMALL = {"hidden_units": (4,), "context_size": 3, "seed": 0}
IMAGE = {"hidden_channels": 4, "context_size": 3, "seed": 0}
MASK = np.array([True, False])


def _train(part):
    """Gives equal parts equal weights that are not the initial ones."""
    rng = np.random.default_rng(0)
    for variable in part.trainable_variables:
        variable.assign(0.3 * rng.normal(size=variable.shape))


def _coupling(mask=MASK):
    network = tfp_flows.MLP(2, (4,), seed=0)
    return tfp_flows.Coupling(mask, tfp_flows.Conditioner(network, 1, context_size=3))


def _flow(constructor, size, **options):
    def build(**more):
        base = tfp_flows.standard_normal(size)
        return tfp_flows.FlowDistribution(base, constructor(**options, **more))

    return build


def _chain(**options):
    return tfp_flows.FlowChain([_coupling(), _coupling(~MASK)], **options)


def _mixture_base(**options):
    base = tfp_flows.MixtureMADE(2, 2, **SMALL, **options)
    return tfp_flows.FlowDistribution(base, tfp_flows.Standardize(2))


def _both(**options):
    base = tfp_flows.MixtureMADE(2, 2, **SMALL, **options)
    flow = tfp_flows.MAF(2, num_steps=1, **SMALL, **options)
    return tfp_flows.FlowDistribution(base, flow)


VECTORS = {"event_size": 2, "num_steps": 2, **SMALL}
IMAGES = {"image_shape": (4, 4, 1), "num_levels": 2, **IMAGE}
CASES = {
    "nice": (_flow(tfp_flows.NICE, 2, **VECTORS), (2,)),
    "real_nvp": (_flow(tfp_flows.RealNVP, 2, **VECTORS), (2,)),
    "real_nvp, recompute": (_flow(tfp_flows.RealNVP, 2, recompute=True, **VECTORS), (2,)),
    "made": (_flow(tfp_flows.MADE, 2, event_size=2, **SMALL), (2,)),
    "maf": (_flow(tfp_flows.MAF, 2, **VECTORS), (2,)),
    "iaf": (_flow(tfp_flows.IAF, 2, **VECTORS), (2,)),
    "chain of steps": (_flow(_chain, 2), (2,)),
    "glow": (_flow(tfp_flows.Glow, 16, num_steps=1, **IMAGES), (4, 4, 1)),
    "real_nvp_image": (
        _flow(tfp_flows.RealNVPImage, 16, num_blocks=1, batch_norm=False, **IMAGES),
        (4, 4, 1),
    ),
    "binary_made": (lambda **o: tfp_flows.BinaryMADE(2, **SMALL, **o), (2,)),
    "masks of a cycle": (
        lambda **o: tfp_flows.BinaryMADE(2, num_masks=2, **SMALL, **o),
        (2,),
    ),
    "mixture_made": (lambda **o: tfp_flows.MixtureMADE(2, 2, **SMALL, **o), (2,)),
    "conditional base": (_mixture_base, (2,)),
    "flow and base": (_both, (2,)),
}
MEAN, SCALE = np.array([1000.0, -0.002, 7.0]), np.array([50.0, 1e-4, 1.0])


def _rows(event_shape, seed=0):
    """Rows in (0, 1), contexts of very different sizes, and the same standardised."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(0.2, 0.8, size=(64, *event_shape))
    if event_shape == (2,):
        x = np.round(x)  # binary, for the distributions that are
    context = MEAN + SCALE * rng.normal(size=(64, 3))
    context[:, 2] = 7.0  # constant
    deviation = np.where(context.std(axis=0) > 1e-12, context.std(axis=0), 1.0)
    return x, context, (context - context.mean(axis=0)) / deviation


@pytest.fixture(params=CASES)
def pair(request, op_by_op):
    """The same distribution with and without standardising, and rows for both."""
    return _pair(request.param)


@functools.cache
def _pair(case):
    build, event_shape = CASES[case]
    x, context, standardized = _rows(event_shape)
    ours, plain = build(), build(standardize_context=False)
    ours.initialize(x, context=context)
    plain.initialize(x, context=standardized)
    for distribution in (ours, plain):
        _train(distribution)
    return ours, plain, x, context, standardized


@pytest.mark.slow_ids("made", "nice", "real_nvp, recompute", "real_nvp_image")
def test_raw_contexts_score_as_standardised_ones_do(pair):
    ours, plain, x, context, standardized = pair
    np.testing.assert_allclose(
        ours.log_prob(x.astype(np.float32), context=context),
        plain.log_prob(x.astype(np.float32), context=standardized),
        rtol=2e-3,
        atol=2e-3,
    )
    shuffled = ours.log_prob(x.astype(np.float32), context=context[::-1])
    assert np.abs(shuffled - ours.log_prob(x.astype(np.float32), context=context)).max() > 0


@pytest.mark.slow_ids("made", "nice", "real_nvp, recompute", "real_nvp_image")
def test_raw_contexts_draw_as_standardised_ones_do(pair):
    ours, plain, _, context, standardized = pair
    drawn = [
        d.sample(2, seed=1, context=c[:5])
        for d, c in ((ours, context), (plain, standardized))
    ]
    np.testing.assert_allclose(*drawn, rtol=2e-3, atol=2e-3)


def test_statistics_are_set_once_and_are_not_trained(pair):
    ours, plain, x, context, _ = pair
    before = [v.numpy() for v in ours.variables]
    ours.initialize(x, context=context + 1000.0)
    after = [v.numpy() for v in ours.variables]
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)
    assert len(ours.trainable_variables) == len(plain.trainable_variables)


@pytest.mark.slow_ids("real_nvp_image")
@pytest.mark.parametrize("case", CASES)
@pytest.mark.usefixtures("op_by_op")
def test_contexts_pass_as_they_are_before_initialize_and_where_turned_off(case):
    build, event_shape = CASES[case]
    x, _, standardized = _rows(event_shape)
    x = x.astype(np.float32)
    fresh, plain = build(), build(standardize_context=False)
    assert not fresh.is_initialized
    for distribution in (fresh, plain):
        _train(distribution)
    np.testing.assert_allclose(
        fresh.log_prob(x, context=standardized),
        plain.log_prob(x, context=standardized),
        rtol=1e-5,
    )


def test_a_wrapped_flow_standardises_once():
    flow = tfp_flows.RealNVP(2, num_steps=1, **SMALL)
    bounds = tfp_flows.Bounds([0.0, 0.0], [1.0, 1.0])
    wrapped = tfp_flows.FlowChain([bounds, flow])
    x, context, _ = _rows((2,))
    wrapped.initialize(0.25 + 0.5 * x, context=context)
    assert flow.is_initialized
    assert wrapped.is_initialized
    assert len(wrapped.variables) == len(flow.variables)


def test_what_is_inverted_standardises_too():
    flow = tfp_flows.Invert(tfp_flows.IAF(2, num_steps=1, **SMALL))
    x, context, standardized = _rows((2,))
    flow.initialize(x, context=context)
    _train(flow)
    plain = tfp_flows.Invert(
        tfp_flows.IAF(2, num_steps=1, standardize_context=False, **SMALL)
    )
    _train(plain)
    np.testing.assert_allclose(
        flow.inverse(x.astype(np.float32), context=context.astype(np.float32)),
        plain.inverse(x.astype(np.float32), context=standardized.astype(np.float32)),
        atol=2e-3,
    )


REFUSED = {
    "none": (None, r"`context` of shape \[N, 3\].*None"),
    "another width": (np.zeros((64, 2)), r"`context` of shape \[N, 3\].*\(64, 2\)"),
    "NaN": (np.full((64, 3), np.nan), "finite `context`"),
}


@pytest.mark.parametrize("reason", REFUSED)
@pytest.mark.parametrize("case", ["maf", "mixture_made", "flow and base"])
def test_contexts_that_give_no_statistics_are_refused(case, reason):
    distribution = CASES[case][0]()
    context, words = REFUSED[reason]
    before = [v.numpy() for v in distribution.variables if "context" in v.name]
    with pytest.raises(ValueError, match=words):
        distribution.initialize(_rows((2,))[0], context=context)
    after = [v.numpy() for v in distribution.variables if "context" in v.name]
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)


def test_gradients_reach_the_context_through_the_statistics():
    flow = tfp_flows.MAF(2, num_steps=1, **SMALL)
    x, context, _ = _rows((2,))
    flow.initialize(x, context=context)
    _train(flow)
    context = tf.constant(context[:4], tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(context)
        log_det = flow.inverse_and_log_det(x[:4].astype(np.float32), context=context)[1]
    assert np.abs(tape.gradient(log_det, context)).max() > 0
