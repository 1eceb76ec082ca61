"""Data that `fit` refuses, in words that name the argument and the row."""

import keras
import numpy as np
import pytest
import small_vae
import tensorflow as tf
import tensorflow_probability as tfp
from small_estimator import anew
from small_estimator import estimator
from small_estimator import fit
from small_estimator import of

import tfp_flows as tff

N = 40
X = np.random.default_rng(0).normal(size=(N, 2)).astype(np.float32)
C = np.random.default_rng(1).normal(size=(N, 1)).astype(np.float32)
W = np.ones(N, np.float32)


def spoiled(array, value=np.nan, row=7):
    array = array.copy()
    array[row] = value
    return array


def batches(parts):
    return tf.data.Dataset.from_tensor_slices(parts).batch(16)


def generator(x):
    yield from (x[i : i + 16] for i in range(0, N, 16))


class Batches(keras.utils.PyDataset):
    num_batches = 1

    def __getitem__(self, index):
        return spoiled(X)


NOT_FINITE = {
    "x": (lambda: (spoiled(X), {}), "finite `x`; got nan in row 7 .1 of 40 rows"),
    "infinity": (lambda: (spoiled(X, -np.inf), {}), "finite `x`; got -inf in row 7"),
    "list": (lambda: (spoiled(X).tolist(), {}), "finite `x`; got nan in row 7"),
    "weights": (
        lambda: (X, {"sample_weight": spoiled(W)}),
        "finite `sample_weight`; got nan in row 7",
    ),
    "split": (
        lambda: (spoiled(X, row=38), {"validation_split": 0.2}),
        "finite `x`; got nan in row 38",
    ),
    "validation": (
        lambda: (X, {"validation_data": (spoiled(X),)}),
        "finite `validation_data: x`; got nan in row 7",
    ),
    "weights of validation": (
        lambda: (X, {"validation_data": (X, None, spoiled(W))}),
        "finite `validation_data: sample_weight`; got nan in row 7",
    ),
    "dataset": (lambda: (batches(spoiled(X)), {}), "finite `x`; got nan in row 7"),
    "later batch": (
        lambda: (batches(spoiled(X, row=30)), {}),
        "finite `x`; got (NaN or infinity|nan) in row 14",
    ),
    "validation dataset": (
        lambda: (X, {"validation_data": batches(spoiled(X, row=30))}),
        "finite `x`; got NaN or infinity in row 14 of a batch",
    ),
    "PyDataset": (lambda: (Batches(), {}), "finite `x`; got nan in row 7"),
    "generator": (lambda: (generator(spoiled(X)), {}), "finite `x`; got nan in row 7"),
    "validation generator": (
        lambda: (X, {"validation_data": generator(spoiled(X, row=39))}),
        "finite `x`; got nan in row 7",
    ),
}


@pytest.mark.parametrize("is_initialized", [False, True])
@pytest.mark.parametrize("name", NOT_FINITE)
def test_values_that_are_not_finite(name, is_initialized):
    make, message = NOT_FINITE[name]
    model = anew()
    if is_initialized:
        model.initialize(X)
    x, options = make()
    with pytest.raises(ValueError, match=message):
        model.fit(x, verbose=0, **options)
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


NOT_FINITE_CONTEXTS = {
    "array": lambda: ((X, spoiled(C)), {}),
    "dictionary": lambda: ({"x": X, "context": spoiled(C, np.inf)}, {}),
    "dataset": lambda: (batches((X, spoiled(C))), {}),
    "validation": lambda: ((X, C), {"validation_data": (X, spoiled(C))}),
}


@pytest.mark.parametrize("name", NOT_FINITE_CONTEXTS)
def test_contexts_that_are_not_finite(name):
    x, options = NOT_FINITE_CONTEXTS[name]()
    with pytest.raises(ValueError, match="finite `(validation_data: )?context`.*row 7"):
        anew(context_size=1).fit(x, verbose=0, **options)


def test_vae_refuses_them_too():
    model = small_vae.MODELS["gaussian"]()
    model.compile("adam", jit_compile=False)
    x = small_vae.rows(model)
    with pytest.raises(ValueError, match="finite `sample_weight`; got nan in row 3"):
        model.fit(x, sample_weight=spoiled(np.ones(len(x)), row=3), verbose=0)
    gaussian = small_vae.dense(
        tff.posteriors.DiagonalGaussian(small_vae.LATENT_SIZE),
        likelihood=tff.likelihoods.Gaussian(small_vae.EVENT_SIZE),
    )
    gaussian.compile("adam", jit_compile=False)
    with pytest.raises(ValueError, match="finite `x`; got nan in row 5"):
        gaussian.fit(spoiled(x, row=5), verbose=0)


OTHERS = {
    "one axis": (lambda: X[:, 0], r"`x` of shape \[N, 2\]; got \(40,\)"),
    "width": (lambda: X[:, :1], r"`x` of shape \[N, 2\]; got \(40, 1\)"),
    "no rows": (lambda: X[:0], r"`x` of at least one row; got shape \(0, 2\)"),
    "strings": (lambda: X.astype(str), "`x` as an array of numbers; got dtype <U"),
    "objects": (lambda: spoiled(X.astype(object), "a"), "array of numbers; got dtype obj"),
    "missing": (lambda: spoiled(X.astype(object), None), "array of numbers; got dtype ob"),
    "complex": (lambda: X.astype(complex), "array of numbers; got dtype complex"),
    "dates": (lambda: X.astype("datetime64[s]"), "array of numbers; got dtype datetime"),
    "ragged": (lambda: [[1.0, 2.0], [3.0]], "`x` as an array of numbers"),
    "masked": (lambda: np.ma.masked_less(X, 0.0), "`x` without masked entries"),
    "None": (lambda: None, "`x` as an array of numbers"),
    "a context": (lambda: (X, C), "no `context`, since the flow is unconditional"),
    "three inputs": (lambda: (X, C, W), "inputs `x` or `.x, context.`; got 3"),
    "names": (lambda: {"x": X, "y": C}, r"named `x` and `context`; got \['x', 'y'\]"),
    "single rows": (
        lambda: tf.data.Dataset.from_tensor_slices(X),
        "dataset of batches; got one of single rows",
    ),
    "width of a dataset": (lambda: batches(X[:, :1]), r"`x` of shape \[N, 2\]"),
    "targets of a dataset": (lambda: batches((X, C)), "no targets `y`"),
    "empty dataset": (lambda: batches(X[:0]), "at least one batch; got none"),
    "empty generator": (lambda: generator(X[:0]), "at least one"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_data(name):
    make, message = OTHERS[name]
    with pytest.raises(ValueError, match=message):
        anew().fit(make(), verbose=0)


OPTIONS = {
    "class_weight": ({"class_weight": {0: 1.0}}, "no `class_weight`.*`sample_weight`"),
    "y": ({"y": X}, "no targets `y`"),
    "lengths": ({"sample_weight": W[:3]}, r"`sample_weight` of shape \[40\].*got \(3,\)"),
    "weights": ({"sample_weight": X}, r"`sample_weight` of shape \[40\].*got \(40, 2\)"),
    "no weight": ({"sample_weight": 0.0 * W}, "`sample_weight` with a sum above 0; got 0"),
    "no rows": ({"batch_size": 0}, "integer `batch_size` of at least 1; got 0"),
    "part of a step": (
        {"steps_per_epoch": 2.5},
        "`steps_per_epoch` of at least 1; got 2.5",
    ),
    "split": ({"validation_split": 0.999}, "`validation_split` that leaves rows"),
    "targets": ({"validation_data": (X, C)}, "no targets `y`"),
    "validation width": ({"validation_data": X[:, :1]}, r"`x` of shape \[N, 2\]"),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_options(name):
    options, message = OPTIONS[name]
    with pytest.raises(ValueError, match=message):
        anew().fit(X, verbose=0, **options)


def test_options_of_batches():
    with pytest.raises(ValueError, match="no `sample_weight` beside batches"):
        anew().fit(batches(X), sample_weight=W, verbose=0)
    with pytest.raises(ValueError, match="arrays with `validation_split` of 0.2"):
        anew().fit(batches(X), validation_split=0.2, verbose=0)


@pytest.mark.parametrize("context", [None, C[:, 0], C[:, [0, 0]], C[:3]])
def test_contexts_of_other_shapes(context):
    with pytest.raises(ValueError, match=r"`context` of shape \[(N|40), 1\]"):
        anew(context_size=1).fit((X, context), verbose=0)


@pytest.mark.parametrize("method", ["fit", "evaluate"])
def test_before_compile_it_says_what_keras_says(method):
    model = tff.DensityEstimator(estimator().distribution)
    with pytest.raises(ValueError, match=r"call `compile\(\)` before"):
        getattr(model, method)(X)


COMPILE = {
    "loss": "mse",
    "loss_weights": [1.0],
    "metrics": ["mae"],
    "weighted_metrics": [keras.metrics.MeanSquaredError()],
}


@pytest.mark.parametrize("name", COMPILE)
@pytest.mark.parametrize("build", [estimator, small_vae.MODELS["gaussian"]])
def test_losses_and_metrics_of_compile(name, build):
    with pytest.raises(ValueError, match=f"Expected no `{name}`"):
        build().compile("adam", **{name: COMPILE[name]})


def test_a_bijector_is_no_distribution():
    with pytest.raises(ValueError, match=r"the bijector `nice`.*FlowDistribution\("):
        tff.DensityEstimator(tff.NICE(2, num_steps=1))
    with pytest.raises(ValueError, match="`distribution`, one with `log_prob`.*got 3"):
        tff.DensityEstimator(3)


def test_nothing_trainable_is_refused(banana):
    model = of(tff.FlowChain([tff.Standardize(2), tfp.bijectors.Exp()]))
    with pytest.raises(ValueError, match="trainable variables; it has none"):
        fit(model, banana)


def test_unused_trainable_variable_is_refused(banana):
    class Unused(tff.FlowBijector):
        def __init__(self):
            super().__init__(event_ndims=1)
            self.weight = tf.Variable([1.0], name="forgotten")

        def _forward_and_log_det(self, x, context, training):
            return x, tf.zeros(tf.shape(x)[:-1])

        _inverse_and_log_det = _forward_and_log_det

    model = of(tff.FlowChain([Unused(), tff.ActNorm(2)]))
    with pytest.raises(ValueError, match="forgotten"):
        fit(model, banana)
