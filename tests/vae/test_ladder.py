"""`LadderVAE`: its passes agree, its layers are the model's, and what it refuses."""

import numpy as np
import pytest
import small_vae
import tensorflow as tf
from random_weights import randomize

import tfp_flows as tff
from tfp_flows.vae import LadderVAE

IMAGE_SHAPE = small_vae.IMAGE_SHAPE


def randomized(**options):
    model = small_vae.ladder(**options)
    randomize(model.posterior)
    for weight in model.trainable_weights:
        weight.assign_add(tf.random.stateless_normal(weight.shape, [0, 1], stddev=0.1))
    return model


@pytest.mark.parametrize("options", [{}, {"flow_channels": ()}, {"num_blocks": 2}])
@pytest.mark.parametrize("patch_size", [1, 2])
def test_one_pass_gives_what_posterior_prior_and_decoder_give_alone(options, patch_size):
    model = randomized(patch_size=patch_size, **options)
    x = small_vae.rows(model, 5)
    parameters = model._encode(x)
    drawn = model.posterior.draw(parameters, 3, seed=0)
    log_q = tf.reduce_sum(drawn.log_q, axis=-1)
    log_p = tf.reduce_sum(drawn.log_p, axis=-1)
    np.testing.assert_allclose(model.posterior.log_prob(drawn.z, parameters), log_q, 1e-3)
    np.testing.assert_allclose(model.prior.log_prob(drawn.z), log_p, rtol=1e-4)
    np.testing.assert_allclose(model._decode(drawn.z), drawn.images, atol=1e-4)
    z, _ = model.posterior.sample_and_log_prob(parameters, 3, seed=0)
    np.testing.assert_array_equal(z, drawn.z)


def test_lower_layers_depend_on_upper_ones_and_not_the_other_way():
    model = randomized(flow_channels=())
    (top, *_), latents = model.decoder.latent_shapes, tf.zeros([1, model.latent_size])
    count = int(np.prod(top))
    received = []

    def prior_means(z):
        maps = model.decoder.split(z)
        received.clear()
        model.decoder.from_top(1, lambda i, given: (received.append(given), maps[i])[1])
        return received[0].mean, received[1].mean

    with tf.GradientTape(persistent=True) as tape:
        tape.watch(latents)
        first, second = prior_means(latents)
    assert tape.gradient(first, latents) is None
    by_latents = tape.gradient(second, latents).numpy()[0]
    assert np.all(by_latents[:count] != 0.0)
    assert np.all(by_latents[count:] == 0.0)


def test_draws_of_the_prior_have_its_density():
    model = randomized(flow_channels=(), latent_channels=1)
    z = model.prior.sample(4000, seed=0)
    assert z.shape == (4000, model.latent_size)
    # E[-log p] of independent normals: log scale + (1 + log 2 pi) / 2 of each entry.
    scales = []

    def choose(layer, top):
        scales.append(tff.vae.posteriors.positive(top.s))
        return model.decoder.split(z)[layer]

    model.decoder.from_top(4000, choose)
    logs = sum(np.log(s).reshape(4000, -1).sum(axis=1) for s in scales)
    entropy = logs + model.latent_size * (1.0 + np.log(2.0 * np.pi)) / 2.0
    found = -model.prior.log_prob(z).numpy()
    assert np.mean(found) == pytest.approx(np.mean(entropy), abs=4 * np.std(found) / 63)


def test_likelihood_by_importance_sampling_is_that_of_many_draws_of_the_prior():
    model = randomized()
    x = small_vae.rows(model, 4)
    z = model.prior.sample(200_000, seed=0)
    outputs = model._decode(z)
    log_p = [model.likelihood.log_prob(row, outputs) for row in x]
    expected = tff.objectives.importance_weighted_bound(tf.stack(log_p, axis=-1))
    np.testing.assert_allclose(model.log_likelihood(x, 5000), expected, atol=0.1)


def test_free_bits_are_counted_for_each_layer():
    plain, generous = (small_vae.ladder(free_bits=nats) for nats in (0.0, 100.0))
    assert plain._group_sizes == [1 * 1 * 1, 2 * 2 * 1][-2:] == [1, 4]
    x = small_vae.rows(plain, 8)
    for model, expected in ((plain, None), (generous, 500.0)):
        model.compile("sgd", run_eagerly=True)
        summands, _ = model._summands((x, None, None), training=True)
        cost = float(summands["loss"] + summands["reconstruction"])
        expected = float(summands["kl"]) if expected is None else expected
        assert cost == pytest.approx(expected, rel=1e-4)


def test_many_draws_are_taken_in_parts(monkeypatch):
    model = small_vae.ladder()
    x = small_vae.rows(model, 3)
    assert model.encode(x, (5, 2)).shape == (5, 2, 3, model.latent_size)
    monkeypatch.setattr(tff.vae.ladder, "_AT_ONCE", 6)
    z = model.encode(x, (5, 2)).numpy()
    assert z.shape == (5, 2, 3, model.latent_size)
    assert len(np.unique(z[..., 0])) == 30


@pytest.mark.parametrize("image_shape", [(1, 1, 3), (5, 7, 3), (8, 8, 1)])
def test_images_of_any_shape(image_shape):
    likelihood = tff.likelihoods.Gaussian(image_shape)
    model = LadderVAE(image_shape, likelihood, channels=(2, 2, 2), flow_channels=(2,))
    x = np.random.default_rng(0).normal(size=(2, *image_shape)).astype(np.float32)
    assert model.elbo(x).elbo.shape == (2,)
    assert model.reconstruct(x).shape == model.sample(2).shape == (2, *image_shape)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"latent_channels": 0}, "`latent_channels` of at least 1"),
        ({"context_channels": 0}, "`context_channels` of at least 1"),
        ({"num_blocks": 0}, "`num_blocks` of at least 1"),
        ({"flow_channels": (0,)}, "flow_channels"),
        ({"channels": ()}, "at least one width in `channels`"),
        ({"free_bits": -1.0}, "`free_bits` of at least 0"),
        ({"likelihood": tff.likelihoods.Bernoulli(5)}, "a `likelihood` of 12 entries"),
        ({"sticking_the_landing": True}, r"options of a `LadderVAE`; got \['sticking"),
        ({"likelihood": "bernoulli"}, "one of `tfp_flows.likelihoods`"),
    ],
)
def test_refused_arguments(options, match):
    likelihood = options.pop("likelihood", tff.likelihoods.Bernoulli(12))
    with pytest.raises(ValueError, match=match):
        LadderVAE(IMAGE_SHAPE, likelihood, **options)
