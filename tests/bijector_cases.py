"""A line for every bijector: all contract tests run on it."""

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from cases import Case, open_unit, positive
from transformer_cases import Curved
from vector_steps import conditional, coupling, inverse_masked, masked

import tfp_flows as tff
from tfp_flows import masks, transformers

tfb = tfp.bijectors

CHECKERBOARD = masks.checkerboard((4, 4, 2))
IRREGULAR = np.array([True, False, False, True, True, False])
GATED = transformers.Gated()
INTERVALS = ([0.0, -np.inf, -3.0, -np.inf], [2.0, 5.0, np.inf, np.inf])


def weight(size, dtype):
    return tf.Variable(tf.zeros(size, dtype), name="stock_weight")


def mixed_chain(dtype):
    return tff.FlowChain(
        [
            tfb.Softplus(),
            tfb.Chain([tfb.Shift(weight(4, dtype)), tfb.Scale(log_scale=weight(4, dtype))]),
            coupling(masks.alternating(4), dtype),
            tfb.Invert(tff.ActNorm(4, dtype=dtype)),
            tff.Permutation([2, 0, 3, 1], dtype=dtype),
        ]
    )


def nested_chain(dtype):
    inner = [
        tff.Invert(coupling(masks.half(3), dtype, context_size=2)),
        tff.Permutation([2, 0, 1], dtype=dtype),
    ]
    outer = coupling(masks.alternating(3), dtype, context_size=2)
    return tff.FlowChain([tff.FlowChain(inner), tfb.Invert(outer)])


def image_coupling(mask, network, dtype, context_size=0, seen=None):
    """A coupling whose network sees images of shape `seen`, by default the masked ones."""
    conditioner = tff.Conditioner(network, seen or mask.shape, context_size=context_size)
    return tff.Coupling(mask, conditioner, dtype=dtype)


def conv_net(dtype):
    mask = masks.channel_half((3, 2, 3), start=False)
    changing = int((~mask[0, 0]).sum())
    network = tff.networks.ConvNet(2 * changing, 4, seed=1, dtype=dtype)
    return image_coupling(mask, network, dtype, 2, (3, 2, 3 - changing))


def res_net(dtype):
    mask = masks.checkerboard((2, 4, 2))
    options = {"num_blocks": 1, "mask": mask[..., :1], "tanh_scale": 0.0, "seed": 1}
    network = tff.networks.ResNet(4, 2, **options, dtype=dtype)
    return image_coupling(mask, network, dtype, 2)


def channel_affine(dtype, context_size=2, event_ndims=3):
    network = keras.layers.Dense(6, use_bias=False, dtype=dtype)
    conditioner = tff.Conditioner(network, context_size) if context_size else None
    options = {"context_size": context_size, "event_ndims": event_ndims, "dtype": dtype}
    return tff.bijectors.Elementwise(3, tff.Affine(), conditioner, **options)


def elementwise_tail(dtype):
    conditioner = tff.Conditioner(tff.MLP(12, (4,), seed=1, dtype=dtype), 2)
    return tff.bijectors.Elementwise(
        3, transformers.Tail(), conditioner, context_size=2, dtype=dtype
    )


def on_part(dtype, context_size=2):
    inner = coupling(masks.half(3), dtype, context_size=context_size)
    mixed = [tff.Standardize(3, dtype=dtype), inner, tff.InvertibleLinear(3, dtype=dtype)]
    return tff.bijectors.Partial([True, False, False, True, False], tff.FlowChain(mixed))


def circular_spline_flow(dtype, **options):
    """The flow in a chain: by itself, a flow of angles refuses a normal base."""
    options |= {"num_steps": 2, "num_bins": 3, "hidden_units": (4,), "activation": "tanh"}
    # The bound is so wide that all points are inside the splines.
    flow = tff.NeuralSplineFlow(3, bound=20.0, seed=1, dtype=dtype, **options)
    return tff.FlowChain([flow])


def multi_scale(dtype):
    first = [
        tff.Squeeze((4, 2, 1), dtype=dtype),
        tff.bijectors.InvertibleConv1x1(4, seed=1, dtype=dtype),
        tff.ActNorm(4, event_ndims=3, dtype=dtype),
    ]
    levels = [tff.FlowChain(first), channel_affine(dtype)]
    return tff.MultiScale(levels, (4, 2, 1), fraction=0.25)


def whiten(dtype):
    bijector = tff.bijectors.Whiten(3, dtype=dtype)
    bijector.assign([1.0, -2.0, 0.5], [[2.0, 0, 0], [-1.0, 0.5, 0], [3.0, 1.0, 0.1]])
    return bijector


def normal_scores(dtype):
    bijector = tff.bijectors.NormalScores((2, 2, 1), num_bins=4, dtype=dtype)
    bijector.initialize(np.random.default_rng(1).beta(0.5, 1.0, size=(30, 2, 2, 1)))
    return bijector


def gaussianize(dtype):
    bijector = tff.bijectors.Gaussianize(3, num_quantiles=6, dtype=dtype)
    bijector.initialize(np.random.default_rng(1).exponential(size=(30, 3)))
    return bijector


def decorrelate(dtype):
    bijector = tff.Decorrelate(3, dtype=dtype)
    rows = np.random.default_rng(2).normal(size=(20, 3)) * [1.0, 5.0, 0.2]
    bijector.initialize(rows + rows[:, :1])
    return bijector


def regression(dtype):
    bijector = tff.Decorrelate(3, context_size=2, dtype=dtype)
    rng = np.random.default_rng(2)
    context = rng.normal(size=(20, 2)) * [3.0, 0.5] + 1.0
    rows = context @ rng.normal(size=(2, 3)) + rng.normal(size=(20, 3))
    bijector.initialize(rows, context=context)
    return bijector


CASES = {
    "decorrelate_context": Case(regression, (3,), 2),
    "curved_coupling": conditional(IRREGULAR, Curved()),
    "curved_masked_context": masked([2, 1, 3], 2, transformer=Curved()),
    "gated_inverse_context": inverse_masked([3, 1, 2], 2, transformer=GATED),
    "elementwise_tail_context": Case(elementwise_tail, (3,), 2),
    "squeeze": Case(lambda t: tff.Squeeze((4, 2, 3), dtype=t), (4, 2, 3)),
    "squeeze_ordered": Case(
        lambda t: tff.Squeeze((2, 4, 2), ordered=True, dtype=t), (2, 4, 2)
    ),
    "multi_scale_context": Case(multi_scale, (4, 2, 1), 2),
    "channel_affine": Case(lambda t: channel_affine(t, 0, event_ndims=1), (3,)),
    "channel_affine_context": Case(channel_affine, (2, 2, 3), 2),
    "on_part_context": Case(on_part, (5,), 2),
    "spline_circular_coupling": Case(
        lambda t: circular_spline_flow(t, circular=[2, 0], coupling=True, context_size=2),
        (3,),
        2,
        data=open_unit,
    ),
    "conv_net_context": Case(conv_net, (3, 2, 3), 2),
    "res_net_context": Case(res_net, (2, 4, 2), 2),
    "invertible_conv_1x1": Case(
        lambda t: tff.bijectors.InvertibleConv1x1(3, seed=1, dtype=t), (2, 2, 3)
    ),
    "batch_norm_checkerboard": Case(
        lambda t: tff.BatchNorm(
            2, event_ndims=3, mask=CHECKERBOARD, scale_and_shift=False, dtype=t
        ),
        (4, 4, 2),
    ),
    "conditional": conditional(masks.alternating(3)),
    "act_norm": Case(lambda t: tff.ActNorm(3, dtype=t), (3,)),
    "batch_norm": Case(lambda t: tff.BatchNorm(3, dtype=t), (3,)),
    "invertible_linear": Case(lambda t: tff.InvertibleLinear(3, dtype=t), (3,)),
    "permutation_random": Case(
        lambda t: tff.Permutation(
            tff.bijectors.random_permutation(5, 1), event_ndims=2, dtype=t
        ),
        (2, 5),
    ),
    "whiten": Case(whiten, (3,)),
    "decorrelate": Case(decorrelate, (3,)),
    "heavy_tails": Case(lambda t: tff.HeavyTails(3, dtype=t), (3,)),
    "heavy_tails_sinh": Case(lambda t: tff.HeavyTails(3, kind="sinh", dtype=t), (3,)),
    "standardize": Case(lambda t: tff.Standardize(3, dtype=t), (3,)),
    "logit_image": Case(
        lambda t: tff.Logit(1e-6, event_ndims=3, dtype=t), (2, 2, 1), data=open_unit
    ),
    "normal_scores": Case(normal_scores, (2, 2, 1), data=open_unit),
    "gaussianize": Case(gaussianize, (3,)),
    "bounds": Case(lambda t: tff.Bounds(*INTERVALS, dtype=t), (4,), data=open_unit),
    "chain_mixed": Case(mixed_chain, (4,), data=positive),
    "chain_nested": Case(nested_chain, (3,), 2),
    "invert_context": Case(
        lambda t: tff.Invert(coupling(masks.half(3), t, context_size=2)), (3,), 2
    ),
    "stock_softplus": Case(
        lambda t: tff.bijectors.TFPBijector(tfb.Softplus(), 1), (3,), data=positive
    ),
    "stock_scale": Case(
        lambda t: tff.bijectors.TFPBijector(tfb.Scale(log_scale=weight(3, t)), 1), (3,)
    ),
}
