"""Bounds and gradients against a linear-Gaussian model with known evidence."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows as tff
from tfp_flows import objectives
from tfp_flows.distributions.draws import fold_in

tfd = tfp.distributions

LATENT_SIZE, EVENT_SIZE, NOISE = 2, 5, 0.7


class LinearGaussian:
    """`x = W z + b + NOISE * e`, with the VAE of this model at its true posterior.

    Attributes:
      model: the `VAE`, float64.
      x: `[N, 5]`, rows drawn from it.
      evidence: `[N]`, log p(x).
    """

    def __init__(self, num_rows=4, **options):
        rng = np.random.default_rng(0)
        self.weights = rng.normal(size=(LATENT_SIZE, EVENT_SIZE))
        self.bias = rng.normal(size=EVENT_SIZE)
        covariance = self.weights.T @ self.weights + NOISE**2 * np.eye(EVENT_SIZE)
        marginal = tfd.MultivariateNormalTriL(self.bias, np.linalg.cholesky(covariance))
        self.x = marginal.sample(num_rows, seed=(0, 1)).numpy()
        self.evidence = marginal.log_prob(self.x).numpy()
        posterior = tff.posteriors.FullGaussian(LATENT_SIZE, dtype=tf.float64)
        self.model = tff.VAE(
            _dense(*self._encoder_weights()),
            posterior,
            _dense(*self._decoder_weights()),
            tff.likelihoods.Gaussian(EVENT_SIZE, min_scale=0.0),
            **options,
        )

    def move_posterior(self, amount=0.12):
        """Moves the encoder's posterior away from the true one."""
        rng = np.random.default_rng(1)
        for weight in self.model.encoder.trainable_weights:
            weight.assign_add(amount * rng.normal(size=weight.shape))
        return self

    def log_weights(self, num_samples, seed):
        """Log-weights of the rows, `[K, N]`."""
        parameters = self.model.encoder(self.x)
        seed = tf.constant([seed, 7])
        terms = self.model._terms(parameters, self.x, num_samples, seed)
        return terms.log_weights

    def true_elbo(self):
        """`evidence - KL(q || true posterior)`, `[N]`, differentiable by the encoder."""
        parameters = self.model.encoder(self.x)
        mean, scale, _ = self.model.posterior._split(parameters)
        q = tfd.MultivariateNormalTriL(mean, scale)
        mean, covariance = self._true_posterior()
        p = tfd.MultivariateNormalTriL(mean, np.linalg.cholesky(covariance))
        return self.evidence - tfd.kl_divergence(q, p)

    def _true_posterior(self):
        precision = np.eye(LATENT_SIZE) + self.weights @ self.weights.T / NOISE**2
        covariance = np.linalg.inv(precision)
        return (self.x - self.bias) @ self.weights.T @ covariance / NOISE**2, covariance

    def _encoder_weights(self):
        _, covariance = self._true_posterior()
        kernel = self.weights.T @ covariance / NOISE**2
        scale = np.linalg.cholesky(covariance)
        scale[np.diag_indices(LATENT_SIZE)] = _inverse_softplus(np.diag(scale)) - np.log(
            np.e - 1.0
        )
        entries = tfp.math.fill_triangular_inverse(scale).numpy()
        bias = np.concatenate([-self.bias @ kernel, entries])
        return np.pad(kernel, [(0, 0), (0, len(entries))]), bias

    def _decoder_weights(self):
        scales = np.full(EVENT_SIZE, _inverse_softplus(NOISE))
        kernel = np.pad(self.weights, [(0, 0), (0, EVENT_SIZE)])
        return kernel, np.concatenate([self.bias, scales])


def _dense(kernel, bias):
    layer = keras.layers.Dense(len(bias), dtype="float64")
    layer.build((None, len(kernel)))
    layer.set_weights([kernel, bias])
    return layer


def _inverse_softplus(y):
    return np.log(np.expm1(y))


@pytest.fixture(scope="module")
def exact():
    return LinearGaussian()


@pytest.fixture(scope="module")
def moved():
    return LinearGaussian().move_posterior()


def mean_and_error(values):
    """Mean and its standard error over the first axis."""
    return values.mean(axis=0), values.std(axis=0, ddof=1) / np.sqrt(len(values))


def test_every_draw_is_the_evidence_at_the_true_posterior(exact):
    log_weights = exact.log_weights(50, seed=1)
    np.testing.assert_allclose(log_weights, np.tile(exact.evidence, (50, 1)), atol=1e-9)
    for bound in (objectives.elbo, objectives.importance_weighted_bound):
        np.testing.assert_allclose(bound(log_weights), exact.evidence, atol=1e-9)


def test_elbo_is_the_evidence_less_the_divergence(moved):
    mean, error = mean_and_error(moved.log_weights(200_000, seed=1).numpy())
    assert np.all(np.abs(mean - moved.true_elbo()) < 4.0 * error)
    assert np.all(moved.evidence - mean > 10.0 * error)


def test_bounds_rise_with_the_number_of_draws_to_the_evidence(moved):
    log_weights = moved.log_weights(120_000, seed=2)
    bounds = {}
    for count in (1, 4, 30, 1000):
        groups = tf.reshape(log_weights, [count, -1, len(moved.x)])
        values = objectives.importance_weighted_bound(groups).numpy()
        bounds[count], error = mean_and_error(values)
        assert np.all(bounds[count] < moved.evidence + 4.0 * error)
    assert np.all(np.diff(list(bounds.values()), axis=0) > 0.0)
    np.testing.assert_allclose(bounds[1], np.mean(log_weights, axis=0))
    assert np.all(moved.evidence - bounds[1000] < 0.1 * (moved.evidence - bounds[1]))


def test_log_likelihood_of_many_draws_is_the_evidence(moved):
    log_likelihood = moved.model.log_likelihood(moved.x, 50_000, batch_size=3)
    assert log_likelihood.dtype == moved.model.sample(2).numpy().dtype == np.float64
    np.testing.assert_allclose(log_likelihood, moved.evidence, atol=0.03)
    assert np.any(log_likelihood != moved.evidence)


@pytest.mark.parametrize(("num_samples", "at_once"), [(7, 7), (9, 3), (11, 4), (2, 5)])
def test_draws_in_turn_count_each_once(num_samples, at_once):
    def draw(count, seed):
        return tf.random.stateless_normal([count, 3], seed, dtype=tf.float64)

    found = objectives.importance_weighted_log_likelihood(
        draw, num_samples, at_once=at_once, seed=5
    )
    sizes = [min(at_once, num_samples - i) for i in range(0, num_samples, at_once)]
    draws = [draw(size, fold_in(5, i)) for i, size in enumerate(sizes)]
    expected = np.log(np.mean(np.exp(np.concatenate(draws)), axis=0))
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def encoder_gradient(subject, log_q_of, num_samples, seed):
    """The mean ELBO and its gradient by the encoder's bias, for a choice of log q."""
    posterior, bias = subject.model.posterior, subject.model.encoder.bias
    with tf.GradientTape() as tape:
        parameters = subject.model.encoder(subject.x)
        z, log_q = posterior.sample_and_log_prob(parameters, num_samples, seed)
        log_q = log_q_of(posterior, z, log_q, parameters)
        outputs = subject.model.decoder(tf.reshape(z, [-1, 2]))
        outputs = tf.reshape(outputs, [num_samples, len(subject.x), -1])
        log_joint = subject.model.likelihood.log_prob(subject.x, outputs)
        log_joint += subject.model.prior.log_prob(z)
        bound = tf.reduce_mean(objectives.elbo(log_joint - log_q))
    return bound, tape.gradient(bound, bias.value).numpy()


def total(posterior, z, log_q, parameters):
    return log_q


def path(posterior, z, log_q, parameters):
    fixed = tf.stop_gradient(parameters)
    return objectives.sticking_the_landing(lambda z: posterior.log_prob(z, fixed), z)


def test_path_gradient_has_no_variance_at_the_true_posterior(exact):
    values, gradients = zip(
        *[encoder_gradient(exact, log_q, 3, seed=1) for log_q in (total, path)], strict=True
    )
    np.testing.assert_allclose(*values, rtol=1e-12)
    assert np.abs(gradients[0]).max() > 0.1
    np.testing.assert_allclose(gradients[1], 0.0, atol=1e-9)


@pytest.mark.parametrize("log_q", [total, path])
def test_gradients_have_the_mean_of_the_true_gradient(log_q, moved):
    bias = moved.model.encoder.bias
    with tf.GradientTape() as tape:
        bound = tf.reduce_mean(moved.true_elbo())
    expected = tape.gradient(bound, bias.value).numpy()
    draws = [encoder_gradient(moved, log_q, 2000, seed=s)[1] for s in range(20)]
    mean, error = mean_and_error(np.array(draws))
    assert np.all(np.abs(mean - expected) < 4.5 * error)
    assert np.abs(expected).max() > 20.0 * error.max()


@pytest.mark.usefixtures("op_by_op")
def test_model_sticks_to_the_landing():
    losses = []
    for sticking in (False, True):
        subject = LinearGaussian(sticking_the_landing=sticking)
        before = subject.model.encoder.get_weights()
        subject.model.compile("sgd", jit_compile=False)
        subject.model.fit(subject.x, epochs=1, verbose=0)
        after = subject.model.encoder.get_weights()
        moves = max(np.abs(a - b).max() for a, b in zip(after, before, strict=True))
        losses.append(moves)
    assert losses[0] > 1e-4
    assert losses[1] < 1e-9


def test_free_bits_take_the_maximum_of_the_batch_mean_and_stop_its_gradient():
    kl = tf.constant([[0.1, 3.0, 0.5], [0.3, 1.0, 0.5]])
    with tf.GradientTape() as tape:
        tape.watch(kl)
        cost = objectives.free_bits(kl, 0.5)
    assert cost.numpy() == pytest.approx(0.5 + 2.0 + 0.5)
    gradient = tape.gradient(cost, kl).numpy()
    np.testing.assert_allclose(gradient[:, :2], [[0.0, 0.5], [0.0, 0.5]])
    assert objectives.free_bits(kl, 0.0).numpy() == pytest.approx(0.2 + 2.0 + 0.5)


@pytest.mark.usefixtures("op_by_op")
def test_model_with_free_bits_ignores_a_divergence_below_them():
    subject = LinearGaussian(free_bits=100.0)
    subject.model.compile("sgd", jit_compile=False)
    loss = subject.model.fit(subject.x, epochs=1, verbose=0).history
    # The divergence is replaced by 100 nats for each of the two latents.
    assert loss["loss"][0] == pytest.approx(200.0 - loss["reconstruction"][0])


class Weights(tff.vae.KLWarmUp):
    """Notes the weight of each epoch."""

    def on_train_begin(self, logs=None):
        self.seen = []

    def on_train_batch_begin(self, batch, logs=None):
        super().on_train_batch_begin(batch, logs)
        self.seen.append(float(self.model.kl_weight))


@pytest.mark.usefixtures("op_by_op")
def test_warm_up_rises_and_scales_the_divergence_in_training_alone():
    subject = LinearGaussian().move_posterior()
    subject.model.compile("sgd", jit_compile=False)
    subject.model.optimizer.learning_rate = 0.0
    warm_up = Weights(4)
    history = subject.model.fit(
        subject.x, validation_data=(subject.x,), epochs=6, verbose=0, callbacks=[warm_up]
    ).history
    np.testing.assert_allclose(warm_up.seen, [0.25, 0.5, 0.75, 1.0, 1.0, 1.0])
    weighted = warm_up.seen * np.array(history["kl"]) - history["reconstruction"]
    np.testing.assert_allclose(history["loss"], weighted, rtol=1e-6)
    np.testing.assert_allclose(history["val_loss"], np.negative(history["val_elbo"]))
    assert len(set(history["val_loss"])) == 1


@pytest.mark.usefixtures("op_by_op")
def test_weights_that_are_restored_or_saved_in_the_warm_up_have_the_whole_divergence(
    tmp_path,
):
    subject = LinearGaussian()
    subject.model.compile(keras.optimizers.SGD(-1e-3), jit_compile=False)  # it gets worse
    path = str(tmp_path / "vae.weights.h5")
    restore = keras.callbacks.EarlyStopping("val_loss", restore_best_weights=True)
    # It saves at the end of each batch, and is called before those that follow it.
    save = keras.callbacks.ModelCheckpoint(path, save_weights_only=True, save_freq=1)
    callbacks = [save, tff.vae.KLWarmUp(10), restore]
    data = {"validation_data": (subject.x,), "epochs": 5, "verbose": 0}
    subject.model.fit(subject.x, callbacks=callbacks, **data)
    assert float(subject.model.kl_weight) == 1.0
    subject.model.load_weights(path)
    assert float(subject.model.kl_weight) == 1.0


def test_log_weights_may_be_lists_of_integers():
    assert float(objectives.elbo([[1], [2]])[0]) == 1.5
    bound = objectives.importance_weighted_bound(np.array([[0], [0]]))
    assert float(bound[0]) == pytest.approx(0.0, abs=1e-6)
