"""The forms in which `fit`, `evaluate` and `predict` take rows and contexts."""

import keras
import numpy as np
import pandas
import pytest
import tensorflow as tf
from derivatives import op_by_op
from small_estimator import anew, from_flow

import tfp_flows as tff

ROWS, SIZE = 48, 16
INTEGERS = np.random.default_rng(0).integers(0, 9, size=(ROWS, 2))
CONTEXT = np.random.default_rng(1).integers(0, 5, size=(ROWS, 1))
QUIET = {"batch_size": SIZE, "verbose": 0}


class Batches(keras.utils.PyDataset):
    def __init__(self, make, size=SIZE, count=ROWS // SIZE, **options):
        super().__init__(**options)
        self.make, self.size, self.count = make, size, count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        return self.make(slice(self.size * index, self.size * (index + 1)))


def generator(make):
    yield from (make(slice(start, start + SIZE)) for start in range(0, ROWS, SIZE))


def dataset(parts):
    return tf.data.Dataset.from_tensor_slices(parts).batch(SIZE)


X, C = INTEGERS.astype(np.float32), CONTEXT.astype(np.float32)
ALONE = {
    "integers": lambda: INTEGERS,
    "other byte order": lambda: INTEGERS.astype(">f8"),
    "lists": lambda: INTEGERS.tolist(),
    "tensor": lambda: tf.constant(INTEGERS),
    "table of objects": lambda: pandas.DataFrame(INTEGERS.astype(object)),
    "dictionary": lambda: {"x": INTEGERS},
    "dataset": lambda: dataset(INTEGERS),
    "PyDataset of lists": lambda: Batches(lambda rows: X[rows].tolist()),
    "PyDataset with workers": lambda: Batches(lambda rows: (X[rows],), workers=2),
    "generator of tuples": lambda: generator(lambda rows: (X[rows],)),
    "iterator": lambda: iter([X[:SIZE], X[SIZE : 2 * SIZE], X[2 * SIZE :]]),
}
WITH_CONTEXT = {
    "tuple": lambda: (INTEGERS, CONTEXT),
    "list of lists": lambda: [INTEGERS.tolist(), CONTEXT.tolist()],
    "dictionary": lambda: {"x": X, "context": CONTEXT},
    "dataset": lambda: dataset((INTEGERS, CONTEXT)),
    "dataset of pairs in a tuple": lambda: dataset(((X, C),)),
    "dataset of dictionaries": lambda: dataset({"x": X, "context": CONTEXT}),
    "PyDataset of dictionaries": lambda: Batches(
        lambda rows: {"x": X[rows], "context": C[rows]}
    ),
    "generator": lambda: generator(lambda rows: (INTEGERS[rows], CONTEXT[rows])),
}


def answers(model, make):
    """Results of `fit` with validation, `evaluate` and `predict`."""
    history = model.fit(make(), validation_data=make(), shuffle=False, **QUIET).history
    losses = history["loss"] + history["val_loss"] + [model.evaluate(make(), **QUIET)]
    return [*losses, *model.predict(make(), **QUIET)]


@pytest.fixture(scope="module")
def expected():
    with op_by_op():
        with_context = answers(anew(context_size=1), lambda: (X, C))
        return {0: answers(anew(), lambda: X), 1: with_context}


@pytest.mark.slow_ids(
    *("other byte order-0", "lists-0", "tensor-0", "dictionary-0", "generator of tuples-0"),
    *("PyDataset with workers-0", "list of lists-1", "dataset-1"),
    *("dataset of dictionaries-1", "PyDataset of dictionaries-1"),
)
@pytest.mark.filterwarnings("ignore:Your input ran out of data")
@pytest.mark.usefixtures("op_by_op")
@pytest.mark.parametrize(
    ("name", "context_size"),
    [*((name, 0) for name in ALONE), *((name, 1) for name in WITH_CONTEXT)],
)
def test_rows_and_contexts_in_every_form(name, context_size, expected):
    model = anew(context_size=1) if context_size else anew()
    found = answers(model, (WITH_CONTEXT if context_size else ALONE)[name])
    np.testing.assert_allclose(found, expected[context_size], rtol=1e-5)


@pytest.mark.usefixtures("op_by_op")
def test_weights_in_every_form():
    w = np.linspace(0.0, 2.0, ROWS)
    losses = [
        anew().fit(x, shuffle=False, sample_weight=weight, **QUIET).history["loss"]
        for x, weight in (
            (X, w.astype(np.float32)),
            (X, w.tolist()),
            (X, w[:, None]),
            (dataset((X, w)).map(lambda x, w: (x, None, w)), None),
            (Batches(lambda rows: (X[rows], None, w[rows])), None),
        )
    ]
    np.testing.assert_allclose(losses[1:], [losses[0]] * 4, rtol=1e-5)


@pytest.mark.usefixtures("op_by_op")
def test_weights_and_contexts_of_validation_data():
    w = np.linspace(0.0, 2.0, ROWS)
    model = anew(context_size=1)
    for data in ((X, C, w), ((X, C), None, w), dataset((X, C, w))):
        history = model.fit((X, C), validation_data=data, **QUIET).history
        nll = -np.mean(w * model.distribution.log_prob(X, context=C))
        np.testing.assert_allclose(history["val_loss"][-1], nll, rtol=1e-5)
    with pytest.raises(ValueError, match=r"no targets `y`.*fit\(\(x, context\)\)"):
        model.fit((X, C), validation_data=dataset(((X, C), C, w)), verbose=0)
    expected = model.distribution.log_prob(X, context=C)
    for inputs in ((INTEGERS, CONTEXT), {"x": X, "context": C}, [X, C]):
        np.testing.assert_allclose(model(inputs), expected, rtol=1e-6)


@pytest.mark.usefixtures("op_by_op")
def test_endless_batches_end_with_the_steps():
    def forever():
        while True:
            yield X[:SIZE]

    model = anew()
    history = model.fit(forever(), steps_per_epoch=2, epochs=2, verbose=0).history
    assert len(history["loss"]) == 2
    assert int(model.optimizer.iterations) == 4


# Seconds since 1970, whose variation float32 cannot resolve.
TIMES = 1.7e9 + 5.0 * np.random.default_rng(2).normal(size=(256, 2))
FORMS_OF_TIMES = {
    "array": lambda: TIMES,
    "PyDataset": lambda: Batches(lambda rows: TIMES[rows], size=64, count=4),
    "generator": lambda: (TIMES[i : i + 64] for i in range(0, 256, 64)),
}


def in_float64():
    flow = tff.RealNVP(2, num_steps=1, hidden_units=(4,), seed=0, dtype="float64")
    return from_flow(flow, base=tff.standard_normal(2, dtype="float64"))


@pytest.mark.slow_ids("PyDataset")
@pytest.mark.filterwarnings("ignore:Your input ran out of data")
@pytest.mark.parametrize("name", FORMS_OF_TIMES)
@pytest.mark.usefixtures("op_by_op")
def test_float64_is_kept_to_the_end(name):
    make = FORMS_OF_TIMES[name]
    model = anew(in_float64)
    history = model.fit(make(), batch_size=64, validation_data=make(), verbose=0).history
    log_prob = model.distribution.log_prob(TIMES).numpy()
    assert history["val_loss"][-1] == pytest.approx(-log_prob.mean(), abs=1e-9)
    assert model.evaluate(make(), verbose=0) == pytest.approx(-log_prob.mean(), abs=1e-9)
    predicted = model.predict(make(), verbose=0)
    assert predicted.dtype == np.float64
    np.testing.assert_allclose(predicted, log_prob, rtol=1e-12)
    # The statistics were not computed in float32.
    assert -log_prob.mean() == pytest.approx(2 * (1.42 + np.log(5.0)), abs=0.2)
