"""Parts that bad calls are made with, built when they are first used."""

import functools

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows as tff
from tfp_flows.bijectors.scan import Scan  # noqa: F401  private, and part of a Glow

tfb, tfd = tfp.bijectors, tfp.distributions
TINY = {"num_steps": 1, "hidden_units": (4,), "seed": 0}
MASK = np.array([True, False, True])
ORDERING = [1, 2, 3]

ROWS = np.random.default_rng(0).normal(size=(16, 3)).astype(np.float32)
CONTEXT = np.random.default_rng(1).normal(size=(16, 2)).astype(np.float32)
BITS = (ROWS > 0).astype(np.float32)


@functools.cache
def flow():
    return tff.RealNVP(3, **TINY)


@functools.cache
def conditional_flow():
    return tff.MAF(3, context_size=2, **TINY)


@functools.cache
def unconditional():
    return tff.FlowDistribution(tff.standard_normal(3), flow())


@functools.cache
def conditional():
    return tff.FlowDistribution(tff.standard_normal(3), conditional_flow())


def _estimator(distribution):
    model = tff.DensityEstimator(distribution)
    model.compile(keras.optimizers.Adam(1e-2), jit_compile=False)
    return model


@functools.cache
def estimator():
    return _estimator(unconditional())


def new_estimator():
    """One that the call may leave initialised."""
    return _estimator(on(tff.standard_normal(3), tff.RealNVP(3, **TINY)))


@functools.cache
def conditional_estimator():
    return _estimator(conditional())


@functools.cache
def bounded_estimator():
    """Of data in [0, 1]^3, by `Bounds` and a flow without state of data."""
    bounds = tff.Bounds([0.0] * 3, [1.0, 2.0, np.inf])
    chain = tff.FlowChain([bounds, tff.RealNVP(3, standardize=False, **TINY)])
    return _estimator(tff.FlowDistribution(tff.standard_normal(3), chain))


@functools.cache
def logit_estimator():
    chain = tff.FlowChain([tff.Logit(0.05), tff.RealNVP(3, **TINY)])
    return _estimator(tff.FlowDistribution(tff.standard_normal(3), chain))


@functools.cache
def positive_estimator():
    chain = tff.FlowChain([tfb.Exp(), tff.RealNVP(3, **TINY)])
    return _estimator(tff.FlowDistribution(tff.standard_normal(3), chain))


@functools.cache
def dequantized():
    chain = tff.FlowChain([tff.Logit(0.05), tff.RealNVP(3, **TINY)])
    return tff.Dequantized(tff.FlowDistribution(tff.standard_normal(3), chain), 8)


@functools.cache
def binary_made():
    return tff.BinaryMADE(3, hidden_units=(4,), seed=0)


FRAME = {"a": ROWS[:, 0], "b": ROWS[:, 1]}


def columns():
    return tff.describe_columns(FRAME)


def encoder(outputs=4):
    return tff.MLP(outputs, (4,))


def vae(**options):
    parts = {
        "encoder": encoder(),
        "posterior": tff.posteriors.DiagonalGaussian(2),
        "decoder": encoder(3),
        "likelihood": tff.likelihoods.Bernoulli(3),
    }
    model = tff.VAE(**{**parts, **options})
    model.compile(keras.optimizers.Adam(1e-2), jit_compile=False)
    return model


@functools.cache
def fixed_vae():
    return vae()


def conditioner(inputs=2, outputs=2, **options):
    return tff.Conditioner(tff.MLP(outputs, (4,)), inputs, **options)


def fit(model, rows, **options):
    return model.fit(rows, **{"epochs": 1, "batch_size": 8, "verbose": 0, **options})


def on(base, bijector=None):
    return tff.FlowDistribution(base, bijector or flow())


def two_parts():
    return tfd.JointDistributionSequential([tfd.Normal(0.0, 1.0), tfd.Normal(0.0, 1.0)])


def target():
    return tfd.JointDistributionNamed(
        {"loc": tfd.Normal(0.0, 1.0), "scale": tfd.LogNormal(0.0, 1.0)}
    )


@functools.cache
def posterior():
    return tff.flow_posterior(target(), **TINY)


@functools.cache
def conditional_posterior():
    return tff.flow_posterior(target(), context_size=2, **TINY)


def joint_target():
    return tfd.JointDistributionNamed(
        {"rate": tfd.Gamma(2.0, 1.0), "count": lambda rate: tfd.Poisson(rate)}
    )


def pinned_target():
    return joint_target().experimental_pin(rate=1.0)


class OneSided(tff.FlowBijector):
    """Shifts by one; a base of wrong subclasses."""

    def __init__(self):
        super().__init__(event_ndims=1, parameters={})

    def _forward_and_log_det(self, x, context, training):
        return x + 1.0, tf.zeros(tf.shape(x)[:-1])

    def _inverse_and_log_det(self, y, context, training):
        return y - 1.0, tf.zeros(tf.shape(y)[:-1])


class WithoutTraining(OneSided):
    def _forward_and_log_det(self, x):
        return x + 1.0, tf.zeros(tf.shape(x)[:-1])


class LogDetAnEntry(OneSided):
    def _forward_and_log_det(self, x, context, training):
        return x + 1.0, tf.zeros_like(x)


class LogDetOfAll(OneSided):
    def _inverse_and_log_det(self, y, context, training):
        return y - 1.0, tf.zeros([])


class ValueOnly(OneSided):
    def _forward_and_log_det(self, x, context, training):
        return x + 1.0


class SummedValue(OneSided):
    def _forward_and_log_det(self, x, context, training):
        return tf.reduce_sum(x, axis=-1), tf.zeros(tf.shape(x)[:-1])
