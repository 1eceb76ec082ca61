"""`VAE`: training, evaluation, answers, saving, and how often it calls its networks."""

import functools

import fresh_process
import keras
import numpy as np
import pytest
import small_vae
import tensorflow as tf
from small_vae import LATENT_SIZE, MODELS

import tfp_flows as tff
from tfp_flows.vae import posteriors

# Together, these have every kind of each part.
SAVED = ("full", "iaf_maf_prior", "real_nvp_prior", "importance_weighted", "conv", "ladder")


@pytest.fixture(scope="module")
def models():
    """Each small VAE after some epochs, trained when it is first asked for."""
    return functools.cache(small_vae.trained)


@pytest.mark.slow_ids(
    *("conv", "full", "gaussian", "iaf", "logistic", "real_nvp_prior"),
    "importance_weighted",
)
@pytest.mark.parametrize("name", MODELS)
def test_weights_are_those_of_all_parts_and_all_learn(name, models):
    model = models(name)
    parts = (model.encoder, model.decoder, model.posterior, model.prior)
    count = sum(len(part.trainable_variables) for part in parts)
    assert len(model.trainable_weights) == count
    bounds = model.history.history["elbo"]
    assert bounds[-1] > bounds[0] + 0.5
    trainable = {id(weight) for weight in model.trainable_weights}
    for weight, old in zip(model.weights, MODELS[name]().get_weights(), strict=True):
        if id(weight) in trainable:
            assert np.any(weight.numpy() != old), weight.path


@pytest.mark.slow_ids(
    "conv", "full", "gaussian", "iaf", "iaf_maf_prior", "logistic", "real_nvp_prior"
)
@pytest.mark.parametrize("name", MODELS)
def test_metrics_are_bound_reconstruction_and_divergence_below_the_likelihood(name, models):
    model = models(name)
    x = small_vae.rows(model, 40)
    found = model.evaluate(x, batch_size=40, verbose=0, return_dict=True)
    assert set(found) == {"loss", "elbo", "reconstruction", "kl"}
    assert found["elbo"] == pytest.approx(found["reconstruction"] - found["kl"], rel=1e-5)
    bound = model.elbo(x, num_samples=300)
    for key in ("elbo", "reconstruction", "kl"):
        values = getattr(bound, key)
        assert values.shape == (40,)
        assert found[key] == pytest.approx(values.mean(), abs=0.6)
    if name == "importance_weighted":
        assert -found["loss"] > found["elbo"]
    else:
        assert -found["loss"] == pytest.approx(found["elbo"], rel=1e-6)
    x = small_vae.rows(model, 10)
    log_likelihood = model.log_likelihood(x, 500)
    assert log_likelihood.shape == (10,)
    assert np.all(log_likelihood > model.elbo(x, num_samples=300).elbo - 1e-3)
    assert np.all(log_likelihood <= 0.0)  # of probabilities


class Counted(tff.MLP):
    """Counts how often it is called: once a trace, so once a body of a loop."""

    count = 0

    def call(self, inputs):
        self.count += 1
        return super().call(inputs)


@pytest.fixture
def counted(monkeypatch):
    calls = []
    for step in (tff.MaskedAutoregressive, tff.InverseAutoregressive):
        parallel = step._parallel
        monkeypatch.setattr(step, "_sequential", None)  # which is not called
        monkeypatch.setattr(
            step, "_parallel", lambda *a, f=parallel: (calls.append(1), f(*a))[1]
        )
    posterior = small_vae.iaf_posterior()
    model = tff.VAE(
        Counted(posterior.num_parameters, (4,), seed=0),
        posterior,
        Counted(12, (4,), seed=0),
        tff.likelihoods.Bernoulli(12),
        prior=small_vae.prior(tff.MAF, standardize=False),
    )
    model.compile("adam", jit_compile=False)
    return model, calls


def test_training_step_calls_each_network_once(counted):
    model, calls = counted
    model.optimizer.build(model.trainable_variables)
    x = small_vae.rows(model, 8)
    model.encoder.count = model.decoder.count = 0
    tf.function(model.train_step, autograph=False).get_concrete_function((x,))
    assert (model.encoder.count, model.decoder.count) == (1, 1)
    assert len(calls) == 1 + 1  # steps of the posterior, and of the prior


def test_importance_sampling_encodes_once_and_draws_in_one_pass(counted):
    model, calls = counted
    x = small_vae.rows(model, 8)
    model.encoder.count = model.decoder.count = 0
    assert np.isfinite(model.log_likelihood(x, 2000, batch_size=100)).all()
    # A first chunk, the body of the loop over the others, and the rest.
    assert (model.encoder.count, model.decoder.count) == (1, 3)
    assert len(calls) == 3 * (1 + 1)


@pytest.mark.usefixtures("op_by_op")
def test_prior_is_initialised_by_latents_of_training_rows():
    model = MODELS["real_nvp_prior"]()
    assert not model.prior.is_initialized
    model.compile("adam", jit_compile=False)
    model.optimizer.learning_rate = 0.0
    x = small_vae.rows(model, 200)
    model.fit(x, batch_size=50, verbose=0)
    assert model.prior.is_initialized
    z = model.encode(x, seed=model.seed)
    u, _ = model.prior.bijector.inverse_and_log_det(z)
    np.testing.assert_allclose(np.mean(u, axis=0), 0.0, atol=0.05)
    np.testing.assert_allclose(np.std(u, axis=0), 1.0, atol=0.05)


@pytest.mark.slow
def test_fresh_process_gives_equal_bounds_and_draws(models, tmp_path):
    for name in SAVED:
        models(name).save(tmp_path / f"{name}.keras")
    fresh_process.run(small_vae.load_all, tmp_path, output=tmp_path / "output.txt")
    for name in SAVED:
        loaded = np.load(tmp_path / f"{name}.loaded.npz")
        for key, value in small_vae.answers(models(name)).items():
            np.testing.assert_array_equal(loaded[key], value, err_msg=f"{name} {key}")


@pytest.mark.slow_ids("full", "iaf_maf_prior")
@pytest.mark.parametrize("name", ["gaussian", "full", "iaf_maf_prior"])
@pytest.mark.usefixtures("op_by_op")
def test_training_continues_as_if_uninterrupted(name, tmp_path):
    uninterrupted = small_vae.trained(name, epochs=1)
    uninterrupted.save(tmp_path / "model.keras")
    resumed = keras.saving.load_model(tmp_path / "model.keras")
    losses = [small_vae.fit(model, 2)["loss"] for model in (uninterrupted, resumed)]
    np.testing.assert_array_equal(*losses)
    for a, b in zip(uninterrupted.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_seeds_determine_every_number(models):
    model = models("importance_weighted")
    x = small_vae.rows(model, 9)
    for call in (
        lambda seed: model.elbo(x, seed=seed).elbo,
        lambda seed: model.log_likelihood(x, 5, seed=seed),
        lambda seed: model.encode(x, seed=seed).numpy(),
        lambda seed: model.reconstruct(x, seed=seed).numpy(),
        lambda seed: model.sample(9, seed=seed).numpy(),
    ):
        np.testing.assert_array_equal(call(1), call(1))
        assert np.any(call(1) != call(2))
    assert model.evaluate(x, verbose=0) == model.evaluate(x, verbose=0)


def test_rows_have_draws_of_their_own(models):
    model = models("importance_weighted")
    x = np.repeat(small_vae.rows(model, 1), 6, axis=0)
    for batch_size in (2, 6):
        values = model.elbo(x, batch_size=batch_size).elbo
        assert len(np.unique(values)) == 6


def test_draws_of_evaluate_do_not_depend_on_the_unit_of_weights(models):
    model = models("importance_weighted")
    x, weight = small_vae.rows(model, 6), np.arange(1.0, 7.0)
    losses = [
        model.evaluate(x, sample_weight=unit * weight, batch_size=1, verbose=0)
        for unit in (1.0, 2.0**-12)
    ]
    np.testing.assert_allclose(*losses, rtol=1e-5)


def test_shapes_of_latents_and_rows():
    model = MODELS["conv"]()
    x = small_vae.rows(model, 5)
    assert model.encode(x).shape == (5, LATENT_SIZE)
    z = model.encode(x, (2, 3))
    assert z.shape == (2, 3, 5, LATENT_SIZE)
    assert model.decode(z).shape == (2, 3, 5, *small_vae.IMAGE_SHAPE)
    assert model.sample(4).shape == (4, *small_vae.IMAGE_SHAPE)
    assert set(np.unique(model.sample(50))) == {0.0, 1.0}
    np.testing.assert_allclose(model.predict(x, verbose=0), model(x), atol=1e-6)
    assert model.latent_size == LATENT_SIZE


@pytest.mark.parametrize("name", ["gaussian", "ladder"])
def test_exported_model_reconstructs_rows(name, tmp_path):
    model = MODELS[name]()
    model.export(tmp_path / "exported", verbose=False)
    x = small_vae.rows(model, 5)
    served = tf.saved_model.load(tmp_path / "exported")
    np.testing.assert_allclose(served.serve(x), model(x), atol=1e-6)


@pytest.mark.usefixtures("op_by_op")
def test_rows_may_be_tensors_of_any_dtype():
    model = MODELS["gaussian"]()
    x = small_vae.rows(model, 3)
    for dtype in (tf.float64, tf.uint8, tf.bool):
        rows = tf.cast(x, dtype)
        np.testing.assert_array_equal(model.encode(rows), model.encode(x))
        np.testing.assert_array_equal(model.reconstruct(rows), model.reconstruct(x))


@pytest.mark.usefixtures("op_by_op")
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "float64"])
def test_networks_may_compute_in_another_dtype(policy):
    x = np.eye(8, dtype=np.float32)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        layers = [keras.layers.Dense(width) for width in (4, 8)]
    finally:
        keras.config.set_dtype_policy(before)
    parts = posteriors.DiagonalGaussian(2), layers[1], tff.likelihoods.Bernoulli(8)
    model = tff.VAE(layers[0], *parts)
    model.compile("adam", jit_compile=False)
    assert np.isfinite(model.fit(x, verbose=0).history["loss"]).all()
    assert model.elbo(x).elbo.dtype == model.sample(3).dtype == np.float32
    assert model.predict(x, verbose=0).dtype == np.float32


def compiled(name):
    model = MODELS[name]()
    model.compile("sgd", run_eagerly=True)
    return model


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
    model = compiled(name)
    x = small_vae.rows(model, 20)
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
