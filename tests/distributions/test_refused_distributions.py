"""Calls of distributions that are refused."""

import functools

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from refusals import bad_calls
from small_parts import CONTEXT
from small_parts import ROWS
from small_parts import TINY
from small_parts import conditional
from small_parts import conditional_flow
from small_parts import flow
from small_parts import on
from small_parts import unconditional

import tfp_flows as tff

tfd = tfp.distributions


@functools.cache
def dequantized():
    chain = tff.FlowChain([tff.Logit(0.05), tff.RealNVP(3, **TINY)])
    return tff.Dequantized(tff.FlowDistribution(tff.standard_normal(3), chain), 8)


@functools.cache
def binary_made():
    return tff.BinaryMADE(3, hidden_units=(4,), seed=0)


def two_parts():
    return tfd.JointDistributionSequential([tfd.Normal(0.0, 1.0), tfd.Normal(0.0, 1.0)])


BAD_CALLS = [
    # Bases.
    (lambda: tff.standard_normal("3"), "`event_shape` | '3'"),
    (lambda: tff.standard_normal((2.5,)), "`event_shape` | (2.5,)"),
    (lambda: tff.standard_logistic(-1), "`event_shape` | -1"),
    (lambda: tff.standard_normal(3, dtype="int32"), "floating-point `dtype` | 'int32'"),
    (lambda: on(tff.standard_normal(2)), "`distribution` | real_nvp | [2] | 3"),
    (
        lambda: on(tff.standard_normal(15), tff.Glow((4, 4, 1), 1, 1, hidden_channels=2)),
        "`distribution` | glow | [15] | 16",
    ),
    (lambda: on(tfd.Normal(0.0, 1.0)), "`distribution` | 1 axes | []"),
    (
        lambda: on(tff.standard_normal(3, dtype="float64")),
        "`distribution` | float32 | float64",
    ),
    (
        lambda: on(tfd.Independent(tfd.Poisson([1.0, 2.0, 3.0]), 1)),
        "`distribution` | continuous | Poisson",
    ),
    (
        lambda: on(tfd.Independent(tfd.Categorical(logits=np.zeros([3, 2])), 1)),
        "`distribution` | continuous",
    ),
    (
        lambda: on(tfd.Independent(tfd.Bernoulli([0.0] * 3, dtype=tf.float32), 1)),
        "`distribution` | continuous | Bernoulli",
    ),
    (lambda: on(binary_made()), "`distribution` | continuous | BinaryMADE"),
    (lambda: on(two_parts()), "`distribution` | one tensor | JointDistribution"),
    (lambda: on(tfd.Normal), "`distribution` | the class Normal; call it"),
    (lambda: on(None), "`distribution` | None"),
    (lambda: tff.FlowDistribution(tff.standard_normal(3), tf.exp), "`bijector"),
    (
        lambda: tff.FlowDistribution(tff.standard_normal(3), tff.MAF),
        "`bijector | the class MAF; call it",
    ),
    (
        lambda: tff.FlowDistribution(flow(), tff.standard_normal(3)),
        "`distribution` | real_nvp",
    ),
    (
        lambda: on(
            tff.MixtureMADE(3, 2, hidden_units=(4,), context_size=1), conditional_flow()
        ),
        "one width of `context` | 2 and 1",
    ),
    # Methods.
    (lambda: unconditional().log_prob(ROWS[:, :2]), "[..., 3] | 2)"),
    (lambda: unconditional().log_prob("x"), "Expected | 'x'"),
    (lambda: conditional().log_prob(ROWS), "`context` | [..., 2] | None"),
    (lambda: unconditional().log_prob(ROWS, context=CONTEXT), "no `context`"),
    (lambda: conditional().sample(2), "`context` | [..., 2] | None"),
    (lambda: conditional().sample(context=ROWS), "`context` | [..., 2] | (16, 3)"),
    (lambda: unconditional().sample(context=CONTEXT), "no `context`"),
    (lambda: unconditional().sample(seed="a"), "`seed` | 'a'"),
    (lambda: unconditional().sample(2.5), "`sample_shape` | 2.5"),
    (lambda: unconditional().sample([2, -1]), "`sample_shape` | [2, -1]"),
    (lambda: binary_made().sample("2"), "`sample_shape` | '2'"),
    (lambda: on(tfd.Sample(tfd.Poisson(1.0), 3)), "continuous | SamplePoisson"),
    (
        lambda: on(
            tfd.Sample(
                tfd.MixtureSameFamily(tfd.Categorical([0.0, 0.0]), tfd.Poisson([1.0, 2.0])),
                3,
            )
        ),
        "continuous | SampleMixtureSameFamily",
    ),
    (lambda: conditional().sample_and_log_prob(2), "`context` | None"),
    (lambda: unconditional().initialize(ROWS[:, :2]), "`data` of shape [N, 3] | (16, 2)"),
    (lambda: unconditional().initialize(ROWS, context=CONTEXT), "no `context`"),
    (lambda: conditional().initialize(ROWS), "`context` of shape [N, 2] | None"),
    # Autoregressive distributions.
    (lambda: tff.BinaryMADE("3"), "`event_size` | '3'"),
    (lambda: tff.BinaryMADE(3, num_masks=1.5), "`num_masks` | 1.5"),
    (lambda: tff.BinaryMADE(3, dtype="int32"), "`dtype` | 'int32'"),
    (lambda: tff.BinaryMADE(3, context_size=-1), "`context_size` | -1"),
    (lambda: tff.BinaryMADE(3, hidden_units="64"), "`hidden_units` | '64'"),
    (lambda: tff.BinaryMADE(3, ordering=[2, 1]), "`ordering` of shape [3] | [2]"),
    (lambda: binary_made().log_prob(ROWS[:, :2]), "[..., 3] | (16, 2)"),
    (lambda: binary_made().sample(2, mask_index=3), "`mask_index` | 3"),
    (
        lambda: binary_made().impute(np.zeros([2, 3], np.float32), [True]),
        "`observed` | [3]",
    ),
    (lambda: binary_made().impute(np.zeros([2, 3], np.float32), [1, 2, 3]), "`observed`"),
    (lambda: tff.MixtureMADE(3, 0), "`num_components` | got 0"),
    (lambda: tff.MixtureMADE(3, 1.5), "`num_components` | 1.5"),
    (lambda: tff.MixtureMADE(3, 2, max_log_scale=-1.0), "`max_log_scale` | -1.0"),
    (
        lambda: tff.distributions.AutoregressiveDistribution(
            tff.MaskedMLP(2, (4,), [1, 2, 3]), tff.distributions.conditionals.Bernoulli()
        ),
        "`network` | 1 parameters | got 2",
    ),
    # Integers.
    (lambda: tff.Dequantized(unconditional(), 1), "`num_bins` | got 1"),
    (lambda: tff.Dequantized(unconditional(), 7.5), "`num_bins` | 7.5"),
    (lambda: tff.Dequantized(flow()), "`distribution` | real_nvp"),
    (
        lambda: tff.Dequantized(unconditional(), 8, encoder=lambda x: x),
        "`dequantizer` | None",
    ),
    (lambda: dequantized().initialize(np.full([2, 3], 0.5)), "`data` | 0.5"),
    (lambda: dequantized().initialize(np.zeros([2, 4])), "`data` of shape [N, 3] | (2, 4)"),
    (lambda: tff.distributions.reduce_bits(np.zeros([2], np.uint8), 9), "`num_bits` | 9"),
    (
        lambda: tff.distributions.reduce_bits(np.zeros([2], np.uint8), 1.5),
        "`num_bits` | 1.5",
    ),
    (lambda: tff.bits_per_dimension([-1.0], 3, bins_per_unit=0), "`bins_per_unit` | 0"),
    (lambda: tff.bits_per_dimension([-1.0], 0, bins_per_unit=1), "`event_size` | 0"),
    # Latents.
    (lambda: tff.at_temperature(unconditional(), 0.0), "`temperature` | 0.0"),
    (lambda: tff.at_temperature(unconditional(), "cold"), "`temperature` | cold"),
    (lambda: tff.at_temperature(flow(), 0.7), "`distribution` | real_nvp"),
    (
        lambda: tff.distributions.interpolate(unconditional(), ROWS[0], ROWS[1], 1),
        "`num_points` | got 1",
    ),
    (
        lambda: tff.distributions.interpolate(unconditional(), ROWS[0], ROWS[1], 2.5),
        "`num_points` | 2.5",
    ),
    (
        lambda: tff.distributions.interpolate(unconditional(), ROWS[0, :2], ROWS[1, :2], 3),
        "[..., 3] | (2,)",
    ),
    (
        lambda: tff.distributions.attribute_direction(tfd.Normal(0.0, 1.0), ROWS, ROWS),
        "`distribution` | Normal",
    ),
    (
        lambda: tff.distributions.move_along(unconditional(), ROWS, [1.0, 2.0], [1.0]),
        "`direction` | [3] | [2]",
    ),
    # Categories.
    (lambda: tff.CategoricalMADE([]), "`num_values` | []"),
    (lambda: tff.CategoricalMADE([2, 0]), "`num_values` | [2, 0]"),
    (lambda: tff.CategoricalMADE([2, 2.5]), "`num_values` | 2.5"),
    (lambda: tff.CategoricalMADE([2, 3], ordering=[1, 1]), "`ordering` | [1, 1]"),
    (lambda: tff.CategoricalMADE([2, 3], dropout=1.0), "`dropout` | 1.0"),
    (
        lambda: tff.CategoricalMADE([2, 3], hidden_units=(4,)).log_prob([[1, 2, 0]]),
        "`x` | 2] | 3)",
    ),
    (
        lambda: tff.CategoricalMADE([2, 3], hidden_units=(4,)).impute([[1, 2]], [True]),
        "`observed` | [2]",
    ),
    (
        lambda: on(tff.CategoricalMADE([2, 2, 2], hidden_units=(4,))),
        "`distribution` | continuous | Categorical",
    ),
    (lambda: tff.distributions.conditionals.Categorical(0), "`num_values` | 0"),
]


@bad_calls(BAD_CALLS)
def test_bad_call_is_refused_in_words(call, words, check_refused):
    check_refused(call, words)
