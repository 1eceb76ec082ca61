"""Regularisers of networks in conditioners count in training, and only there."""

import keras
import numpy as np
import pytest
import small_vae

import tfp_flows as tff

pytestmark = pytest.mark.usefixtures("op_by_op")


def step(strength=0.01):
    network = keras.Sequential(
        [
            keras.layers.Dense(
                4, "tanh", kernel_regularizer=keras.regularizers.L2(strength)
            ),
            keras.layers.Dense(2, bias_regularizer="l1"),
        ]
    )
    return tff.Coupling(tff.masks.half(2), tff.Conditioner(network, 1))


def model_of(*steps):
    flow = tff.FlowChain(list(steps))
    model = tff.DensityEstimator(tff.FlowDistribution(tff.standard_normal(2), flow))
    model.compile(keras.optimizers.SGD(0.0), jit_compile=False)
    return model


def test_losses_are_listed_and_count_in_training(banana):
    model = model_of(step(), step())
    assert len(model.losses) == 4
    kernels = [w for w in model.trainable_weights if w.regularizer and len(w.shape) == 2]
    expected = sum(0.01 * np.sum(kernel.numpy() ** 2) for kernel in kernels)
    penalty = float(sum(model.losses))
    assert penalty == pytest.approx(expected, rel=1e-5)
    history = model.fit(banana, validation_data=(banana,), verbose=0).history
    nll = -np.mean(model.distribution.log_prob(banana))
    assert history["loss"][0] == pytest.approx(nll + penalty, abs=1e-4)
    assert history["val_loss"][0] == pytest.approx(nll, abs=1e-4)
    assert model.evaluate(banana, verbose=0) == pytest.approx(nll, abs=1e-4)


def test_they_move_the_weights(banana):
    norms = []
    for strength in (0.0, 10.0):
        keras.utils.set_random_seed(0)
        model = model_of(step(strength))
        model.compile(keras.optimizers.SGD(0.01), jit_compile=False)
        model.fit(banana, epochs=2, verbose=0)
        norms.append(np.linalg.norm(model.trainable_weights[0]))
    assert norms[1] < 0.1 * norms[0]


def test_a_saved_model_has_them(banana, tmp_path):
    model = model_of(step())
    model.fit(banana, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(sum(loaded.losses), sum(model.losses), rtol=1e-6)


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
