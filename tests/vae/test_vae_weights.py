"""What weights of rows do to the training and the numbers of a `VAE`."""

import keras
import numpy as np
import pytest
import small_vae
import tensorflow as tf

from tfp_flows.training.data import Rows
from tfp_flows.training.model import GlobalBatch
from tfp_flows.vae import posteriors

# In one process, since they share their models.
pytestmark = pytest.mark.xdist_group("vae")

WEIGHT = np.linspace(0.0, 2.0, 20).astype(np.float32)


def model_and_rows(name="gaussian", count=20, **compiled):
    model = small_vae.MODELS[name]()
    model.compile(keras.optimizers.SGD(0.1), **{"run_eagerly": True, **compiled})
    return model, small_vae.rows(model, count)


def means_over(model, x, weight=None, *, training=False):
    """The means of nats over the rows, by the names of the metrics."""
    means, _ = model._summands((x, weight, weight), training=training)
    return {k: float(mean) for k, mean in means.items() if k != "sample_weight"}


@pytest.fixture
def without_noise(monkeypatch):
    """Draws at the mean, so that equal rows have equal nats."""

    def zeros(shape, seed, dtype):
        return tf.zeros(shape, dtype)

    monkeypatch.setattr(posteriors, "normal", zeros)


@pytest.mark.usefixtures("without_noise")
@pytest.mark.parametrize("name", ["gaussian", "full", "importance_weighted"])
def test_integer_weights_equal_repeated_rows(name):
    model, x = model_and_rows(name)
    counts = np.arange(len(x)) % 3
    repeated = np.repeat(x, counts, axis=0)
    weights = tf.constant(counts * len(x) / counts.sum(), tf.float32)
    if model.free_bits:  # between the means with and without the weights
        means = [means_over(model, rows)["kl"] for rows in (x, repeated)]
        model.free_bits = np.mean(means) / model.latent_size
    for training in (True, False):
        weighted = means_over(model, x, weights, training=training)
        expected = means_over(model, repeated, training=training)
        for key, mean in weighted.items():
            assert mean == pytest.approx(expected[key], rel=1e-5), (key, training)


def test_rows_of_weight_zero_do_not_matter():
    trained = []
    for spoil in (False, True):
        model, x = model_and_rows()
        x[WEIGHT < 1.0] = float(spoil)
        weight = np.where(WEIGHT < 1.0, 0.0, WEIGHT)
        small = {"batch_size": 20, "verbose": 0}
        history = model.fit(
            x,
            sample_weight=weight,
            validation_data=(x, None, weight),
            shuffle=False,
            epochs=2,
            **small,
        ).history
        numbers = [*history.values(), model.evaluate(x, sample_weight=weight, **small)]
        trained.append([*model.get_weights(), *map(np.array, numbers)])
    for a, b in zip(*trained, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_evaluate_weighs_the_rows():
    model, x = model_and_rows()
    nats = model.nats_of_rows(Rows(x), GlobalBatch(len(x)))
    found = model.evaluate(x, sample_weight=WEIGHT, verbose=0, return_dict=True)
    for key, values in nats.items():
        expected = np.average(values, weights=WEIGHT)
        assert found[key] == pytest.approx(expected, rel=1e-5)


def test_weights_of_a_dataset_come_third():
    histories = []
    for as_dataset in (False, True):
        model, x = model_and_rows(run_eagerly=False, jit_compile=False)
        options = {"sample_weight": WEIGHT, "batch_size": 20, "shuffle": False}
        validation = (x, None, WEIGHT)
        if as_dataset:
            rows = tf.data.Dataset.from_tensor_slices((x, WEIGHT))
            x = validation = rows.map(lambda x, w: (x, None, w)).batch(20)
            options = {}
        fitted = model.fit(x, validation_data=validation, epochs=2, verbose=0, **options)
        histories.append(fitted.history)
    for key, values in histories[0].items():
        np.testing.assert_allclose(histories[1][key], values, rtol=1e-5)
