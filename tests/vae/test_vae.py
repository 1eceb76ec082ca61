"""`VAE`: training, evaluation, what it refuses, and how often it calls its networks."""

import fresh_process
import keras
import numpy as np
import pytest
import small_vae
import tensorflow as tf
from slow_cases import asked
from slow_cases import with_slow
from small_vae import MODELS

import tfp_flows as tff

# In one process, since they share their models.
pytestmark = pytest.mark.xdist_group("vae")

# Of each part, every kind there is.
SAVED = ("full", "iaf_maf_prior", "real_nvp_prior", "importance_weighted", "conv")
SAVED = with_slow(SAVED, {"full", "real_nvp_prior", "importance_weighted"})


@pytest.mark.slow_ids("full", "logistic", "real_nvp_prior")
@pytest.mark.parametrize("name", MODELS)
def test_weights_are_those_of_all_parts_and_all_learn(name, models):
    model = models[name]
    parts = (model.encoder, model.decoder, model.posterior, model.prior)
    count = sum(len(part.trainable_variables) for part in parts)
    assert len(model.trainable_weights) == count
    bounds = model.history.history["elbo"]
    assert bounds[-1] > bounds[0] + 0.5
    trainable = {id(weight) for weight in model.trainable_weights}
    for weight, old in zip(model.weights, MODELS[name]().get_weights(), strict=True):
        if id(weight) in trainable:
            assert np.any(weight.numpy() != old), weight.path


@pytest.mark.slow
def test_dataset_and_several_steps_an_execution_train_alike():
    losses = []
    for as_dataset, steps, jit_compile in ((0, 1, False), (1, 3, False), (1, 2, True)):
        model = MODELS["iaf"]()
        model.compile("adam", steps_per_execution=steps, jit_compile=jit_compile)
        x = small_vae.rows(model, 48)
        if as_dataset:
            x, options = tf.data.Dataset.from_tensor_slices(x).batch(16), {}
        else:
            options = {"batch_size": 16, "shuffle": False}
        losses.append(model.fit(x, epochs=2, verbose=0, **options).history["loss"])
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)
    np.testing.assert_allclose(losses[2], losses[0], rtol=1e-4)


class Counted(tff.MLP):
    """Counts how often it is called: once a trace, so once a body of a loop."""

    count = 0

    def call(self, inputs):
        self.count += 1
        return super().call(inputs)


@pytest.fixture
def counted(monkeypatch):
    def refuse(*arguments):
        raise AssertionError("went through the variables one after another")

    calls = []
    for step in (tff.MaskedAutoregressive, tff.InverseAutoregressive):
        parallel = step._parallel
        monkeypatch.setattr(step, "_sequential", refuse)
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


@pytest.fixture(scope="module")
def saved(tmp_path_factory, models, request):
    folder = tmp_path_factory.mktemp("saved")
    for name in asked(request, "name", SAVED):
        models[name].save(folder / f"{name}.keras")
    fresh_process.run(small_vae.load_all, folder, output=folder / "output.txt")
    return folder


@pytest.mark.parametrize("name", SAVED)
def test_fresh_process_gives_equal_bounds_and_draws(saved, models, name):
    loaded = np.load(saved / f"{name}.loaded.npz")
    for key, value in small_vae.answers(models[name]).items():
        np.testing.assert_array_equal(loaded[key], value, err_msg=key)


@pytest.mark.slow_ids("full", "iaf_maf_prior")
@pytest.mark.parametrize("name", ["gaussian", "full", "iaf_maf_prior"])
def test_training_continues_as_if_uninterrupted(name, tmp_path):
    uninterrupted = small_vae.trained(name, epochs=1)
    uninterrupted.save(tmp_path / "model.keras")
    resumed = keras.saving.load_model(tmp_path / "model.keras")
    losses = [small_vae.fit(model, 2)["loss"] for model in (uninterrupted, resumed)]
    np.testing.assert_array_equal(*losses)
    for a, b in zip(uninterrupted.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_one_dtype_from_end_to_end():
    posterior = tff.posteriors.DiagonalGaussian(2, dtype=tf.float64)
    model = tff.VAE(
        tff.MLP(4, (3,), dtype="float64"),
        posterior,
        tff.MLP(5, (3,), dtype="float64"),
        tff.likelihoods.Bernoulli(5),
    )
    model.compile("adam", jit_compile=False)
    x = np.ones((6, 5))
    model.fit(x, verbose=0)
    assert model.elbo(x).elbo.dtype == model.sample(2).numpy().dtype == np.float64


def test_training_stops_with_usable_weights_when_the_loss_is_not_finite(capsys):
    model = MODELS["gaussian"]()
    model.compile(keras.optimizers.SGD(1e30), jit_compile=False)
    model.fit(small_vae.rows(model, 64), epochs=4, batch_size=16, verbose=0)
    assert "not finite" in capsys.readouterr().out
    assert all(np.isfinite(weight).all() for weight in model.get_weights())
