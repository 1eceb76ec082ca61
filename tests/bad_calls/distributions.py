"""Bad calls of distributions and of what one does with latents."""

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows as tff
from bad_calls import parts
from bad_calls.bad_call import BadCall
from bad_calls.parts import CONTEXT
from bad_calls.parts import ROWS

tfb, tfd = tfp.bijectors, tfp.distributions


def _on(base, flow=None):
    return tff.FlowDistribution(base, flow or parts.flow())


def _joint():
    return tfd.JointDistributionSequential([tfd.Normal(0.0, 1.0), tfd.Normal(0.0, 1.0)])


BASES = {
    "base of a string": BadCall(lambda: tff.standard_normal("3"), "`event_shape`", "'3'"),
    "base of fractions": BadCall(
        lambda: tff.standard_normal((2.5,)), "`event_shape`", "(2.5,)"
    ),
    "base of a negative size": BadCall(
        lambda: tff.standard_logistic(-1), "`event_shape`", "-1"
    ),
    "base of integers": BadCall(
        lambda: tff.standard_normal(3, dtype="int32"), "floating-point `dtype`", "'int32'"
    ),
    "base of another size": BadCall(
        lambda: _on(tff.standard_normal(2)), "`distribution`", "real_nvp", "[2]", "3"
    ),
    "base of another size under Glow": BadCall(
        lambda: _on(tff.standard_normal(15), tff.Glow((4, 4, 1), 1, 1, hidden_channels=2)),
        "`distribution`",
        "glow",
        "[15]",
        "16",
    ),
    "base of too few axes": BadCall(
        lambda: _on(tfd.Normal(0.0, 1.0)), "`distribution`", "1 axes", "[]"
    ),
    "base of another precision": BadCall(
        lambda: _on(tff.standard_normal(3, dtype="float64")),
        "`distribution`",
        "float32",
        "float64",
    ),
    "base of counts": BadCall(
        lambda: _on(tfd.Independent(tfd.Poisson([1.0, 2.0, 3.0]), 1)),
        "`distribution`",
        "continuous",
        "Poisson",
    ),
    "base of integers, by dtype": BadCall(
        lambda: _on(tfd.Independent(tfd.Categorical(logits=np.zeros([3, 2])), 1)),
        "`distribution`",
        "continuous",
    ),
    "base of coins": BadCall(
        lambda: _on(tfd.Independent(tfd.Bernoulli([0.0] * 3, dtype=tf.float32), 1)),
        "`distribution`",
        "continuous",
        "Bernoulli",
    ),
    "base of binary vectors": BadCall(
        lambda: _on(parts.binary_made()), "`distribution`", "continuous", "BinaryMADE"
    ),
    "base of several parts": BadCall(
        lambda: _on(_joint()), "`distribution`", "one tensor", "JointDistribution"
    ),
    "base of a class": BadCall(
        lambda: _on(tfd.Normal), "`distribution`", "the class Normal; call it"
    ),
    "base of None": BadCall(lambda: _on(None), "`distribution`", "None"),
    "bijector of a function": BadCall(
        lambda: tff.FlowDistribution(tff.standard_normal(3), tf.exp), "`bijector"
    ),
    "bijector of a class": BadCall(
        lambda: tff.FlowDistribution(tff.standard_normal(3), tff.MAF),
        "`bijector",
        "the class MAF; call it",
    ),
    "bijector and base the wrong way round": BadCall(
        lambda: tff.FlowDistribution(parts.flow(), tff.standard_normal(3)),
        "`distribution`",
        "real_nvp",
    ),
    "two widths of context": BadCall(
        lambda: _on(
            tff.MixtureMADE(3, 2, hidden_units=(4,), context_size=1),
            parts.conditional_flow(),
        ),
        "one width of `context`",
        "2 and 1",
    ),
}

METHODS = {
    "log_prob of another width": BadCall(
        lambda: parts.unconditional().log_prob(ROWS[:, :2]), "[..., 3]", "2)"
    ),
    "log_prob of letters": BadCall(
        lambda: parts.unconditional().log_prob("x"), "Expected", "'x'"
    ),
    "log_prob without its context": BadCall(
        lambda: parts.conditional().log_prob(ROWS), "`context`", "[..., 2]", "None"
    ),
    "log_prob with an unwanted context": BadCall(
        lambda: parts.unconditional().log_prob(ROWS, context=CONTEXT), "no `context`"
    ),
    "sample without its context": BadCall(
        lambda: parts.conditional().sample(2), "`context`", "[..., 2]", "None"
    ),
    "sample, context of another width": BadCall(
        lambda: parts.conditional().sample(context=ROWS), "`context`", "[..., 2]", "(16, 3)"
    ),
    "sample with an unwanted context": BadCall(
        lambda: parts.unconditional().sample(context=CONTEXT), "no `context`"
    ),
    "sample, seed of letters": BadCall(
        lambda: parts.unconditional().sample(seed="a"), "`seed`", "'a'"
    ),
    "sample half a row": BadCall(
        lambda: parts.unconditional().sample(2.5), "`sample_shape`", "2.5"
    ),
    "sample a negative number of rows": BadCall(
        lambda: parts.unconditional().sample([2, -1]), "`sample_shape`", "[2, -1]"
    ),
    "BinaryMADE, sample letters": BadCall(
        lambda: parts.binary_made().sample("2"), "`sample_shape`", "'2'"
    ),
    "base of counts, repeated": BadCall(
        lambda: _on(tfd.Sample(tfd.Poisson(1.0), 3)), "continuous", "SamplePoisson"
    ),
    "base of a mixture of counts": BadCall(
        lambda: _on(
            tfd.Sample(
                tfd.MixtureSameFamily(tfd.Categorical([0.0, 0.0]), tfd.Poisson([1.0, 2.0])),
                3,
            )
        ),
        "continuous",
        "SampleMixtureSameFamily",
    ),
    "sample_and_log_prob without its context": BadCall(
        lambda: parts.conditional().sample_and_log_prob(2), "`context`", "None"
    ),
    "initialize by other rows": BadCall(
        lambda: parts.unconditional().initialize(ROWS[:, :2]),
        "`data` of shape [N, 3]",
        "(16, 2)",
        keeps=parts.unconditional,
    ),
    "initialize with an unwanted context": BadCall(
        lambda: parts.unconditional().initialize(ROWS, context=CONTEXT),
        "no `context`",
        keeps=parts.unconditional,
    ),
    "initialize without its context": BadCall(
        lambda: parts.conditional().initialize(ROWS),
        "`context` of shape [N, 2]",
        "None",
        keeps=parts.conditional,
    ),
}

AUTOREGRESSIVE = {
    "BinaryMADE of a string": BadCall(lambda: tff.BinaryMADE("3"), "`event_size`", "'3'"),
    "BinaryMADE of half a mask": BadCall(
        lambda: tff.BinaryMADE(3, num_masks=1.5), "`num_masks`", "1.5"
    ),
    "BinaryMADE of integers": BadCall(
        lambda: tff.BinaryMADE(3, dtype="int32"), "`dtype`", "'int32'"
    ),
    "BinaryMADE, negative context": BadCall(
        lambda: tff.BinaryMADE(3, context_size=-1), "`context_size`", "-1"
    ),
    "BinaryMADE, widths of a string": BadCall(
        lambda: tff.BinaryMADE(3, hidden_units="64"), "`hidden_units`", "'64'"
    ),
    "BinaryMADE, ordering of another size": BadCall(
        lambda: tff.BinaryMADE(3, ordering=[2, 1]), "`ordering` of shape [3]", "[2]"
    ),
    "BinaryMADE, log_prob of another width": BadCall(
        lambda: parts.binary_made().log_prob(ROWS[:, :2]), "[..., 3]", "(16, 2)"
    ),
    "BinaryMADE, mask that there is not": BadCall(
        lambda: parts.binary_made().sample(2, mask_index=3), "`mask_index`", "3"
    ),
    "impute, observed of another size": BadCall(
        lambda: parts.binary_made().impute(np.zeros([2, 3], np.float32), [True]),
        "`observed`",
        "[3]",
    ),
    "impute, observed of numbers": BadCall(
        lambda: parts.binary_made().impute(np.zeros([2, 3], np.float32), [1, 2, 3]),
        "`observed`",
    ),
    "MixtureMADE of no component": BadCall(
        lambda: tff.MixtureMADE(3, 0), "`num_components`", "got 0"
    ),
    "MixtureMADE of half a component": BadCall(
        lambda: tff.MixtureMADE(3, 1.5), "`num_components`", "1.5"
    ),
    "MixtureMADE, negative bound": BadCall(
        lambda: tff.MixtureMADE(3, 2, max_log_scale=-1.0), "`max_log_scale`", "-1.0"
    ),
    "AutoregressiveDistribution, other parameters": BadCall(
        lambda: tff.AutoregressiveDistribution(
            tff.MaskedMLP(2, (4,), [1, 2, 3]), tff.conditionals.Bernoulli()
        ),
        "`network`",
        "1 parameters",
        "got 2",
    ),
}

INTEGERS = {
    "Dequantized of one bin": BadCall(
        lambda: tff.Dequantized(parts.unconditional(), 1), "`num_bins`", "got 1"
    ),
    "Dequantized of half a bin": BadCall(
        lambda: tff.Dequantized(parts.unconditional(), 7.5), "`num_bins`", "7.5"
    ),
    "Dequantized of a flow": BadCall(
        lambda: tff.Dequantized(parts.flow()), "`distribution`", "real_nvp"
    ),
    "Dequantized, encoder alone": BadCall(
        lambda: tff.Dequantized(parts.unconditional(), 8, encoder=lambda x: x),
        "`dequantizer`",
        "None",
    ),
    "Dequantized.initialize by fractions": BadCall(
        lambda: parts.dequantized().initialize(np.full([2, 3], 0.5)),
        "`data`",
        "0.5",
        keeps=parts.dequantized,
    ),
    "Dequantized.initialize by other rows": BadCall(
        lambda: parts.dequantized().initialize(np.zeros([2, 4])),
        "`data` of shape [N, 3]",
        "(2, 4)",
        keeps=parts.dequantized,
    ),
    "reduce_bits to nine": BadCall(
        lambda: tff.reduce_bits(np.zeros([2], np.uint8), 9), "`num_bits`", "9"
    ),
    "reduce_bits to half a bit": BadCall(
        lambda: tff.reduce_bits(np.zeros([2], np.uint8), 1.5), "`num_bits`", "1.5"
    ),
    "bits_per_dimension of no bins": BadCall(
        lambda: tff.bits_per_dimension([-1.0], 3, bins_per_unit=0), "`bins_per_unit`", "0"
    ),
    "bits_per_dimension of no entries": BadCall(
        lambda: tff.bits_per_dimension([-1.0], 0, bins_per_unit=1), "`event_size`", "0"
    ),
}

LATENTS = {
    "at_temperature 0": BadCall(
        lambda: tff.at_temperature(parts.unconditional(), 0.0), "`temperature`", "0.0"
    ),
    "at_temperature of letters": BadCall(
        lambda: tff.at_temperature(parts.unconditional(), "cold"), "`temperature`", "cold"
    ),
    "at_temperature of a flow": BadCall(
        lambda: tff.at_temperature(parts.flow(), 0.7), "`distribution`", "real_nvp"
    ),
    "interpolate over one point": BadCall(
        lambda: tff.interpolate(parts.unconditional(), ROWS[0], ROWS[1], 1),
        "`num_points`",
        "got 1",
    ),
    "interpolate over half a point": BadCall(
        lambda: tff.interpolate(parts.unconditional(), ROWS[0], ROWS[1], 2.5),
        "`num_points`",
        "2.5",
    ),
    "interpolate from another width": BadCall(
        lambda: tff.interpolate(parts.unconditional(), ROWS[0, :2], ROWS[1, :2], 3),
        "[..., 3]",
        "(2,)",
    ),
    "attribute_direction of a stock distribution": BadCall(
        lambda: tff.attribute_direction(tfd.Normal(0.0, 1.0), ROWS, ROWS),
        "`distribution`",
        "Normal",
    ),
    "move_along another direction": BadCall(
        lambda: tff.move_along(parts.unconditional(), ROWS, [1.0, 2.0], [1.0]),
        "`direction`",
        "[3]",
        "[2]",
    ),
}

CALLS = {**BASES, **METHODS, **AUTOREGRESSIVE, **INTEGERS, **LATENTS}
