"""Likelihoods that are learned: sums over trials, structures, posteriors, refusals."""

import warnings

import numpy as np
import pytest
import tensorflow as tf
from derivatives import op_by_op
from short_fits import trained_for
from tensorflow_probability import distributions as tfd

import tfp_flows
from tfp_flows.inference import NeuralLikelihood, fit_neural_likelihood
from tfp_flows.inference.amortized import neural_likelihood
from tfp_flows.inference.parts import call_with_parts
from tfp_flows.inference.support import JointSupport

PRIOR = tfd.JointDistributionNamed(
    {"mean": tfd.Normal(0.0, 1.0), "scale": tfd.LogNormal(-1.0, 0.3)}
)
TRIALS = np.random.default_rng(3).normal(0.8, 0.4, size=(40, 1))


def simulate(mean, scale, seed):
    return np.random.default_rng(seed).normal(mean, scale)[:, None]


@pytest.fixture(scope="module")
def trained():
    """A likelihood that is near to that of the model."""
    with trained_for(20, flow={"hidden_units": (16,), "num_steps": 1}):
        return fit_neural_likelihood(PRIOR, simulator=simulate, num_simulations=1_500)


@pytest.fixture(scope="module")
def likelihood():
    """One of a few steps."""
    flow, steps = {"hidden_units": (16,), "num_steps": 1}, {"steps_per_epoch": 4}
    with op_by_op(), trained_for(2, flow=flow, steps=steps):
        return fit_neural_likelihood(PRIOR, simulator=simulate, num_simulations=1_500)


@pytest.mark.slow
def test_log_densities_are_near_the_exact_ones(trained):
    theta = {
        "mean": np.array([0.8, -0.5], np.float32),
        "scale": np.full(2, 0.4, np.float32),
    }
    found = trained.log_prob(TRIALS, theta).numpy()
    exact = [tfd.Normal(m, 0.4).log_prob(TRIALS).numpy().sum() for m in (0.8, -0.5)]
    # A fifth of a nat for each of the 40 trials: the fit is short.
    assert found[0] == pytest.approx(exact[0], abs=8.0)
    assert found[0] - found[1] == pytest.approx(exact[0] - exact[1], rel=0.3)
    assert trained.report.verdict in ("good", "no better than a Gaussian")


@pytest.mark.usefixtures("op_by_op")
def test_log_densities_of_trials_are_added(likelihood):
    theta = {
        "mean": np.array([0.8, -0.5], np.float32),
        "scale": np.full(2, 0.4, np.float32),
    }
    found = likelihood.log_prob(TRIALS, theta).numpy()
    parts = [likelihood.log_prob(x, theta) for x in np.split(TRIALS, [1, 3])]
    one = likelihood.log_prob(TRIALS[0], theta)
    np.testing.assert_allclose(one, parts[0], rtol=1e-5)
    np.testing.assert_allclose(found, np.sum(parts, axis=0), rtol=1e-4)
    assert found[0] > found[1]  # the trials have the first parameters
    target = likelihood.target_log_prob_fn(TRIALS)(**theta)
    expected = found + PRIOR.log_prob(theta)
    np.testing.assert_allclose(target, expected, rtol=1e-5)
    whole = [likelihood.log_prob(TRIALS, {"mean": x, "scale": x}) for x in (1, 1.0)]
    np.testing.assert_array_equal(*whole)
    lists = {name: part.tolist() for name, part in theta.items()}
    np.testing.assert_array_equal(likelihood.log_prob(TRIALS, lists), found)
    with pytest.raises(ValueError, match=r"`theta` of the parts .*; got \['mean'\]"):
        likelihood.log_prob(TRIALS, {"mean": 0.8})


@pytest.mark.usefixtures("op_by_op")
def test_priors_of_all_structures(likelihood):
    @tfd.JointDistributionCoroutine
    def coroutine():
        root = tfd.JointDistributionCoroutine.Root
        yield root(tfd.Normal(0.0, 1.0, name="mean"))
        yield root(tfd.LogNormal(-1.0, 0.3, name="scale"))

    parts = [np.array([0.8], np.float32), np.array([0.4], np.float32)]
    expected = likelihood.target_log_prob_fn(TRIALS)(mean=parts[0], scale=parts[1])
    listed = tfd.JointDistributionSequential(
        [tfd.Normal(0.0, 1.0), tfd.LogNormal(-1.0, 0.3)]
    )
    for prior in (coroutine, listed):
        support = JointSupport.from_distribution(prior)
        parts_of_own = likelihood.density, prior, support, likelihood._form
        own = NeuralLikelihood(*parts_of_own, likelihood.report)
        theta = tf.nest.pack_sequence_as(prior.dtype, parts)
        found = call_with_parts(own.target_log_prob_fn(TRIALS), theta)
        # The parts of the dictionary are in the same order.
        np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("words", "options"),
    [
        ("one of `simulator` and `pairs`; got neither", {}),
        ("a tuple of parameters and data", {"pairs": [1, 2]}),
        ("finite simulations", {"pairs": (tf.zeros([50, 1]), np.zeros([50, 1]))}),
    ],
)
def test_bad_calls_are_refused(words, options):
    prior = tfd.Sample(tfd.Normal(0.0, 1.0), 1)
    with pytest.raises(ValueError, match=words):
        fit_neural_likelihood(prior, **options)


def test_swapped_pairs_are_refused():
    theta = {"mean": np.zeros(200, np.float32), "scale": np.ones(200, np.float32)}
    with pytest.raises(ValueError, match="`theta` of the parts .*; got ndarray"):
        fit_neural_likelihood(PRIOR, pairs=(np.zeros([200, 1]), theta))


def test_parameters_outside_the_support_have_no_density(likelihood):
    theta = {"mean": np.zeros(3, np.float32), "scale": np.float32([0.4, -0.4, np.nan])}
    target = tf.function(likelihood.target_log_prob_fn(TRIALS))(**theta)
    assert np.isfinite(target[0])
    np.testing.assert_array_equal(target[1:], [-np.inf, np.nan])
    log_prob = likelihood.log_prob(TRIALS, theta)
    assert np.isfinite(log_prob[0])
    np.testing.assert_array_equal(log_prob[1:], [-np.inf, np.nan])


def test_more_trials_than_the_errors_allow_are_warned_about(likelihood, monkeypatch):
    monkeypatch.setattr(neural_likelihood, "fit_posterior", lambda *_, **__: None)
    monkeypatch.setattr(likelihood, "most_trials", len(TRIALS) - 1)
    with pytest.warns(UserWarning, match=f"at most {len(TRIALS) - 1} trials; got"):
        likelihood.posterior(TRIALS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        likelihood.posterior(TRIALS[1:])


def test_batches_of_trials_are_refused(likelihood):
    parts = {"mean": np.array([0.8], np.float32), "scale": np.array([0.4], np.float32)}
    with pytest.raises(ValueError, match=r"`x` of T trials, .* a batch of shape \(1, "):
        likelihood.log_prob(TRIALS[None], parts)


@pytest.mark.usefixtures("op_by_op")
def test_failed_simulations_and_offsets_are_kept_in_view():
    rng = np.random.default_rng(0)
    theta = rng.normal(size=(400, 1)).astype(np.float32)
    x = 1e7 + rng.normal(theta, 0.1)
    x[theta > 0.5] = np.nan
    flow = {"hidden_units": (8,), "num_steps": 1}
    with trained_for(1, flow=flow, steps={"steps_per_epoch": 2}):
        found = fit_neural_likelihood(tfd.Sample(tfd.Normal(0.0, 1.0), 1), pairs=(theta, x))
    assert found.density.dtype == tf.float64
    assert found.report.verdict == "not to be relied on"
    assert "not finite" in found.report.reasons[-1]


@pytest.mark.usefixtures("op_by_op")
def test_one_trial_given_a_vector_is_saved(likelihood, tmp_path):
    path, theta = tmp_path / "trial.keras", np.array([[0.8, 0.4]], np.float32)
    tfp_flows.DensityEstimator(likelihood.conditional).save(path)
    found, own = tfp_flows.load(path).distribution, likelihood.conditional
    for each in (found, own):
        assert (each.context_size, each.event_shape) == (2, [1])
    np.testing.assert_array_equal(
        *(each.log_prob(TRIALS[:5], context=theta) for each in (found, own))
    )


@pytest.mark.slow
def test_one_trial_given_a_vector_is_exported(likelihood):
    jax = pytest.importorskip("jax")
    exported = tfp_flows.to_jax(likelihood.conditional)
    assert (exported.event_shape, exported.context_size) == ((1,), 2)
    rows, theta = TRIALS[:5].astype("float32"), np.array([0.8, 0.4], np.float32)
    parts = {"mean": theta[0], "scale": theta[1]}
    expected = [likelihood.log_prob(x, parts) for x in rows]
    found = exported.log_prob(exported.params, rows, theta)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    drawn = exported.sample(exported.params, jax.random.key(0), 500, theta)
    assert drawn.shape == (500, 1)
    density = likelihood.conditional.log_prob(drawn, context=np.tile(theta, [500, 1]))
    assert np.isfinite(density).all()


@pytest.mark.slow
def test_the_posterior_of_trials_is_that_of_the_model(trained):
    """Its moments are those on a grid of the learned likelihood."""
    posterior = trained.posterior(TRIALS[:5], seed=0, max_minutes=5.0)
    assert posterior.report.verdict.startswith("reliable")
    mean, scale = np.meshgrid(np.linspace(-1.0, 2.5, 120), np.linspace(0.1, 1.2, 80))
    grid = {"mean": mean.ravel(), "scale": scale.ravel()}
    grid = {name: values.astype(np.float32) for name, values in grid.items()}
    log_prob = trained.target_log_prob_fn(TRIALS[:5])(**grid).numpy()
    weights = np.exp(log_prob - log_prob.max())
    weights /= weights.sum()
    draws = posterior.resample(4_000, seed=1)
    for name, values in grid.items():
        expected = weights @ values
        deviation = np.sqrt(weights @ (values - expected) ** 2)
        assert np.mean(draws[name]) == pytest.approx(expected, abs=0.1 * deviation)
        assert np.std(draws[name]) == pytest.approx(deviation, rel=0.1)
