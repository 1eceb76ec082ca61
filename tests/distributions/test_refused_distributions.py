"""Calls of distributions that are refused: a row for each rule."""

import functools

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from refusals import all_refused
from small_parts import (
    CONTEXT,
    ROWS,
    TINY,
    conditional,
    conditional_flow,
    on,
    unconditional,
)

import tfp_flows as tff
from tfp_flows import distributions
from tfp_flows.distributions import conditionals

tfd = tfp.distributions
SMALL = {"hidden_units": (4,), "seed": 0}
ZEROS = np.zeros([2, 3], np.float32)


@functools.cache
def binary_made():
    return tff.BinaryMADE(3, **SMALL)


def on_three(distribution):
    return on(tfd.Sample(distribution, 3))


def dequantizer(size=3, context_size=3, dtype="float32"):
    start = tff.Logit(0.0, dtype=dtype)
    flow = tff.MAF(size, context_size=context_size, dtype=dtype, **TINY)
    base = tff.standard_normal(size, dtype=dtype)
    return on(base, tff.FlowChain([start, flow]))


def with_noise(noise, **options):
    return tff.Dequantized(unconditional(), 8, dequantizer=noise, **options)


def two_parts():
    return tfd.JointDistributionSequential([tfd.Normal(0.0, 1.0), tfd.Normal(0.0, 1.0)])


def two_parameters():
    """A network with two parameters for each variable, where one is expected."""
    network = tff.MaskedMLP(2, (4,), [1, 2, 3])
    return distributions.AutoregressiveDistribution(network, conditionals.Bernoulli())


BAD_CALLS = [
    # Bases.
    (lambda: tff.standard_normal((2.5,)), "`event_shape` | (2.5,)"),
    (lambda: on(tff.standard_normal(2)), "`distribution` | real_nvp | [2] | 3"),
    (lambda: on(tfd.Normal(0.0, 1.0)), "`distribution` | 1 axes | []"),
    (lambda: on(tff.standard_normal(3, dtype="float64")), "`distribution` | float32 | 64"),
    (lambda: on_three(tfd.Poisson(1.0)), "`distribution` | continuous | SamplePoisson"),
    (lambda: on(two_parts()), "`distribution` | one tensor | JointDistribution"),
    (lambda: on(tfd.Normal), "`distribution` | the class Normal; call it"),
    (
        lambda: on(tff.MixtureMADE(3, context_size=1, **SMALL), conditional_flow()),
        "one width of `context` | 2 and 1",
    ),
    # Methods.
    (lambda: unconditional().log_prob(ROWS[:, :2]), "[..., 3] | 2)"),
    (lambda: conditional().sample(context=ROWS), "`context` | [..., 2] | (16, 3)"),
    (lambda: unconditional().sample(context=CONTEXT), "no `context`"),
    (lambda: unconditional().sample(seed="a"), "`seed` | 'a'"),
    # Autoregressive distributions.
    (lambda: tff.BinaryMADE(3, ordering=[2, 1]), "`ordering` of shape [3] | [2]"),
    (lambda: binary_made().sample(2, mask_index=3), "`mask_index` | 3"),
    (lambda: binary_made().impute(ZEROS, [True]), "boolean `observed` of shape [3]"),
    (lambda: two_parameters(), "`network` of 1 parameters | got 2"),
    (lambda: tff.CategoricalMADE([2, 0]), "`num_values` | [2, 0]"),
    # Integers.
    (lambda: tff.Dequantized(unconditional(), 1), "`num_bins` of at least 2; got 1"),
    (lambda: tff.Dequantized(unconditional(), 8, encoder=tf.exp), "`dequantizer` | None"),
    (lambda: tff.Dequantized(binary_made(), 2), "continuous `distribution` | binary_made"),
    (lambda: with_noise(dequantizer(1)), "`dequantizer` | (3,) and float32 | (1,)"),
    (lambda: with_noise(dequantizer(3, 3, "float64")), "`dequantizer` | float32 | float64"),
    (lambda: with_noise(dequantizer(3, 2)), "`dequantizer` with a context of 3 | of 2"),
    (
        lambda: with_noise(dequantizer(3, 0), encoder=tf.exp),
        "`dequantizer` with a context from `encoder` | of 0",
    ),
    (lambda: with_noise(dequantizer(), encoder=3), "`encoder`, a function | 3"),
    (lambda: with_noise(tff.standard_normal(3)), "`dequantizer` | FlowDistribution"),
    (
        lambda: tff.Dequantized(tff.standard_normal(3), 8).log_prob(ZEROS[:, :1]),
        "`value` of shape [..., 3] | (2, 1)",
    ),
    (lambda: distributions.reduce_bits([0], 9), "`num_bits` from 1 to 8; got 9"),
    (lambda: tff.bits_per_dimension([-1.0], 3, bins_per_unit=0), "`bins_per_unit` | 0"),
    (lambda: tff.bits_per_dimension([], 3, bins_per_unit=1), "`log_density` of one row"),
    # Keyword arguments are named with the public method.
    (lambda: unconditional().log_prob(ROWS, contxt=ROWS), "`log_prob` among c | contxt"),
    (lambda: unconditional().sample(3, contxt=ROWS), "`sample` among c | got contxt"),
    (lambda: binary_made().log_prob(ZEROS, contxt=ROWS), "`log_prob` among c | contxt"),
    (
        lambda: unconditional().sample_and_log_prob(3, contxt=ROWS),
        "`sample_and_log_prob` among context, training | got contxt",
    ),
    (
        lambda: unconditional().bijector.forward(ROWS, contxt=ROWS),
        "`forward` among context, training; got contxt.",
    ),
    # Mixtures.
    (lambda: tff.Defensive(binary_made()), "continuous `distribution` | binary_made"),
    (
        lambda: tff.Defensive(tff.standard_normal(3)).log_prob(ZEROS[:, :1]),
        "`value` of shape [..., 3] | (2, 1)",
    ),
    (
        lambda: distributions.Mixture([unconditional(), binary_made()]),
        "`components` | all continuous | binary_made",
    ),
    # Latents.
    (lambda: tff.at_temperature(unconditional(), np.inf), "`temperature` | got inf"),
    (lambda: tff.at_temperature(unconditional(), 0.0), "`temperature` above 0; got 0"),
    (
        lambda: distributions.move_along(unconditional(), ROWS, [1.0, 2.0], [1.0]),
        "`direction` | [3] | [2]",
    ),
    (
        lambda: distributions.attribute_direction(unconditional(), ROWS[0], ROWS),
        "`having` of shape [N, 3] | (3,)",
    ),
    (
        lambda: distributions.attribute_direction(unconditional(), ROWS, ROWS[:0]),
        "`lacking` of at least one row | (0, 3)",
    ),
]


test_bad_call_is_refused_in_words = all_refused(BAD_CALLS)
