"""What weights of rows do to the training and the numbers of a `VAE`."""

import keras
import numpy as np
import pytest
import small_vae
import tensorflow as tf

import tfp_flows as tff
from experiments.runs import strategies
from tfp_flows.models import gaussian_posteriors

# In one process, since they share their models.
pytestmark = pytest.mark.xdist_group("vae")

WEIGHT = np.linspace(0.0, 2.0, 20).astype(np.float32)


def model_and_rows(name="gaussian", count=20, **compiled):
    model = small_vae.MODELS[name]()
    model.compile(keras.optimizers.SGD(0.1), **{"run_eagerly": True, **compiled})
    return model, small_vae.rows(model, count)


@pytest.fixture
def without_noise(monkeypatch):
    """Draws at the mean, so that equal rows have equal nats."""

    def zeros(shape, seed, dtype):
        return tf.zeros(shape, dtype)

    monkeypatch.setattr(gaussian_posteriors, "normal", zeros)


@pytest.mark.usefixtures("without_noise")
@pytest.mark.parametrize("name", ["gaussian", "full", "importance_weighted"])
def test_integer_weights_equal_repeated_rows(name):
    model, x = model_and_rows(name)
    counts = np.arange(len(x)) % 3
    repeated = np.repeat(x, counts, axis=0)
    weights = tf.constant(counts * len(x) / counts.sum(), tf.float32)
    if model.free_bits:  # between the means with and without the weights
        means = [np.mean(model.nats_of_rows(rows)["kl"]) for rows in (x, repeated)]
        model.free_bits = np.mean(means) / model.latent_size
    for training in (True, False):
        weighted = model.nats_of_rows(x, weights, training=training)
        expected = model.nats_of_rows(repeated, training=training)
        for key, values in weighted.items():
            mean = pytest.approx(np.mean(expected[key]), rel=1e-5)
            assert np.mean(values) == mean, (key, training)


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
    nats = model.nats_of_rows(x)
    found = model.evaluate(x, sample_weight=WEIGHT, verbose=0, return_dict=True)
    for key, values in nats.items():
        assert found[key] == pytest.approx(np.mean(WEIGHT * values), rel=1e-5)


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


def test_step_of_replicas_weighs_the_rows_too():
    vae = small_vae.MODELS["full"]()
    names = ("encoder", "posterior", "decoder", "likelihood", "prior", "free_bits")
    parts = {name: getattr(vae, name) for name in names}
    flow = tff.FlowDistribution(tff.standard_normal(12), tff.NICE(12, seed=0))
    for build in (
        lambda one: (tff.VAE if one else strategies.ReplicatedVAE)(**parts),
        lambda one: (tff.DensityEstimator if one else strategies.ReplicatedEstimator)(flow),
    ):
        losses = []
        for one in (True, False):
            model = build(one)
            model.compile(keras.optimizers.SGD(0.0), run_eagerly=True)
            fitted = model.fit(
                small_vae.rows(vae, 20), sample_weight=WEIGHT, shuffle=False, verbose=0
            )
            losses.append(fitted.history["loss"])
        np.testing.assert_allclose(*losses, rtol=1e-5)
