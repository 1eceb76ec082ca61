"""`VAE`: training, evaluation, what it refuses, and how often it calls its networks."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import small_vae
import tensorflow as tf
from small_vae import LATENT_SIZE
from small_vae import MODELS

import tfp_flows as tff
from tfp_flows.bijectors.autoregression import Autoregression


@pytest.fixture(scope="module")
def models():
    """Every model after an epoch, built when it is first asked for."""

    class Models(dict):
        def __missing__(self, name):
            return self.setdefault(name, small_vae.trained(name))

    return Models()


@pytest.mark.parametrize("name", MODELS)
def test_weights_are_those_of_all_parts_and_all_learn(name):
    model = MODELS[name]()
    parts = (model.encoder, model.decoder, model.posterior, model.prior)
    count = sum(len(part.trainable_variables) for part in parts)
    assert len(model.trainable_weights) == count
    before = model.get_weights()
    model.compile(keras.optimizers.Adam(1e-2), jit_compile=False)
    history = small_vae.fit(model, 15)
    assert history["elbo"][-1] > history["elbo"][0] + 0.5
    trainable = {id(weight) for weight in model.trainable_weights}
    for weight, old in zip(model.weights, before, strict=True):
        if id(weight) in trainable:
            assert np.any(weight.numpy() != old), weight.path


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


@pytest.mark.parametrize("name", MODELS)
def test_log_likelihood_is_above_the_bound(name, models):
    model = models[name]
    x = small_vae.rows(model, 10)
    elbo = model.elbo(x, num_samples=500).elbo
    log_likelihood = model.log_likelihood(x, 500)
    assert log_likelihood.shape == (10,)
    assert np.all(log_likelihood > elbo - 1e-3)
    assert np.all(log_likelihood <= 0.0)  # of probabilities


def test_probabilities_of_all_rows_sum_to_one():
    likelihood = tff.likelihoods.Bernoulli(4)
    model = small_vae.dense(small_vae.iaf_posterior(), likelihood=likelihood)
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

    monkeypatch.setattr(Autoregression, "sequential", refuse)
    calls = []
    parallel = Autoregression.parallel
    monkeypatch.setattr(
        Autoregression, "parallel", lambda *a: (calls.append(1), parallel(*a))[1]
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
    assert len(calls) == 2 + 2  # steps of the posterior, and of the prior


def test_importance_sampling_encodes_once_and_draws_in_one_pass(counted):
    model, calls = counted
    x = small_vae.rows(model, 8)
    model.encoder.count = model.decoder.count = 0
    assert np.isfinite(model.log_likelihood(x, 2000, batch_size=100)).all()
    # A first chunk, the body of the loop over the others, and the rest.
    assert (model.encoder.count, model.decoder.count) == (1, 3)
    assert len(calls) == 3 * (2 + 2)


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
def saved(tmp_path_factory, models):
    folder = tmp_path_factory.mktemp("saved")
    for name in MODELS:
        models[name].save(folder / f"{name}.keras")
    run = subprocess.run(
        [sys.executable, small_vae.__file__, str(folder)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    return folder, run


@pytest.mark.parametrize("name", MODELS)
def test_fresh_process_gives_equal_bounds_and_draws(saved, models, name):
    folder, run = saved
    assert (folder / f"{name}.loaded.npz").exists(), run.stderr[-3000:]
    loaded = np.load(folder / f"{name}.loaded.npz")
    for key, value in small_vae.answers(models[name]).items():
        np.testing.assert_array_equal(loaded[key], value, err_msg=key)


@pytest.mark.parametrize("name", ["full", "iaf_maf_prior", "conv"])
def test_training_continues_as_if_uninterrupted(name, tmp_path):
    uninterrupted = small_vae.trained(name)
    uninterrupted.save(tmp_path / "model.keras")
    resumed = keras.saving.load_model(tmp_path / "model.keras")
    losses = [small_vae.fit(model, 2)["loss"] for model in (uninterrupted, resumed)]
    np.testing.assert_array_equal(*losses)
    for a, b in zip(uninterrupted.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("method", ["fit", "evaluate", "elbo", "log_likelihood", "encode"])
def test_rows_of_another_shape_or_range_are_refused(method, models):
    model = models["iaf"]
    call = getattr(model, method)
    with pytest.raises(ValueError, match=r"`x` of shape \[N, 12\]; got \(3, 11\)"):
        call(np.zeros((3, 11), np.float32))
    with pytest.raises(ValueError, match="zeros and ones.*from 0.0 to 1.5"):
        call(np.array([[0.0] * 11 + [1.5]], np.float32))


def test_first_batch_of_a_dataset_is_checked(models):
    rows = tf.data.Dataset.from_tensor_slices(np.full((4, 12), 0.5, np.float32)).batch(2)
    with pytest.raises(ValueError, match="zeros and ones"):
        models["iaf"].fit(rows, verbose=0)


def test_no_rows_and_targets_are_refused(models):
    with pytest.raises(ValueError, match="at least one row"):
        models["gaussian"].elbo(np.zeros((0, 12), np.float32))
    x = small_vae.rows(models["gaussian"])
    with pytest.raises(ValueError, match="no targets"):
        models["gaussian"].fit(x, x)


def build(**changes):
    posterior = changes.pop("posterior", tff.posteriors.DiagonalGaussian(LATENT_SIZE))
    parts = {
        "encoder": tff.MLP(posterior.num_parameters, (4,)),
        "decoder": tff.MLP(12, (4,)),
        "likelihood": tff.likelihoods.Bernoulli(12),
    }
    return tff.VAE(posterior=posterior, **{**parts, **changes})


WEIGHTED = tff.objectives.importance_weighted_bound
BAD_PARTS = {
    "encoder": (lambda: {"encoder": tff.MLP(5, (4,))}, "`encoder` with 6 outputs.*(5,)"),
    "decoder": (lambda: {"decoder": tff.MLP(5, (4,))}, "`decoder` with 12 outputs.*(5,)"),
    "prior": (
        lambda: {"prior": tff.standard_normal(2)},
        r"`prior` of event shape \[3\]; got \(2,\)",
    ),
    "num_samples": (lambda: {"num_samples": 0}, "`num_samples` of at least 1; got 0"),
    "free_bits": (lambda: {"free_bits": -1.0}, "`free_bits` of at least 0; got -1.0"),
    "free bits of another bound": (
        lambda: {"free_bits": 0.1, "bound": WEIGHTED},
        "objectives.elbo with `free_bits`",
    ),
    "landing of another bound": (
        lambda: {"sticking_the_landing": True, "bound": WEIGHTED},
        "objectives.elbo with",
    ),
    "landing of an IAF": (
        lambda: {"sticking_the_landing": True, "posterior": small_vae.iaf_posterior()},
        "scores a given point in one pass.*one variable after another",
    ),
}


@pytest.mark.parametrize("name", BAD_PARTS)
def test_parts_that_do_not_fit_are_refused(name):
    changes, message = BAD_PARTS[name]
    with pytest.raises(ValueError, match=message):
        build(**changes())


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
    model = build()
    model.compile(keras.optimizers.SGD(1e30), jit_compile=False)
    model.fit(small_vae.rows(model, 64), epochs=4, batch_size=16, verbose=0)
    assert "not finite" in capsys.readouterr().out
    assert all(np.isfinite(weight).all() for weight in model.get_weights())
