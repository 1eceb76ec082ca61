"""Rounds of simulations around one observation, by linear regressions, which are fast."""

import numpy as np
import pytest
import tensorflow as tf
from derivatives import op_by_op
from refusals import all_refused
from short_fits import trained_for
from tensorflow_probability import distributions as tfd

import tfp_flows as tff
from tfp_flows.inference import AmortizedPosterior, fit_amortized_posterior
from tfp_flows.inference.amortized import simulator as simulator_module
from tfp_flows.inference.amortized import truncation
from tfp_flows.inference.amortized.simulator import JointSimulator, PriorSimulator

NOISE = 0.2
PRIOR = tfd.Independent(tfd.Normal(tf.zeros(2), 1.0), 1)
MODEL = tfd.JointDistributionNamed(
    {
        "theta": tfd.Sample(tfd.Normal(0.0, 1.0), 2),
        "x": lambda theta: tfd.Independent(tfd.Normal(theta, NOISE), 1),
    }
)
FOCUS = np.array([0.5, -0.5])
EDGE = FOCUS + [0.9, 0.0]  # outside of the region of the last round
# The exact posterior.
MEAN, DEVIATION = FOCUS / (1.0 + NOISE**2), (1.0 + NOISE**-2) ** -0.5


@pytest.fixture(autouse=True)
def _regression_alone():
    with trained_for(1, splines={}, flows={}):
        yield


def simulate(theta, seed):
    return np.random.default_rng(seed).normal(theta, NOISE)


def fit(**changes):
    options = {"simulator": simulate, "focus": FOCUS, "num_rounds": 3, **changes}
    options = {"num_simulations": 1_500, "learn_likelihood": False, **options}
    return fit_amortized_posterior(PRIOR, **options)


@pytest.fixture(scope="module")
def focused():
    """A fit, and the parameters of each call of its simulator."""
    calls = []

    def simulator(theta, seed):
        calls.append(theta)
        return simulate(theta, seed)

    with op_by_op(), trained_for(1, splines={}, flows={}):
        return fit(simulator=simulator), calls


@pytest.fixture(scope="module")
def reports(focused):
    """The reports of the observation in focus, and of one at the edge."""
    with op_by_op():
        return [focused[0](x).report for x in (FOCUS, EDGE)]


@pytest.mark.usefixtures("op_by_op")
def test_rounds_find_the_posterior_in_focus(focused):
    amortized, calls = focused
    posterior = amortized(FOCUS)
    drawn = posterior.sample(8_000, seed=1).numpy()
    np.testing.assert_allclose(drawn.mean(axis=0), MEAN, atol=0.02)
    # A regression has one deviation for all data: near the region's ends it is less.
    np.testing.assert_allclose(drawn.std(axis=0), DEVIATION, atol=0.04)
    assert posterior.report.verdict == "reliable"
    # Further rounds simulate in a region that shrinks and has the posterior's mass.
    shares = amortized.report.shares
    assert 1.0 == shares[0] > shares[1] > shares[2] > 0.05
    assert "3, in shares of the prior: 1, " in str(amortized.report)
    counts = [len(theta) for theta in calls[:7]]  # later ones are for reports
    assert counts == [2, 2, 500, 2, 500, 2, 500]
    for theta in (calls[4], calls[6]):
        assert np.abs(theta - MEAN).max() < 6.0 * DEVIATION
        # Truncated, but otherwise like the prior: much wider than the posterior.
        assert theta.std() > 1.5 * DEVIATION


@pytest.mark.slow
def test_the_density_is_normalised_on_the_region_and_draws_stay_there():
    amortized = fit(num_rounds=2)
    inside = amortized.prior.contains
    grid = np.stack(np.meshgrid(*[np.linspace(-3.0, 3.0, 301)] * 2), axis=-1)
    grid = grid.reshape(-1, 2).astype(np.float32)
    for x in (FOCUS, FOCUS + [0.5, 0.0]):
        posterior = amortized(x)
        log_prob = posterior.log_prob(grid).numpy()
        assert np.exp(log_prob).sum() * 0.02**2 == pytest.approx(1.0, abs=0.02)
        np.testing.assert_array_equal(np.isfinite(log_prob), inside(grid))
        drawn = posterior.sample(3_000, seed=2)
        assert np.all(inside(drawn))
        assert np.isfinite(posterior.log_prob(drawn)).all()
    batch = amortized(np.stack([FOCUS, FOCUS + 0.1]))
    assert batch.sample(4, seed=1).shape == (4, 2, 2)
    np.testing.assert_allclose(
        batch.log_prob(grid[:, None])[:, 0], amortized(FOCUS).log_prob(grid), atol=0.02
    )
    in_graph = tf.function(lambda: posterior.sample(20, seed=3))
    np.testing.assert_allclose(in_graph(), posterior.sample(20, seed=3), atol=1e-5)


@pytest.mark.slow_ids("True")
@pytest.mark.usefixtures("op_by_op")
@pytest.mark.parametrize("is_known", [False, True])
def test_observations_whose_posterior_leaves_the_region_are_flagged(is_known, reports):
    if is_known:
        options = {"focus": FOCUS, "num_rounds": 2, "num_simulations": 1_000}
        amortized = fit_amortized_posterior(MODEL, observed="x", **options)
        reports = [amortized(x).report for x in (FOCUS, EDGE)]
    in_focus, edge = reports
    assert in_focus.verdict.startswith("reliable")
    assert edge.verdict == "not reliable"
    assert "prior was truncated" in " ".join(edge.reasons)


@pytest.mark.usefixtures("op_by_op")
def test_importance_resampling_where_the_prior_rarely_lies_in_the_region(
    focused, monkeypatch
):
    source = PriorSimulator(PRIOR, simulate, True)
    prior = focused[0].prior
    by_rejection, share = prior.sample(source, 3_000, 1), prior.share
    monkeypatch.setattr(truncation, "_LEAST_SHARE", 1.0)
    found = truncation.TruncatedPrior.around(prior.previous, FOCUS, source, 0)
    assert found.share == pytest.approx(share, rel=0.1)
    resampled = found.sample(source, 3_000, 1)
    assert len(np.unique(resampled[:, 0])) > 2_500
    assert np.all(found.contains(resampled))
    for moment in (np.mean, np.std):
        expected = moment(by_rejection, axis=0)
        np.testing.assert_allclose(moment(resampled, axis=0), expected, atol=0.04)


@pytest.mark.slow
def test_files_keep_the_rounds_and_refuse_those_of_another_focus(tmp_path, monkeypatch):
    path, calls, simulated = tmp_path / "simulations.npz", [], simulate

    def stopped(theta, seed):
        calls.append(len(theta))
        if len(calls) == 7:  # the last round
            raise KeyboardInterrupt
        return simulated(theta, seed)

    expected = fit()(FOCUS).sample(9, seed=1)
    monkeypatch.setitem(globals(), "simulate", stopped)
    with pytest.raises(KeyboardInterrupt):
        fit(backup=path)
    assert (tmp_path / "simulations.round2.npz").exists()
    calls.extend([0] * 9)  # 16 together
    found = fit(backup=path)(FOCUS).sample(9, seed=1)
    np.testing.assert_array_equal(found, expected)
    assert [count for count in calls[16:] if count > 2] == [500]
    with pytest.raises(ValueError, match="and earlier rounds.*other simulations"):
        fit(backup=path, focus=FOCUS + 0.2)


@pytest.mark.usefixtures("op_by_op")
def test_saved_posteriors_are_truncated(focused, reports, tmp_path):
    amortized, _ = focused
    path = tmp_path / "posterior.keras"
    amortized.save(path)
    loaded = AmortizedPosterior.load(path, PRIOR, simulator=simulate)
    drawn = amortized(FOCUS).sample(50, seed=1)
    np.testing.assert_array_equal(loaded(FOCUS).sample(50, seed=1), drawn)
    assert str(loaded.report) == str(amortized.report)
    for x, report in zip((FOCUS, EDGE), reports, strict=True):
        assert str(loaded(x).report) == str(report)
    rows = tff.load(path).distribution
    theta = np.concatenate([drawn, drawn + 3.0])
    np.testing.assert_allclose(
        rows.log_prob(theta, context=FOCUS), amortized(FOCUS).log_prob(theta), atol=1e-4
    )
    own = rows.sample(500, seed=0, context=FOCUS)
    assert np.all(amortized.prior.contains(own))
    loaded.save(tmp_path / "again.keras")
    again = AmortizedPosterior.load(tmp_path / "again.keras")
    np.testing.assert_array_equal(again(FOCUS).sample(50, seed=1), drawn)


@pytest.mark.slow_ids("*Sequential*", "JointDistributionCoroutine")
@pytest.mark.parametrize(
    "kind",
    [
        tfd.JointDistributionNamed,
        tfd.JointDistributionNamedAutoBatched,
        tfd.JointDistributionSequential,
        tfd.JointDistributionSequentialAutoBatched,
        tfd.JointDistributionCoroutine,
        tfd.JointDistributionCoroutineAutoBatched,
    ],
)
def test_joint_distributions_simulate_given_parameters(kind):
    parts = {
        "b": tfd.Normal(0.0, 1.0),
        "a": tfd.LogNormal(0.0, 0.1),
        "x": lambda a, b: tfd.Normal(b, a),
    }

    def coroutine():
        root = tfd.JointDistributionCoroutine.Root
        b = yield root(tfd.Normal(0.0, 1.0, name="b"))
        a = yield root(tfd.LogNormal(0.0, 0.1, name="a"))
        yield tfd.Normal(b, a, name="x")

    name = kind.__name__.removeprefix("JointDistribution").removesuffix("AutoBatched")
    models = {"Named": parts, "Sequential": [*parts.values()], "Coroutine": coroutine}
    source = JointSimulator(kind(models[name]), "x")
    parameters = source.parameters(2_000, 3)
    b, a = (parameters["b"], parameters["a"]) if name == "Named" else parameters
    noise = (source.simulate(parameters, 5) - b) / a
    assert len(np.unique(noise)) > 1_990
    assert np.std(noise) == pytest.approx(1.0, abs=0.06)
    expected = tfd.Normal(0.0, 1.0).log_prob(b) + tfd.LogNormal(0.0, 0.1).log_prob(a)
    np.testing.assert_allclose(source.prior_log_prob(parameters), expected, rtol=1e-5)


def pairs_with_focus():
    theta = np.zeros([300, 2], np.float32)
    return fit_amortized_posterior((theta, theta), focus=FOCUS)


def parameters_after_data():
    model = tfd.JointDistributionNamedAutoBatched(
        {"x": tfd.Normal(0.0, 1.0), "theta": lambda x: tfd.Normal(x, 1.0)}
    )
    options = {"observed": "x", "focus": 0.5, "num_simulations": 500}
    return fit_amortized_posterior(model, **options)


BAD_CALLS = [
    (lambda: pairs_with_focus(), "no `focus` with pairs"),
    (lambda: fit(focus=None), "`num_rounds` with `focus`"),
    (lambda: fit(focus=[FOCUS, FOCUS]), "`focus` of one observation"),
    (lambda: fit(focus=FOCUS[:1]), "`focus` of shape"),
    (lambda: fit(num_simulations=200), "100 for each of 3 rounds"),
    (lambda: fit(max_minutes=1.0, backup="x.npz"), "no `max_minutes` with"),
    (lambda: parameters_after_data(), "do not depend on data"),
]
test_bad_call_is_refused_in_words = all_refused(BAD_CALLS)


@pytest.mark.usefixtures("op_by_op")
def test_one_by_one_simulators_have_rounds(monkeypatch):
    monkeypatch.setattr(simulator_module, "_ROWS_ONE_BY_ONE", 64)

    def one(theta, seed):
        assert theta.shape == (2,)
        return simulate(theta, seed)

    amortized = fit_amortized_posterior(
        PRIOR,
        simulator=one,
        vectorized=False,
        focus=FOCUS,
        num_rounds=2,
        learn_likelihood=False,
        num_simulations=300,
    )
    assert len(amortized.report.shares) == 2
