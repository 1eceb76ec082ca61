"""Bad calls of bijectors, masks and transformers."""

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows as tff
from bad_calls import parts
from bad_calls.bad_call import BadCall
from bad_calls.parts import ROWS
from tfp_flows.bijectors.scan import Scan

tfb = tfp.bijectors
MASK = np.array([True, False, True])

CONSTRUCTORS = {
    "ActNorm of a string": BadCall(lambda: tff.ActNorm("3"), "`num_channels`", "'3'"),
    "ActNorm of no channel": BadCall(lambda: tff.ActNorm(0), "`num_channels`", "got 0"),
    "ActNorm of half an axis": BadCall(
        lambda: tff.ActNorm(3, event_ndims=1.5), "`event_ndims`", "1.5"
    ),
    "ActNorm of no axis": BadCall(
        lambda: tff.ActNorm(3, event_ndims=0), "`event_ndims`", "[3]", "got 0"
    ),
    "ActNorm of integers": BadCall(
        lambda: tff.ActNorm(3, dtype="int32"), "floating-point `dtype`", "'int32'"
    ),
    "BatchNorm, momentum above 1": BadCall(
        lambda: tff.BatchNorm(3, momentum=2.0), "`momentum`", "2.0"
    ),
    "BatchNorm, negative epsilon": BadCall(
        lambda: tff.BatchNorm(3, epsilon=-1.0), "`epsilon`", "-1.0"
    ),
    "BatchNorm, mask of another size": BadCall(
        lambda: tff.BatchNorm(3, mask=[True, False]), "`mask`"
    ),
    "BatchNorm, mask of numbers": BadCall(
        lambda: tff.BatchNorm(3, mask=[1, 0, 1]), "boolean `mask`"
    ),
    "Standardize of a shape": BadCall(
        lambda: tff.Standardize((3,)), "`event_size`", "(3,)"
    ),
    "Bounds of two shapes": BadCall(
        lambda: tff.Bounds([0.0], [1.0, 2.0]), "`low` and `high`", "(1,) and (2,)"
    ),
    "Bounds of a string": BadCall(lambda: tff.Bounds("low", [1.0]), "`low`", "'low'"),
    "Bounds the wrong way round": BadCall(
        lambda: tff.Bounds([1.0], [0.0]), "`low` < `high`", "[1.0] and [0.0]"
    ),
    "Logit of a string": BadCall(lambda: tff.Logit("0.1"), "`alpha`", "'0.1'"),
    "Logit of one half": BadCall(lambda: tff.Logit(0.5), "`alpha`", "0.5"),
    "Permutation twice the same": BadCall(
        lambda: tff.Permutation([0, 0]), "`permutation`", "[0, 0]"
    ),
    "Permutation of fractions": BadCall(
        lambda: tff.Permutation([0.0, 1.0]), "integers", "`permutation`", "[0.0, 1.0]"
    ),
    "Permutation of a string": BadCall(
        lambda: tff.Permutation("reverse"), "`permutation`", "reverse"
    ),
    "reverse_permutation of a fraction": BadCall(
        lambda: tff.reverse_permutation(2.5), "`event_size`", "2.5"
    ),
    "random_permutation, seed of letters": BadCall(
        lambda: tff.random_permutation(3, "a"), "`seed`", "'a'"
    ),
    "random_permutation of none": BadCall(
        lambda: tff.random_permutation(0, 1), "`event_size`", "got 0"
    ),
    "InvertibleLinear, seed of letters": BadCall(
        lambda: tff.InvertibleLinear(3, seed="a"), "`seed`", "'a'"
    ),
    "PlainLinear of True": BadCall(lambda: tff.PlainLinear(True), "`event_size`", "True"),
    "InvertibleConv1x1 of a fraction": BadCall(
        lambda: tff.InvertibleConv1x1(3.5), "`num_channels`", "3.5"
    ),
    "Squeeze without channels": BadCall(
        lambda: tff.Squeeze((8, 8)), "`image_shape`", "(H, W, C)", "(8, 8)"
    ),
    "Squeeze of an odd image": BadCall(
        lambda: tff.Squeeze((5, 8, 1)), "`image_shape`", "divisible by 2", "(5, 8, 1)"
    ),
    "Squeeze of an integer": BadCall(lambda: tff.Squeeze(8), "`image_shape`", "got 8"),
    "ChannelAffine, context without conditioner": BadCall(
        lambda: tff.ChannelAffine(3, context_size=2), "`conditioner` and `context_size`"
    ),
    "MultiScale of no level": BadCall(
        lambda: tff.MultiScale([], (4, 4, 2)), "`levels`", "got none"
    ),
    "MultiScale of a bijector": BadCall(
        lambda: tff.MultiScale(tff.Squeeze((4, 4, 1)), (4, 4, 1)), "list", "`levels`"
    ),
    "MultiScale of a string": BadCall(
        lambda: tff.MultiScale(["level"], (4, 4, 1)), "`levels`", "'level'"
    ),
    "MultiScale, fraction of letters": BadCall(
        lambda: tff.MultiScale([tff.Squeeze((4, 4, 1))] * 2, (4, 4, 1), fraction="half"),
        "`fraction`",
        "'half'",
    ),
    "FlowChain of nothing": BadCall(lambda: tff.FlowChain([]), "`bijectors`", "got none"),
    "FlowChain of a bijector": BadCall(
        lambda: tff.FlowChain(tff.ActNorm(3)), "list", "`bijectors`", "act_norm"
    ),
    "FlowChain of a class": BadCall(
        lambda: tff.FlowChain([tff.ActNorm]), "`bijectors`", "the class ActNorm; call it"
    ),
    "FlowChain of a network": BadCall(
        lambda: tff.FlowChain([keras.layers.Dense(3)]), "`bijectors`", "Dense"
    ),
    "FlowChain of two dtypes": BadCall(
        lambda: tff.FlowChain([tff.ActNorm(3), tff.ActNorm(3, dtype="float64")]),
        "one dtype",
        "float32",
        "float64",
    ),
    "FlowChain of two contexts": BadCall(
        lambda: tff.FlowChain([tff.MAF(3, context_size=c, **parts.TINY) for c in (1, 2)]),
        "one `context_size`",
        "[1, 2]",
    ),
    "FlowChain, recompute of letters": BadCall(
        lambda: tff.FlowChain([tff.ActNorm(3)], recompute="no"), "`recompute`", "'no'"
    ),
    "Invert of a stock bijector": BadCall(
        lambda: tff.Invert(tfb.Exp()), "`bijector`", "FlowBijector", "exp"
    ),
    "Invert of a class": BadCall(
        lambda: tff.Invert(tff.ActNorm), "`bijector`", "the class ActNorm; call it"
    ),
    "TFPBijector of a function": BadCall(
        lambda: tff.TFPBijector(tf.exp), "`bijector`", "tfp.bijectors.Bijector"
    ),
    "TFPBijector of negative axes": BadCall(
        lambda: tff.TFPBijector(tfb.Exp(), event_ndims=-1), "`event_ndims`", "-1"
    ),
    "Scan of unlike steps": BadCall(
        lambda: Scan([tff.ActNorm(3), tff.InvertibleLinear(3)]), "`bijectors`"
    ),
    "Coupling of a Keras layer": BadCall(
        lambda: tff.Coupling(MASK, keras.layers.Dense(2)),
        "`conditioner`",
        "wrap it in `Conditioner`",
        "Dense",
    ),
    "Coupling without a conditioner": BadCall(
        lambda: tff.Coupling(MASK, None), "`conditioner`", "None"
    ),
    "Coupling, conditioner of another size": BadCall(
        lambda: tff.Coupling(MASK, parts.conditioner(1)), "`input_shape`", "(2,)", "(1,)"
    ),
    "Coupling, conditioner of other parameters": BadCall(
        lambda: tff.Coupling(MASK, parts.conditioner(2, 3)), "`output_shape`", "(3,)"
    ),
    "Coupling, mask of numbers": BadCall(
        lambda: tff.Coupling([1, 0, 1], parts.conditioner()), "boolean `mask`", "int"
    ),
    "Coupling in which all pass": BadCall(
        lambda: tff.Coupling([True, True], parts.conditioner()), "`mask`", "2 of 2"
    ),
    "Coupling, transformer of a class": BadCall(
        lambda: tff.Coupling(MASK, parts.conditioner(), tff.Affine),
        "`transformer`",
        "the class Affine; call it",
    ),
    "Coupling, transformer of a bijector": BadCall(
        lambda: tff.Coupling(MASK, parts.conditioner(), tfb.Exp()),
        "`transformer`",
        "num_parameters",
        "bijector",
    ),
    "MaskedAutoregressive of a layer": BadCall(
        lambda: tff.MaskedAutoregressive(3, keras.layers.Dense(6)),
        "`conditioner`",
        "wrap it in `Conditioner`",
    ),
    "InverseAutoregressive of a string": BadCall(
        lambda: tff.InverseAutoregressive("3", parts.conditioner(3, 6)), "`event_size`"
    ),
    "Affine of a string": BadCall(lambda: tff.Affine("exp"), "`log_scale`", "'exp'"),
    "Gated of a string": BadCall(lambda: tff.Gated("2"), "`bias`", "'2'"),
    "masks.alternating of a fraction": BadCall(
        lambda: tff.masks.alternating(2.5), "`event_size`", "2.5"
    ),
    "masks.half of a string": BadCall(lambda: tff.masks.half("4"), "`event_size`", "'4'"),
    "masks.half, start of letters": BadCall(
        lambda: tff.masks.half(4, start="first"), "`start`", "'first'"
    ),
    "masks.checkerboard without channels": BadCall(
        lambda: tff.masks.checkerboard((4, 4)), "`image_shape`", "(H, W, C)", "(4, 4)"
    ),
    "masks.channel_half of an integer": BadCall(
        lambda: tff.masks.channel_half(4), "`image_shape`", "(H, W, C)"
    ),
}

METHODS = {
    "forward of another width": BadCall(
        lambda: parts.flow().forward(ROWS[:, :2]), "`x` of shape [..., 3]", "2)"
    ),
    "forward of a number": BadCall(lambda: parts.flow().forward(1.0), "`x`", "rank"),
    "inverse of letters": BadCall(lambda: parts.flow().inverse("abc"), "`y`", "'abc'"),
    "inverse of integers": BadCall(
        lambda: parts.flow().inverse(tf.ones([2, 3], tf.int32)), "`y`", "float32", "int32"
    ),
    "inverse in another precision": BadCall(
        lambda: parts.flow().inverse(tf.ones([2, 3], tf.float64)), "`y`", "float64"
    ),
    "inverse of ragged lists": BadCall(
        lambda: parts.flow().inverse([[1.0, 2.0, 3.0], [1.0]]), "`y`"
    ),
    "inverse with an unwanted context": BadCall(
        lambda: parts.flow().inverse(ROWS, context=parts.CONTEXT), "no `context`"
    ),
    "inverse without its context": BadCall(
        lambda: parts.conditional_flow().inverse(ROWS), "`context`", "[..., 2]", "None"
    ),
    "inverse, context of another width": BadCall(
        lambda: parts.conditional_flow().inverse(ROWS, context=ROWS),
        "`context` of shape [..., 2]",
        "(16, 3)",
    ),
    "inverse, context of other rows": BadCall(
        lambda: parts.conditional_flow().inverse(ROWS, context=parts.CONTEXT[:5]),
        "`context`",
        "(5, 2)",
    ),
    "inverse, context of letters": BadCall(
        lambda: parts.conditional_flow().inverse(ROWS, context="label"), "`context`"
    ),
    "initialize by one row without its axis": BadCall(
        lambda: tff.ActNorm(3).initialize(ROWS[0]), "`data` of shape [N, 3]", "(3,)"
    ),
    "initialize by other rows": BadCall(
        lambda: tff.MAF(3, **parts.TINY).initialize(ROWS[:, :2]),
        "`data` of shape [N, 3]",
        "(16, 2)",
    ),
    "initialize by no rows": BadCall(
        lambda: tff.Standardize(3).initialize(ROWS[:0]), "`data`", "at least one row"
    ),
    "initialize by letters": BadCall(
        lambda: tff.Standardize(2).initialize([["a", "b"]]), "`data`", "numbers"
    ),
    "initialize with an unwanted context": BadCall(
        lambda: parts.flow().initialize(ROWS, context=parts.CONTEXT), "no `context`"
    ),
    "initialize without its context": BadCall(
        lambda: tff.MAF(3, context_size=2, **parts.TINY).initialize(ROWS),
        "`context` of shape [N, 2]",
        "None",
    ),
    "initialize, context of other rows": BadCall(
        lambda: tff.MAF(3, context_size=2, **parts.TINY).initialize(
            ROWS, context=parts.CONTEXT[:5]
        ),
        "`context` of shape [16, 2]",
        "(5, 2)",
    ),
    "initialize Glow by rows": BadCall(
        lambda: tff.Glow((4, 4, 1), 1, 1, hidden_channels=2).initialize(ROWS),
        "`data` of shape [N, 4, 4, 1]",
        "(16, 3)",
    ),
    "initialize out of Bounds": BadCall(
        lambda: tff.FlowChain(
            [tff.Bounds([0.0, 0.0], [1.0, 1.0]), tff.ActNorm(2)]
        ).initialize(np.array([[0.5, 0.5], [0.5, 3.0]], np.float32)),
        "`data`",
        "column 1",
        "0",
        "3",
    ),
    "copy with an unknown argument": BadCall(lambda: parts.flow().copy(steps=3), "steps"),
    "check_bijector of a function": BadCall(
        lambda: tff.check_bijector(tf.exp, ROWS), "`bijector"
    ),
    "check_bijector of a distribution": BadCall(
        lambda: tff.check_bijector(parts.unconditional(), ROWS), "`bijector"
    ),
    "check_bijector of one row": BadCall(
        lambda: tff.check_bijector(parts.flow(), ROWS[0]), "`x` of shape [N, *event]"
    ),
    "check_bijector of no rows": BadCall(
        lambda: tff.check_bijector(parts.flow(), ROWS[:0]), "`x`", "(0, 3)"
    ),
    "check_bijector without its context": BadCall(
        lambda: tff.check_bijector(parts.conditional_flow(), ROWS), "`context`", "None"
    ),
    "subclass of another signature": BadCall(
        lambda: parts.WithoutTraining().forward(ROWS),
        "WithoutTraining",
        "_forward_and_log_det(self, x, context, training)",
    ),
    "subclass with a log-det an entry": BadCall(
        lambda: parts.LogDetAnEntry().forward(ROWS),
        "LogDetAnEntry._forward_and_log_det",
        "log_det of shape",
        "3)",
    ),
    "subclass with one log-det for all": BadCall(
        lambda: parts.LogDetOfAll().inverse(ROWS),
        "LogDetOfAll._inverse_and_log_det",
        "log_det of shape",
        "()",
    ),
    "subclass that returns no log-det": BadCall(
        lambda: parts.ValueOnly().forward(ROWS), "ValueOnly", "log_det"
    ),
    "subclass that returns another shape": BadCall(
        lambda: parts.SummedValue().forward(ROWS), "SummedValue", "(None, None)", "(None,)"
    ),
}

CALLS = {**CONSTRUCTORS, **METHODS}
