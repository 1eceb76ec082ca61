"""Likelihoods of a choice and a response time: exact densities, posteriors, refusals."""

import contextlib

import drift_diffusion
import numpy as np
import pytest
import tensorflow as tf
from derivatives import op_by_op
from tensorflow_probability import distributions as tfd

import tfp_flows
from tfp_flows.inference import fit_neural_likelihood
from tfp_flows.inference.amortized import mixed_trials
from tfp_flows.inference.amortized.mixed_trials import form_of_trials
from tfp_flows.inference.amortized.simulator import PriorSimulator
from tfp_flows.tables import table_density

PRIOR = tfd.JointDistributionNamed(
    {
        "bound": tfd.Uniform(np.float64(0.8), 2.0),
        "drift": tfd.Normal(np.float64(0.0), 1.5),
    }
)
TRIALS = drift_diffusion.simulate(np.full(100, 0.8), np.full(100, 1.3), seed=5)
FEW = tfd.Sample(tfd.Normal(0.0, 1.0), 1)


@contextlib.contextmanager
def small_tables(**options):
    """Makes fits of mixed trials take networks of these options, and of `FitOptions`."""
    fit_options = {
        name: options.pop(name) for name in ("epochs", "batch_size") if name in options
    }

    class Small(tfp_flows.TableDensity):
        def __init__(self, columns, **others):
            super().__init__(columns, **others, **options)

        def fit(self, frame, **others):
            return super().fit(frame, **fit_options, **others)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table_density, "TableDensity", Small)
        yield


@contextlib.contextmanager
def two_epochs():
    """Fits that are short, judged by few parameters, op by op."""
    options = {"num_members": 1, "hidden_units": (16, 16), "epochs": 2, "batch_size": 256}
    with op_by_op(), small_tables(**options), pytest.MonkeyPatch.context() as patch:
        patch.setattr(mixed_trials, "_NUM_PARAMETERS", 4)
        yield


@pytest.fixture(scope="module")
def short():
    """A likelihood of the same model, but far from it."""
    with two_epochs():
        return fit_neural_likelihood(
            PRIOR, simulator=drift_diffusion.simulate, num_simulations=300
        )


def exact(x, drift, bound):
    """Exact log-densities of trials, `[N, T]` or broadcast to it."""
    return drift_diffusion.log_density(x["choice"] == "up", x["time"], drift, bound)


def mean_gap(likelihood):
    """Mean of exact less learned log-densities of 4,000 trials of other parameters."""
    theta = PRIOR.sample(4_000, seed=tf.constant([7, 0]))
    x = drift_diffusion.simulate(theta["drift"], theta["bound"], seed=8)
    context = likelihood._support.bijector.inverse(theta)
    found = likelihood.density.log_prob(likelihood._rows(x), context=context)
    own = {name: part.numpy() for name, part in theta.items()}
    return float(np.mean(exact(x, **own) - found.numpy()))


def errors_of_posterior(likelihood, drift, bound, seed):
    """Errors of posterior means, and log-ratios of deviations, given 100 trials, `[2, 2]`.

    Means and deviations are sums over a grid. Errors of means are in exact deviations.
    """
    trials = drift_diffusion.simulate(np.full(100, drift), np.full(100, bound), seed)
    bounds = np.linspace(max(bound - 0.3, 0.801), min(bound + 0.3, 1.999), 30)
    drifts = np.linspace(drift - 1.2, drift + 1.2, 30)
    drifts, bounds = (part.ravel() for part in np.meshgrid(drifts, bounds))
    grid = {"drift": drifts, "bound": bounds}
    columns = {name: values[:, None] for name, values in grid.items()}
    truth = exact(trials, **columns).sum(axis=1) + PRIOR.log_prob(grid).numpy()
    found = likelihood.target_log_prob_fn(trials)(**grid).numpy()
    values = np.stack([*grid.values()])
    (mean, deviation), (own_mean, own) = (moments(values, p) for p in (truth, found))
    return (own_mean - mean) / deviation, np.log(own / deviation)


def moments(values, log_probs):
    weights = np.exp(log_probs - log_probs.max())
    weights /= weights.sum()
    mean = values @ weights
    return mean, np.sqrt((values - mean[:, None]) ** 2 @ weights)


@pytest.mark.usefixtures("op_by_op")
def test_log_densities_of_trials_are_added_and_have_gradients(short):
    theta = {"drift": np.array([0.8, -0.5]), "bound": np.array([1.3, 1.0])}
    found = short.log_prob(TRIALS, theta)
    first = {name: part[:30] for name, part in TRIALS.items()}
    rest = {name: part[30:].tolist() for name, part in TRIALS.items()}
    parts = short.log_prob(first, theta) + short.log_prob(rest, theta)
    np.testing.assert_allclose(found, parts, rtol=1e-5)
    one = short.log_prob({"choice": "up", "time": 0.6}, theta)
    assert one.shape == [2]
    target = short.target_log_prob_fn(TRIALS)

    def value_and_gradients(point):
        with tf.GradientTape() as tape:
            tape.watch(point)
            value = target(**point)
        return value, tape.gradient(value, point)

    # The value changes by the integral of the gradient, also over kinks.
    for name in theta:
        line = {key: np.full(101, part[0]) for key, part in theta.items()}
        line[name] = theta[name][0] + np.linspace(-0.05, 0.05, 101)
        value, gradients = value_and_gradients(tf.nest.map_structure(tf.constant, line))
        integral = 0.1 * np.mean(gradients[name])
        change = value[-1] - value[0]
        np.testing.assert_allclose(integral, change, rtol=0.05, atol=0.02)


@pytest.mark.parametrize(
    ("words", "x"),
    [
        ("one of .'down', 'up'. in column 'choice'", {"choice": ["left"], "time": [1.0]}),
        ("can occur, by the simulations", {"choice": ["up"], "time": [-1.0]}),
        ("the parts .'choice', 'time'.", {"time": [1.0]}),
        ("of T trials", {"choice": [["up"]], "time": [[1.0]]}),
        ("of one batch shape", {"choice": ["up"], "time": [1.0, 2.0]}),
        ("texts", {"choice": [None], "time": [1.0]}),
        (r"`x\['time'\]` without missing cells", {"choice": ["up"], "time": [np.nan]}),
        ("one trial, at least", {"choice": np.array([], str), "time": []}),
    ],
)
@pytest.mark.usefixtures("op_by_op")
def test_trials_that_no_simulation_has_are_refused(short, words, x):
    with pytest.raises(ValueError, match=words):
        short.log_prob(x, {"drift": np.zeros(1), "bound": np.ones(1)})


@pytest.mark.usefixtures("op_by_op")
def test_counts_have_probabilities():
    """An array of integers is enough; probabilities of all counts sum to 1."""

    def simulate(rate, seed):
        return np.random.default_rng(seed).poisson(np.exp(rate[:, 0]))

    with two_epochs():
        likelihood = fit_neural_likelihood(FEW, simulator=simulate, num_simulations=300)
    u = np.tile(likelihood._support.bijector.inverse([[0.5]]), [2_000, 1])
    each = likelihood.density.log_prob(likelihood._rows(np.arange(2_000)), context=u)
    assert np.exp(each).sum() == pytest.approx(1.0, abs=1e-4)


@pytest.mark.usefixtures("op_by_op")
def test_data_frames_and_single_draws(tmp_path):
    pandas = pytest.importorskip("pandas")

    def simulate(theta, seed):
        rng = np.random.default_rng(seed)
        chosen = rng.uniform(size=len(theta)) < 1.0 / (1.0 + np.exp(-theta[:, 0]))
        return {"is_right": chosen, "sizes": rng.normal(size=(len(theta), 2))}

    def in_frame(theta, seed):
        x = simulate(theta, seed)
        kind = np.where(x["is_right"], "right", "wrong").astype(object)
        return pandas.DataFrame({"kind": kind, "size": x["sizes"][:, 0]})

    def one_trial(theta, seed):
        return {name: part[0] for name, part in simulate(theta[None], seed).items()}

    with two_epochs():
        likelihood = fit_neural_likelihood(FEW, simulator=in_frame, num_simulations=200)
    path, own = tmp_path / "trial.keras", likelihood.conditional
    tfp_flows.DensityEstimator(own).save(path)
    cells, theta = own.sample(3, seed=1, context=np.zeros([1])), np.zeros([3, 1])
    loaded = tfp_flows.load(path).distribution
    np.testing.assert_array_equal(
        *(each.log_prob(cells, context=theta) for each in (loaded, own))
    )
    trials = in_frame(np.zeros([5, 1]), 1)
    assert likelihood.log_prob(trials, np.zeros([3, 1], np.float32)).shape == [3]
    for function, vectorized in ((simulate, True), (one_trial, False)):
        source = PriorSimulator(FEW, function, vectorized, form_of=form_of_trials)
        x = source.pairs(10, 0).x
        assert x.dtype.names == ("is_right", "sizes[0]", "sizes[1]")
        assert x["is_right"].dtype == bool


def test_simulations_with_texts_are_kept_and_gone_on_from(tmp_path):
    def simulate(theta, seed):
        words = np.array(["a", "and a longer word"])
        choice = words[(theta[:, 0] > 1.5).astype(int)]
        return {"choice": choice, "time": theta[:, 0] ** 2}

    def source():
        return PriorSimulator(FEW, simulate, True, form_of=form_of_trials)

    path = tmp_path / "simulations.npz"
    source().pairs(30, 0, path)
    found, expected = source().pairs(3_000, 0, path), source().pairs(30, 0, path)
    assert set(found.x["choice"]) == {"a", "and a longer word"}
    np.testing.assert_array_equal(found.x[:30], expected.x)
    for name in ("u", "x"):
        kept = getattr(source().pairs(3_000, 0, path), name)
        np.testing.assert_array_equal(kept, getattr(found, name))
    with pytest.raises(ValueError, match="the same model and seed"):
        source().pairs(30, 1, path)


@pytest.mark.slow
def test_densities_and_posteriors_are_near_the_exact_ones():
    simulator, options = drift_diffusion.simulate, {"verbose": 0, "seed": 0}
    likelihood = fit_neural_likelihood(
        PRIOR, simulator=simulator, num_simulations=10_000, **options
    )
    assert abs(mean_gap(likelihood)) < 0.02
    # Errors of a trial add up over trials: means are off by half a deviation, in the root
    # mean square over parameters, and by 0.3 after 40,000 simulations.
    draws = PRIOR.sample(8, seed=tf.constant([3, 4]))
    pairs = zip(draws["drift"].numpy(), draws["bound"].numpy(), strict=True)
    found = [errors_of_posterior(likelihood, *pair, k) for k, pair in enumerate(pairs)]
    errors, log_ratios = np.swapaxes(found, 0, 1)
    assert np.sqrt(np.mean(errors**2)) < 0.8
    assert abs(np.mean(log_ratios)) < 0.2
    report = likelihood.report
    assert report.verdict == "good", str(report)
    assert report.gain > 0.2  # nats that a trial tells of the parameters
    assert (report.num_simulations, report.num_held_out) == (9_000, 1_000)
