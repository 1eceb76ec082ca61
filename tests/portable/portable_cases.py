"""Distributions of vectors to export, with the weights they might have after training."""

import functools

import flow_cases
import numpy as np
import tensorflow as tf
from distribution_cases import BINARY, CATEGORICAL, MIXTURES
from random_weights import randomize
from tensorflow_probability import distributions as tfd

import tfp_flows as tff
from tfp_flows import transformers

FLOWS = {
    name: case for name, case in flow_cases.CASES.items() if name not in flow_cases.IMAGES
}


def from_flow(build, event_shape=(3,), base=tff.standard_normal):
    """A function of a dtype that returns a flow over a base."""
    return lambda dtype: tff.FlowDistribution(base(event_shape, dtype=dtype), build(dtype))


def maf(dtype, **options):
    return tff.MAF(3, num_steps=2, hidden_units=(8,), seed=1, dtype=dtype, **options)


def real_nvp(transformer):
    return from_flow(
        lambda dtype: tff.RealNVP(
            3, num_steps=2, hidden_units=(8,), transformer=transformer, dtype=dtype
        )
    )


def circular(dtype):
    flow = tff.NeuralSplineFlow(3, num_steps=2, circular=[1], num_bins=4, dtype=dtype)
    return tff.FlowDistribution(tff.circular_base(3, [1], dtype=dtype), flow)


def over_mixture_made(dtype):
    base = tff.MixtureMADE(3, hidden_units=(8,), num_components=2, seed=0, dtype=dtype)
    return tff.FlowDistribution(base, maf(dtype))


def over_student_t(dtype):
    base = tfd.StudentT(tf.constant([4.0, 5.0, 6.0], dtype), tf.cast(0.0, dtype), 1.0)
    return tff.FlowDistribution(tfd.Independent(base, 1), maf(dtype))


def mixture_of_flows(dtype):
    return tff.distributions.Mixture([from_flow(maf)(dtype), from_flow(maf)(dtype)])


def quantiles(dtype):
    flow = maf(dtype, num_quantiles=20)
    flow.initialize(np.random.default_rng(0).exponential(size=(200, 3)))
    return flow


# Functions of a dtype.
DISTRIBUTIONS = {
    **{n: from_flow(case.build, case.event_shape) for n, case in FLOWS.items()},
    **{n: c.build for n, c in (BINARY | CATEGORICAL | MIXTURES).items()},
    "over_logistic": from_flow(
        lambda dtype: tff.NICE(3, num_steps=3, hidden_units=(4,), seed=3, dtype=dtype),
        base=tff.standard_logistic,
    ),
    "over_mixture_made": over_mixture_made,
    "over_student_t": over_student_t,
    "quantiles": from_flow(quantiles),
    "circular": circular,
    "defensive_context": lambda dtype: tff.Defensive(
        from_flow(functools.partial(maf, context_size=2))(dtype)
    ),
    "mixture_of_flows": mixture_of_flows,
    "cubic_rational": real_nvp(transformers.CubicRational()),
    "sinh_conjugation": real_nvp(transformers.SinhConjugation()),
    "tail": real_nvp(transformers.Tail()),
    "mixture_cdf": real_nvp(transformers.MixtureCDF(3)),
}
DISCRETE = BINARY | CATEGORICAL


@functools.cache
def built(name, dtype="float32"):
    """The distribution of a case, with random weights."""
    return randomize(DISTRIBUTIONS[name](dtype), stddev=0.3)


def rows_of(name, count=7, dtype="float32"):
    """Rows and contexts of a case: two rows are far out, and so is a context."""
    distribution, rng = built(name, dtype), np.random.default_rng(0)
    x = rng.normal(size=(count, *distribution.event_shape)).astype(dtype)
    if name in DISCRETE:
        x = DISCRETE[name].points([count]).astype(dtype)
    else:
        x[1:3] *= 30.0
    context = rng.normal(size=(count, distribution.context_size)).astype(dtype)
    context[3:4] *= 30.0
    return x, {"context": context} if distribution.context_size else {}


def assert_close(got, expected, tolerance=1e-5):
    """Compares arrays, relative to the size of each entry if that is above 1."""
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)
