"""Calls of density estimators and callbacks that are refused."""

import functools

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from refusals import bad_calls
from small_parts import CONTEXT
from small_parts import ROWS
from small_parts import TINY
from small_parts import conditional
from small_parts import flow
from small_parts import on
from small_parts import unconditional

import tfp_flows as tff

tfb = tfp.bijectors


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


def fit(model, rows, **options):
    return model.fit(rows, **{"epochs": 1, "batch_size": 8, "verbose": 0, **options})


BAD_CALLS = [
    (lambda: fit(estimator(), ROWS[0]), "`x` of shape [N, 3] | (3,)"),
    (lambda: fit(estimator(), ROWS[:, :2]), "`x` of shape [N, 3] | (16, 2)"),
    (lambda: fit(estimator(), ROWS[:, :1]), "`x` of shape [N, 3] | (16, 1)"),
    (lambda: fit(estimator(), ROWS[..., None]), "`x` of shape [N, 3] | (16, 3, 1)"),
    (lambda: fit(estimator(), ROWS[:0]), "`x` | at least one row"),
    (lambda: fit(estimator(), np.array([["a", "b", "c"]])), "`x` | numbers"),
    (lambda: estimator().fit(ROWS, ROWS[:, 0]), "`y`"),
    (lambda: fit(estimator(), (ROWS, CONTEXT)), "no `context` | (16, 2)"),
    (lambda: fit(conditional_estimator(), ROWS), "`context` of shape [N, 2] | None"),
    (
        lambda: fit(conditional_estimator(), (ROWS, ROWS)),
        "`context` of shape [N, 2] | (16, 3)",
    ),
    (
        lambda: fit(conditional_estimator(), (ROWS, CONTEXT[:5])),
        "`context` of shape [16, 2] | (5, 2)",
    ),
    (
        lambda: fit(conditional_estimator(), (ROWS, CONTEXT[:, 0])),
        "`context` of shape [N, 2] | (16,)",
    ),
    (
        lambda: fit(
            estimator(),
            tf.data.Dataset.from_tensor_slices(ROWS[:, :2]).batch(8),
            batch_size=None,
        ),
        "`x` of shape [N, 3] | 2)",
    ),
    (
        lambda: fit(
            bounded_estimator(), np.array([[0.5, 0.5, 0.5], [0.5, 3.0, 0.5]], np.float32)
        ),
        "`x` | column 1 | 0 | 2 | 3",
    ),
    (
        lambda: fit(bounded_estimator(), np.array([[0.5, 0.5, -0.5]], np.float32)),
        "`x` | column 2 | -0.5",
    ),
    (
        lambda: fit(logit_estimator(), np.array([[0.5, 0.5, 255.0]], np.float32)),
        "`x` | column 2 | [-0.05 | 1.05 | 255",
    ),
    (
        lambda: fit(positive_estimator(), np.array([[0.5, 0.5, -0.5]], np.float32)),
        "`x` | range of `exp` | column 2 | -0.5",
    ),
    (lambda: estimator().evaluate(ROWS[:, :2], verbose=0), "`x` of shape [N, 3] | (16, 2)"),
    (lambda: estimator().predict(ROWS[:, :2], verbose=0), "`x` of shape [N, 3] | (16, 2)"),
    (lambda: tff.DensityEstimator(flow()), "`distribution` | FlowDistribution"),
    (
        lambda: tff.DensityEstimator(tff.FlowDistribution),
        "`distribution` | the class FlowDistribution; call it",
    ),
    (lambda: tff.DensityEstimator(None), "`distribution` | None"),
    (
        lambda: tff.DensityEstimator(unconditional(), weight_prior=0.5),
        "`weight_prior` | 0.5",
    ),
    (lambda: estimator().save("model.h5"), "`.keras` | model.h5"),
    (lambda: estimator().save("model.hdf5"), "`.keras` | model.hdf5"),
    (lambda: estimator().save("model.h5", zipped=False), "`.keras` | model.h5"),
    (lambda: estimator().save("model"), ".keras | model"),
    (
        lambda: new_estimator().fit(
            ROWS,
            epochs=1,
            verbose=0,
            callbacks=[tff.training.FullDataBatchStatistics(ROWS[:, :2])],
        ),
        "`data` of shape [N, 3] | (16, 2)",
    ),
    (lambda: tff.training.FullDataBatchStatistics("rows"), "`data`"),
    (lambda: tff.StopOnNaN(3), "`monitor` | got 3"),
    (
        lambda: estimator().fit(ROWS, epochs=1, verbose=0, callbacks=[tff.vae.KLWarmUp(2)]),
        "KLWarmUp | VAE",
    ),
    (lambda: keras.saving.load_model("nothing.keras"), "nothing.keras"),
]


@bad_calls(BAD_CALLS)
def test_bad_call_is_refused_in_words(call, words, check_refused):
    check_refused(call, words)
