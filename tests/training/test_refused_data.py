"""Data and calls that estimators refuse, with a message that names argument and row."""

import functools

import keras
import numpy as np
import pytest
import refusals
import tensorflow as tf
import tensorflow_probability as tfp
from random_weights import values
from refusals import all_refused, bad_calls
from small_estimator import anew, estimator, from_flow
from subject import all_close

import tfp_flows as tff

N = 40
X = np.random.default_rng(0).normal(size=(N, 2)).astype(np.float32)
C = np.random.default_rng(1).normal(size=(N, 1)).astype(np.float32)
W = np.ones(N, np.float32)


def spoiled(array, value=np.nan, row=7):
    array = array.copy()
    array[row] = value
    return array


BAD_WEIGHT, LATE = spoiled(W), spoiled(X, row=39)
NEGATIVE = np.where(np.arange(N) == 3, -0.5, W)


def batches(parts):
    return tf.data.Dataset.from_tensor_slices(parts).batch(16)


def weighted(weight):
    return batches((X, weight)).map(lambda x, weight: (x, None, weight))


def generator(x):
    yield from (x[i : i + 16] for i in range(0, N, 16))


class Batches(keras.utils.PyDataset):
    num_batches = 1

    def __getitem__(self, index):
        return spoiled(X)


class Endless(keras.utils.PyDataset):
    num_batches = None

    def __getitem__(self, index):
        return X


def endless():
    return batches(X).repeat()


def validated(model, data):
    model.fit(X, validation_data=data)


NOT_FINITE = [
    (
        lambda m: m.fit(spoiled(X)),
        "finite `x`; got nan in row 7 (such values: in 1 of 40 rows",
    ),
    (
        lambda m: m.fit(X, sample_weight=BAD_WEIGHT),
        "finite `sample_weight`; got nan in row 7",
    ),
    (lambda m: m.fit(LATE, validation_split=0.2), "finite `x`; got nan in row 39"),
    (lambda m: validated(m, spoiled(X)), "finite `validation_data: x`; got nan in row 7"),
    (lambda m: validated(m, batches(LATE)), "NaN or infinity in row 7 of a batch"),
    (lambda m: validated(m, generator(LATE)), "finite `x`; got nan in row 7"),
    (
        lambda m: m.fit(batches(spoiled(X))),
        "got nan in row 7 of a batch (such values: in 1",
    ),
    (lambda m: m.fit(Batches()), "finite `x`; got nan in row 7"),
    (lambda m: m.fit(generator(spoiled(X))), "finite `x`; got nan in row 7"),
]


@pytest.mark.parametrize("is_initialized", [False, True])
@bad_calls(NOT_FINITE)
def test_values_that_are_not_finite(call, words, is_initialized):
    model = anew()
    if is_initialized:
        model.initialize(X)
    refusals.check_refused(lambda: call(model), words)
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


def test_what_is_refused_sets_nothing():
    model = anew()
    before = values(model.distribution)
    with pytest.raises(ValueError, match="finite `sample_weight`"):
        model.fit(X, sample_weight=BAD_WEIGHT)
    all_close(values(model.distribution), before, 0.0)


def fit(x, **options):
    anew().fit(x, verbose=0, **options)


def fit_given(x, context, **options):
    anew(context_size=1).fit((x, context), verbose=0, **options)


def fit_through(bijector, row):
    chain = tff.FlowChain([bijector, tff.RealNVP(2, standardize=False, num_steps=1)])
    from_flow(chain).fit(np.array([[0.5, 0.5], row], np.float32), verbose=0)


@functools.cache
def untrained():
    return tff.DensityEstimator(estimator().distribution)


def compile_with(**options):
    untrained().compile("adam", **options)


def with_statistics(rows):
    callbacks = [tff.training.FullDataBatchStatistics(rows)]
    fit(X, callbacks=callbacks)


class Unused(tff.FlowBijector):
    def __init__(self):
        super().__init__(event_ndims=1)
        self.weight = tf.Variable([1.0], name="forgotten")

    def _forward_and_log_det(self, x, context, training):
        return x, tf.zeros(tf.shape(x)[:-1])

    _inverse_and_log_det = _forward_and_log_det


def fit_steps(*steps):
    from_flow(tff.FlowChain(list(steps))).fit(X, verbose=0)


BAD_CALLS = [
    # Contexts that are not finite, or of another shape.
    (lambda: fit_given(X, spoiled(C)), "finite `context` | row 7"),
    (lambda: fit_given(X, C[:3]), "`context` of shape [40, 1] | (3, 1)"),
    (lambda: fit((X, C)), "no `context`, since the flow is unconditional"),
    # Data of other shapes, types or numbers of parts.
    (lambda: fit(X[:, :1]), "`x` of shape [N, 2]; got (40, 1)"),
    (lambda: fit(X[:0]), "`x` of at least one row; got shape (0, 2)"),
    (lambda: fit(X.astype(str)), "`x` as an array of numbers; got dtype <U"),
    (lambda: fit([[1.0, 2.0], [3.0]]), "`x` as an array of numbers"),
    (lambda: fit(np.ma.masked_less(X, 0.0)), "`x` without masked entries"),
    (
        lambda: fit(tf.sparse.from_dense(X)),
        "`x` as an array of numbers; got a SparseTensor",
    ),
    (
        lambda: fit(batches(tf.sparse.from_dense(X))),
        "a dataset of dense tensors; got one with a SparseTensor",
    ),
    (lambda: fit(endless), "`x` as an array of numbers; got a function"),
    (lambda: fit((X, C, W)), "inputs `x` or | got 3"),
    (lambda: fit({"x": X, "y": C}), "named `x` and `context`; got ['x', 'y']"),
    (lambda: fit(tf.data.Dataset.from_tensor_slices(X)), "batches; got one of single rows"),
    (lambda: fit(batches((X, C))), "no targets `y`"),
    (lambda: fit(batches(X[:0])), "at least one batch; got none"),
    (
        lambda: fit(batches(X).concatenate(tf.data.Dataset.from_tensors(X[:0]))),
        "`x` of at least one row",
    ),
    (lambda: fit(Endless()), "`steps_per_epoch` with a dataset without end"),
    (lambda: fit(endless()), "`steps_per_epoch` with a dataset without end"),
    (
        lambda: fit(X, validation_data=endless()),
        "number of steps with a dataset without end",
    ),
    (lambda: anew().evaluate(endless()), "number of steps with a dataset without end"),
    (lambda: anew().predict(Endless()), "number of steps with a dataset without end"),
    # Rows outside of the support.
    (
        lambda: fit_through(tff.Bounds([0, 0], [1, 2]), [0.5, 3]),
        "`x` | column 1 | 0 | 2 | 3",
    ),
    (
        lambda: fit_through(tff.Logit(0.05), [0.5, 255]),
        "`x` | column 1 | [-0.05 | 1.05 | 255",
    ),
    (
        lambda: fit_through(tfp.bijectors.Exp(), [0.5, -0.5]),
        "range of `exp` | column 1 | -0.5",
    ),
    # Options.
    (lambda: fit(X, y=X), "no targets `y`"),
    (lambda: fit(X, sample_weight=["1"] * N), "`sample_weight` as an array of numbers"),
    (lambda: fit(X, sample_weight=W[:3]), "`sample_weight` of shape [40] | got (3,)"),
    (lambda: fit(X, sample_weight=0 * W), "`sample_weight` with a sum above 0; got 0"),
    (  # zero in float32
        lambda: fit(X, sample_weight=np.full(N, 1e-300)),
        "`sample_weight` with a sum above 0; got 0",
    ),
    (lambda: fit(X, sample_weight=NEGATIVE), "`sample_weight` | negative | rows [3]"),
    (lambda: fit(weighted(NEGATIVE)), "`sample_weight` | negative | rows [3]"),
    (lambda: anew().evaluate(weighted(NEGATIVE)), "`sample_weight` | some in a batch"),
    (lambda: anew().evaluate(X, sample_weight=NEGATIVE), "`sample_weight` | rows [3]"),
    (
        lambda: fit(X, sample_weight=np.arange(N) < 30, validation_split=0.2),
        "`sample_weight` with a sum above 0; got 0",
    ),
    (lambda: fit(X, validation_data=(X, C)), "no targets `y`"),
    (lambda: fit(X, validation_split=np.nan), "`validation_split` between 0 and 1; got"),
    (lambda: fit(batches(X), sample_weight=W), "no `sample_weight` beside batches"),
    (
        lambda: fit(batches(X), validation_split=0.2),
        "arrays with `validation_split` of 0.2",
    ),
    (lambda: anew().train_on_batch(X, X), "no targets `y`"),
    # Before and in `compile`.
    (lambda: untrained().fit(X), "call `compile()` before"),
    (lambda: compile_with(loss="mse"), "Expected no `loss`"),
    # Constructors, files and callbacks.
    (lambda: tff.DensityEstimator(tff.NICE(2)), "the bijector `nice` | FlowDistribution("),
    (
        lambda: tff.DensityEstimator(tfp.distributions.Normal(np.zeros(3), 1.0)),
        "a `distribution` without batch axes; got (3,)",
    ),
    (lambda: fit_steps(tff.Standardize(2)), "trainable variables; it has none"),
    (lambda: fit_steps(Unused(), tff.ActNorm(2)), "forgotten"),
    (lambda: untrained().save("model.h5"), "`.keras` | model.h5"),
    (lambda: untrained().export("model", format="onnx"), "'tf_saved_model' | 'onnx'"),
    (lambda: keras.saving.load_model("nothing.keras"), "nothing.keras"),
    (lambda: tff.training.averaging_adam(1e-3, 0), "`steps_per_epoch` of at least 1"),
    (lambda: with_statistics(X[:, :1]), "`data` of shape [N, 2] | (40, 1)"),
    (lambda: fit(X, callbacks=[tff.vae.KLWarmUp(2)]), "KLWarmUp | VAE"),
]


test_bad_call_is_refused_in_words = all_refused(BAD_CALLS)


def test_an_initialized_model_refuses_an_empty_batch_too():
    model = anew()
    model.initialize(X)
    empty = tf.data.Dataset.from_tensors(X[:0])
    for call in (model.fit, model.evaluate, model.predict):
        with pytest.raises(ValueError, match="at least one row in each batch; got none"):
            call(batches(X).concatenate(empty), verbose=0)
