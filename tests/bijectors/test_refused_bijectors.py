"""Calls of bijectors, masks and transformers that are refused."""

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from refusals import bad_calls
from small_parts import CONTEXT
from small_parts import ROWS
from small_parts import TINY
from small_parts import conditional_flow
from small_parts import flow
from small_parts import unconditional

import tfp_flows as tff
from tfp_flows.bijectors.scan import Scan

tfb = tfp.bijectors

MASK = np.array([True, False, True])


def conditioner(inputs=2, outputs=2, **options):
    return tff.Conditioner(tff.MLP(outputs, (4,)), inputs, **options)


BAD_CALLS = [
    # Constructors, masks and transformers.
    (lambda: tff.ActNorm("3"), "`event_size` | '3'"),
    (lambda: tff.ActNorm(0), "`event_size` | got 0"),
    (lambda: tff.ActNorm(3, event_ndims=1.5), "`event_ndims` | 1.5"),
    (lambda: tff.ActNorm(3, event_ndims=0), "`event_ndims` | [3] | got 0"),
    (lambda: tff.ActNorm(3, dtype="int32"), "floating-point `dtype` | 'int32'"),
    (lambda: tff.BatchNorm(3, momentum=2.0), "`momentum` | 2.0"),
    (lambda: tff.BatchNorm(3, epsilon=-1.0), "`epsilon` | -1.0"),
    (lambda: tff.BatchNorm(3, mask=[True, False]), "`mask`"),
    (lambda: tff.BatchNorm(3, mask=[1, 0, 1]), "boolean `mask`"),
    (lambda: tff.Standardize((3,)), "`event_size` | (3,)"),
    (lambda: tff.Bounds([0.0], [1.0, 2.0]), "`low` and `high` | (1,) and (2,)"),
    (lambda: tff.Bounds("low", [1.0]), "`low` | 'low'"),
    (lambda: tff.Bounds([1.0], [0.0]), "`low` < `high` | [1.0] and [0.0]"),
    (lambda: tff.Logit("0.1"), "`alpha` | '0.1'"),
    (lambda: tff.Logit(0.5), "`alpha` | 0.5"),
    (lambda: tff.Permutation([0, 0]), "`permutation` | [0, 0]"),
    (lambda: tff.Permutation([0.0, 1.0]), "integers | `permutation` | [0.0, 1.0]"),
    (lambda: tff.Permutation("reverse"), "`permutation` | reverse"),
    (lambda: tff.bijectors.reverse_permutation(2.5), "`event_size` | 2.5"),
    (lambda: tff.bijectors.random_permutation(3, "a"), "`seed` | 'a'"),
    (lambda: tff.bijectors.random_permutation(0, 1), "`event_size` | got 0"),
    (lambda: tff.InvertibleLinear(3, seed="a"), "`seed` | 'a'"),
    (
        lambda: tff.InvertibleLinear(3, permutation=[0, 1]),
        "`permutation` | 0 to 2 | [0, 1]",
    ),
    (
        lambda: tff.InvertibleLinear(2, permutation=[0, 1], seed=0),
        "one of `seed` and `permutation`",
    ),
    (lambda: tff.InvertibleLinear(True), "`event_size` | True"),
    (lambda: tff.bijectors.InvertibleConv1x1(3.5), "`event_size` | 3.5"),
    (lambda: tff.Squeeze((8, 8)), "`image_shape` | (H, W, C) | (8, 8)"),
    (lambda: tff.Squeeze((5, 8, 1)), "`image_shape` | divisible by 2 | (5, 8, 1)"),
    (lambda: tff.Squeeze(8), "`image_shape` | got 8"),
    (
        lambda: tff.bijectors.Elementwise(3, tff.Affine(), context_size=2),
        "`conditioner` and `context_size`",
    ),
    (lambda: tff.bijectors.Elementwise(2, None), "`transformer` | None"),
    (lambda: tff.bijectors.Elementwise(2, tfb.Exp()), "`transformer` | num_parameters"),
    (lambda: tff.bijectors.Elementwise(2.5, tff.Affine()), "`event_size` | 2.5"),
    (
        lambda: tff.bijectors.Elementwise(3, tff.Affine(), context_size=2),
        "`conditioner` and `context_size`",
    ),
    (
        lambda: tff.bijectors.Elementwise(
            3, tff.Affine(), conditioner(2, 4), context_size=2
        ),
        "`output_shape` | (6,) | (4,)",
    ),
    (lambda: tff.bijectors.Partial([1, 0], tff.ActNorm(1)), "boolean `mask`"),
    (lambda: tff.bijectors.Partial([True, True], tff.ActNorm(1)), "`mask` | 2 of 2"),
    (
        lambda: tff.bijectors.Partial([[True, False]], tff.ActNorm(1)),
        "`mask` | [D] | [1, 2]",
    ),
    (lambda: tff.bijectors.Partial([True, False], tfb.Exp()), "`bijector` | FlowBijector"),
    (
        lambda: tff.bijectors.Partial([True, False], tff.ActNorm(2)),
        "`bijector` | 1 entries | act_norm",
    ),
    (
        lambda: tff.bijectors.Partial([True, False, False], tff.ActNorm(2, event_ndims=3)),
        "`bijector` | 2 entries",
    ),
    (lambda: tff.transformers.PerVariable([tff.Affine()], [1]), "`which` | 0 to 0 | [1]"),
    (
        lambda: tff.transformers.PerVariable([tff.Affine], [0]),
        "`transformers` | the class Affine",
    ),
    (lambda: tff.transformers.PerVariable(tff.Affine(), [0]), "`transformers` | list"),
    (lambda: tff.MultiScale([], (4, 4, 2)), "`levels` | got none"),
    (lambda: tff.MultiScale(tff.Squeeze((4, 4, 1)), (4, 4, 1)), "list | `levels`"),
    (lambda: tff.MultiScale(["level"], (4, 4, 1)), "`levels` | 'level'"),
    (
        lambda: tff.MultiScale([tff.Squeeze((4, 4, 1))] * 2, (4, 4, 1), fraction="half"),
        "`fraction` | 'half'",
    ),
    (lambda: tff.FlowChain([]), "`bijectors` | got none"),
    (lambda: tff.FlowChain(tff.ActNorm(3)), "list | `bijectors` | act_norm"),
    (lambda: tff.FlowChain([tff.ActNorm]), "`bijectors` | the class ActNorm; call it"),
    (lambda: tff.FlowChain([keras.layers.Dense(3)]), "`bijectors` | Dense"),
    (
        lambda: tff.FlowChain([tff.ActNorm(3), tff.ActNorm(3, dtype="float64")]),
        "one dtype | float32 | float64",
    ),
    (
        lambda: tff.FlowChain([tff.MAF(3, context_size=c, **TINY) for c in (1, 2)]),
        "one `context_size` | [1, 2]",
    ),
    (lambda: tff.FlowChain([tff.ActNorm(3)], recompute="no"), "`recompute` | 'no'"),
    (lambda: tff.Invert(tfb.Exp()), "`bijector` | FlowBijector | exp"),
    (lambda: tff.Invert(tff.ActNorm), "`bijector` | the class ActNorm; call it"),
    (lambda: tff.bijectors.TFPBijector(tf.exp), "`bijector` | tfp.bijectors.Bijector"),
    (lambda: tff.bijectors.TFPBijector(tfb.Exp(), event_ndims=-1), "`event_ndims` | -1"),
    (lambda: Scan([tff.ActNorm(3), tff.InvertibleLinear(3)]), "`bijectors`"),
    (
        lambda: tff.Coupling(MASK, keras.layers.Dense(2)),
        "`conditioner` | wrap it in `Conditioner` | Dense",
    ),
    (lambda: tff.Coupling(MASK, None), "`conditioner` | None"),
    (lambda: tff.Coupling(MASK, conditioner(1)), "`input_shape` | (2,) | (1,)"),
    (lambda: tff.Coupling(MASK, conditioner(2, 3)), "`output_shape` | (3,)"),
    (lambda: tff.Coupling([1, 0, 1], conditioner()), "boolean `mask` | int"),
    (lambda: tff.Coupling([True, True], conditioner()), "`mask` | 2 of 2"),
    (
        lambda: tff.Coupling(MASK, conditioner(), tff.Affine),
        "`transformer` | the class Affine; call it",
    ),
    (
        lambda: tff.Coupling(MASK, conditioner(), tfb.Exp()),
        "`transformer` | num_parameters | bijector",
    ),
    (
        lambda: tff.MaskedAutoregressive(3, keras.layers.Dense(6)),
        "`conditioner` | wrap it in `Conditioner`",
    ),
    (lambda: tff.InverseAutoregressive("3", conditioner(3, 6)), "`event_size`"),
    (lambda: tff.Affine("exp"), "`log_scale` | 'exp'"),
    (lambda: tff.transformers.Gated("2"), "`bias` | '2'"),
    (lambda: tff.masks.alternating(2.5), "`event_size` | 2.5"),
    (lambda: tff.masks.half("4"), "`event_size` | '4'"),
    (lambda: tff.masks.half(4, start="first"), "`start` | 'first'"),
    (lambda: tff.masks.checkerboard((4, 4)), "`image_shape` | (H, W, C) | (4, 4)"),
    (lambda: tff.masks.channel_half(4), "`image_shape` | (H, W, C)"),
    # Methods.
    (lambda: flow().forward(ROWS[:, :2]), "`x` of shape [..., 3] | 2)"),
    (lambda: flow().forward(1.0), "`x` | rank"),
    (lambda: flow().inverse("abc"), "`y` | 'abc'"),
    (lambda: flow().inverse(tf.ones([2, 3], tf.int32)), "`y` | float32 | int32"),
    (lambda: flow().inverse(tf.ones([2, 3], tf.float64)), "`y` | float64"),
    (lambda: flow().inverse([[1.0, 2.0, 3.0], [1.0]]), "`y`"),
    (lambda: flow().inverse(ROWS, context=CONTEXT), "no `context`"),
    (lambda: conditional_flow().inverse(ROWS), "`context` | [..., 2] | None"),
    (
        lambda: conditional_flow().inverse(ROWS, context=ROWS),
        "`context` of shape [..., 2] | (16, 3)",
    ),
    (lambda: conditional_flow().inverse(ROWS, context=CONTEXT[:5]), "`context` | (5, 2)"),
    (lambda: conditional_flow().inverse(ROWS, context="label"), "`context`"),
    (lambda: tff.ActNorm(3).initialize(ROWS[0]), "`data` of shape [N, 3] | (3,)"),
    (
        lambda: tff.MAF(3, **TINY).initialize(ROWS[:, :2]),
        "`data` of shape [N, 3] | (16, 2)",
    ),
    (lambda: tff.Standardize(3).initialize(ROWS[:0]), "`data` | at least one row"),
    (lambda: tff.Standardize(2).initialize([["a", "b"]]), "`data` | numbers"),
    (lambda: flow().initialize(ROWS, context=CONTEXT), "no `context`"),
    (
        lambda: tff.MAF(3, context_size=2, **TINY).initialize(ROWS),
        "`context` of shape [N, 2] | None",
    ),
    (
        lambda: tff.MAF(3, context_size=2, **TINY).initialize(ROWS, context=CONTEXT[:5]),
        "`context` of shape [16, 2] | (5, 2)",
    ),
    (
        lambda: tff.Glow((4, 4, 1), 1, 1, hidden_channels=2).initialize(ROWS),
        "`data` of shape [N, 4, 4, 1] | (16, 3)",
    ),
    (
        lambda: tff.FlowChain(
            [tff.Bounds([0.0, 0.0], [1.0, 1.0]), tff.ActNorm(2)]
        ).initialize(np.array([[0.5, 0.5], [0.5, 3.0]], np.float32)),
        "`data` | column 1 | 0 | 3",
    ),
    (lambda: flow().copy(steps=3), "steps"),
    (lambda: tff.check_bijector(tf.exp, ROWS), "`bijector"),
    (lambda: tff.check_bijector(unconditional(), ROWS), "`bijector"),
    (lambda: tff.check_bijector(flow(), ROWS[0]), "`x` of shape [N, *event]"),
    (lambda: tff.check_bijector(flow(), ROWS[:0]), "`x` | (0, 3)"),
    (lambda: tff.check_bijector(conditional_flow(), ROWS), "`context` | None"),
    (lambda: tff.Permutation([1, 2, 3]), "`permutation` | [1, 2, 3]"),
    (lambda: tff.Permutation([[0, 1]]), "`permutation` of the integers 0 to D - 1"),
    (lambda: tff.Logit(-0.1), "`alpha` in | -0.1"),
    (lambda: tff.Squeeze((4, 4, 0)), "`image_shape` of positive (H, W, C)"),
    (
        lambda: tff.bijectors.Elementwise(
            3, tff.Affine(), conditioner(2, 1), context_size=2
        ),
        "`output_shape` (6,) | (1,)",
    ),
]


@bad_calls(BAD_CALLS)
def test_bad_call_is_refused_in_words(call, words, check_refused):
    check_refused(call, words)
