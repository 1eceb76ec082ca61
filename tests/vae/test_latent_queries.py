"""What a `VAE` answers: metrics, bounds, likelihoods, draws, and their seeds."""

import numpy as np
import pytest
import small_vae
from small_vae import LATENT_SIZE
from small_vae import MODELS

import tfp_flows as tff

# In one process, since they share their models.
pytestmark = pytest.mark.xdist_group("vae")


@pytest.mark.slow_ids(
    "conv", "full", "gaussian", "iaf", "iaf_maf_prior", "logistic", "real_nvp_prior"
)
@pytest.mark.parametrize("name", MODELS)
def test_metrics_are_bound_reconstruction_and_divergence(name, models):
    model = models[name]
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


@pytest.mark.slow_ids(
    "conv", "full", "gaussian", "iaf", "iaf_maf_prior", "logistic", "real_nvp_prior"
)
@pytest.mark.parametrize("name", MODELS)
def test_log_likelihood_is_above_the_bound(name, models):
    model = models[name]
    x = small_vae.rows(model, 10)
    elbo = model.elbo(x, num_samples=300).elbo
    log_likelihood = model.log_likelihood(x, 500)
    assert log_likelihood.shape == (10,)
    assert np.all(log_likelihood > elbo - 1e-3)
    assert np.all(log_likelihood <= 0.0)  # of probabilities


def test_probabilities_of_all_rows_sum_to_one():
    likelihood = tff.likelihoods.Bernoulli(4)
    model = small_vae.dense(small_vae.iaf_posterior(), likelihood=likelihood)
    for weight in model.encoder.trainable_variables:  # a broad posterior, of even weights
        weight.assign(0.5 * weight)
    x = np.array(np.meshgrid(*[[0, 1]] * 4)).reshape(4, -1).T.astype(np.float32)
    total = np.exp(model.log_likelihood(x, 20_000)).sum()
    assert total == pytest.approx(1.0, abs=0.02)


def test_seeds_determine_every_number(models):
    model = models["iaf"]
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
    model = models["iaf"]
    x = np.repeat(small_vae.rows(model, 1), 6, axis=0)
    for batch_size in (2, 6):
        values = model.elbo(x, batch_size=batch_size).elbo
        assert len(np.unique(values)) == 6


def test_shapes_of_latents_and_rows(models):
    model = models["conv"]
    x = small_vae.rows(model, 5)
    assert model.encode(x).shape == (5, LATENT_SIZE)
    z = model.encode(x, (2, 3))
    assert z.shape == (2, 3, 5, LATENT_SIZE)
    assert model.decode(z).shape == (2, 3, 5, *small_vae.IMAGE_SHAPE)
    assert model.sample(4).shape == (4, *small_vae.IMAGE_SHAPE)
    assert set(np.unique(model.sample(50))) == {0.0, 1.0}
    np.testing.assert_allclose(model.predict(x, verbose=0), model(x), atol=1e-6)
    assert model.latent_size == LATENT_SIZE
