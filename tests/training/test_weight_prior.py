"""Penalties of weights: normal priors, and regularisers of Keras."""

import keras
import numpy as np
import pytest
import small_vae
import tensorflow as tf
from small_estimator import from_flow

import tfp_flows as tff

ROWS = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
pytestmark = pytest.mark.usefixtures("op_by_op")


def estimator(flow, **options):
    dist = tff.FlowDistribution(tff.standard_normal(3), flow)
    model = tff.DensityEstimator(dist, **options)
    model.compile(keras.optimizers.SGD(1.0))
    return model


def real_nvp():
    return tff.RealNVP(3, num_steps=2, hidden_units=4, seed=0)


def step_of(weight_prior, rows, **fit):
    """Weights before a step over all rows, their change, and the loss."""
    flow = real_nvp()
    model = estimator(flow, weight_prior=weight_prior)
    weights = [w for s in flow.bijectors[1:3] for w in s.conditioner.trainable_variables]
    before = np.concatenate([np.ravel(w) for w in weights])
    loss = model.fit(rows, verbose=0, shuffle=False, **fit).history["loss"][0]
    return before, before - np.concatenate([np.ravel(w) for w in weights]), loss


@pytest.mark.parametrize(
    ("rows", "options", "factor"),
    [
        (ROWS, {}, 3 / 40),
        (tf.data.Dataset.from_tensor_slices(ROWS).batch(40), {}, 3 / 40),
        # Rows of a validation split and of weight zero do not count.
        (ROWS, {"validation_split": 0.5}, 3 / 20),
        (ROWS, {"sample_weight": np.repeat([2.0, 0.0], 20)}, 3 / 20),
        # Priors widen from 20 rows per variable on, and vanish for many rows.
        (np.tile(ROWS, (3, 1)), {}, 3 / 120 / 2),
        (np.tile(ROWS, (410, 1)), {}, 0.0),
    ],
    ids=["array", "batches", "split", "weights", "more rows", "many rows"],
)
def test_a_step_adds_the_gradient_of_normal_priors_of_variance_one_over_d(
    rows, options, factor
):
    if isinstance(rows, np.ndarray):
        options = {**options, "batch_size": len(rows)}
    weights, with_prior, loss = step_of(True, rows, **options)
    _, without, same_loss = step_of(False, rows, **options)
    np.testing.assert_allclose(with_prior - without, weights * factor, atol=1e-6)
    assert np.abs(weights).max() > 0.1
    assert loss == same_loss


@pytest.mark.usefixtures("op_by_op")
def test_another_number_of_rows_counts_from_the_next_fit_on():
    flow = real_nvp()
    model = estimator(flow)
    for rows in (ROWS, ROWS[:10]):
        model.fit(rows, batch_size=40, verbose=0)
        model.optimizer.learning_rate = 0.0
        weights = [s.conditioner.trainable_variables[0] for s in flow.bijectors[1:-1]]
        squares = sum(float(np.sum(w.numpy() ** 2)) for w in weights)
        expected = squares * 3 / len(rows) / 2
        np.testing.assert_allclose(model._penalty(tf.float32), expected, rtol=1e-5)


@pytest.mark.parametrize(
    "distribution",
    [
        lambda: tff.MixtureMADE(3, 2, seed=0),
        lambda: tff.FlowDistribution(tff.standard_normal(3), tff.Standardize(3)),
        lambda: tff.FlowDistribution(tff.standard_normal(3), tff.MAF(3, standardize=False)),
    ],
    ids=["mixture", "no network", "not standardised"],
)
def test_what_has_no_networks_in_steps_or_other_units_has_no_prior(distribution):
    model = tff.DensityEstimator(distribution())
    model.initialize(ROWS)
    assert model._penalty(tf.float32).numpy() == 0.0


def test_the_choice_is_saved(tmp_path):
    model = estimator(real_nvp(), weight_prior=False)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.get_config()["weight_prior"] is False


def step(strength=0.01):
    regularizer = keras.regularizers.L2(strength)
    first = keras.layers.Dense(4, "tanh", kernel_regularizer=regularizer)
    last = keras.layers.Dense(2, bias_regularizer="l1")
    network = tff.Conditioner(keras.Sequential([first, last]), 1)
    return tff.Coupling(tff.masks.half(2), network)


@pytest.mark.usefixtures("op_by_op")
def test_losses_are_listed_and_count_in_training(banana):
    flow = tff.FlowChain([step(), step()])
    model = from_flow(flow, optimizer=keras.optimizers.SGD(0.0))
    assert len(model.losses) == 4
    kernels = [w for w in model.trainable_weights if w.regularizer and len(w.shape) == 2]
    expected = sum(0.01 * np.sum(kernel.numpy() ** 2) for kernel in kernels)
    penalty = float(sum(model.losses))
    assert penalty == pytest.approx(expected, rel=1e-5)
    data = {"validation_data": (banana,), "batch_size": 256}
    history = model.fit(banana, **data, verbose=0).history
    nll = -np.mean(model.distribution.log_prob(banana))
    assert history["loss"][0] == pytest.approx(nll + penalty, abs=1e-4)
    assert history["val_loss"][0] == pytest.approx(nll, abs=1e-4)
    assert model.evaluate(banana, verbose=0) == pytest.approx(nll, abs=1e-4)


@pytest.mark.usefixtures("op_by_op")
def test_those_of_a_vae_count_too():
    posterior = tff.posteriors.DiagonalGaussian(small_vae.LATENT_SIZE)
    encoder = keras.layers.Dense(
        posterior.num_parameters, kernel_regularizer=keras.regularizers.L2(1.0)
    )
    decoder = tff.MLP(small_vae.EVENT_SIZE, (4,))
    likelihood = tff.likelihoods.Bernoulli(small_vae.EVENT_SIZE)
    model = tff.VAE(encoder, posterior, decoder, likelihood)
    model.compile(keras.optimizers.SGD(0.0), jit_compile=False)
    x = small_vae.rows(model)
    penalty = float(sum(model.losses))
    history = model.fit(x, batch_size=len(x), verbose=0).history
    assert history["loss"][0] == pytest.approx(penalty - history["elbo"][0], rel=1e-4)
    assert model.evaluate(x, return_dict=True, verbose=0)["loss"] < history["loss"][0]
