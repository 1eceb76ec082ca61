"""Posterior draws that a learned likelihood weighs."""

import dataclasses
import functools

import exact_posteriors
import numpy as np
import pytest
import tensorflow as tf
from exact_posteriors import NOISE, SIZE, TRAIN, fit, pairs
from short_fits import trained_for
from tensorflow_probability import distributions as tfd

import tfp_flows
from tfp_flows.density.data import Data
from tfp_flows.density.fit import Fit
from tfp_flows.inference.amortized import calibration
from tfp_flows.inference.amortized import fit as fit_module
from tfp_flows.inference.amortized.calibration import CalibrationReport, Judge
from tfp_flows.inference.amortized.learned_likelihood import LearnedLikelihood
from tfp_flows.inference.amortized.posterior import AmortizedPosterior

CHECKED = pairs(300, 1)
PRIOR = tfd.Sample(tfd.Normal(0.0, 1.0), 1)


class ExactLikelihood(tf.Module):
    """The density of data given parameters; or one that is wrong."""

    dtype = tf.float64

    def __init__(self, scale=1.0, shift=0.0, least=-np.inf):
        super().__init__(name="exact")
        self._scale, self._shift, self._least = scale * NOISE, shift, least

    def log_prob(self, value, *, context):
        mean = tf.cast(context, tf.float64) + self._shift
        log_prob = tfd.Independent(
            tfd.Normal(mean, tf.cast(self._scale, tf.float64)), 1
        ).log_prob(value)
        return tf.where(value[..., 0] > self._least, log_prob, -np.inf)


def weights_report(posterior, likelihood, num_dropped=0):
    by_posterior = fit(CHECKED, **posterior)
    learned = ExactLikelihood(**likelihood)
    swapped = [Data(part.x, part.u) for part in (TRAIN, CHECKED)]
    by_likelihood = Fit(learned, learned, *swapped)
    normal = tfd.MultivariateNormalDiag(np.zeros(SIZE))

    def log_prior(u):
        return normal.log_prob(tf.cast(u, tf.float64)).numpy()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calibration, "_NUM_WEIGHTED", 1_000)
        patch.setattr(calibration, "_WEIGHTED_A_CALL", 100)
        judge = Judge(num_dropped)
        return judge.weights(by_posterior, log_prior, by_likelihood, 2)


def test_likelihoods_of_finite_data_alone_are_not_used():
    assert not weights_report({"shift": 0.5}, {}, num_dropped=500).is_used


@pytest.mark.slow_ids("posterior1-*", "posterior2-*")
@pytest.mark.parametrize(
    ("posterior", "likelihood", "gain"),
    [
        # Per variable, a normal with r times the deviation loses log r + (1 / r^2 - 1) / 2.
        ({"scale": 1.5}, {}, SIZE * (np.log(1.5) + 0.5 / 1.5**2 - 0.5)),
        ({"scale": 0.7}, {}, SIZE * (np.log(0.7) + 0.5 / 0.7**2 - 0.5)),
        ({"shift": 0.5}, {}, SIZE * 0.125),
        ({"use": 0.0}, {}, SIZE * 0.5 * np.log(5.0)),
    ],
)
def test_right_likelihoods_mend_wrong_posteriors(posterior, likelihood, gain):
    report = weights_report(posterior, likelihood)
    assert report.is_used
    assert report.gain == pytest.approx(gain, abs=0.02 + 3.0 * report.gain_error)
    assert "nats, used" in dict(report.rows)["gain by learned likelihood"]


@pytest.mark.slow_ids("posterior1-*", "posterior2-*", "posterior4-*")
@pytest.mark.parametrize(
    ("posterior", "likelihood"),
    [
        ({}, {}),  # nothing to gain
        ({"scale": 1.5}, {"scale": 0.4}),
        ({"scale": 1.5}, {"shift": 0.5}),
        # The likelihood is zero for all draws, and the truth has all the weight; and draws
        # that miss it.
        ({"scale": 0.01, "shift": 1e4}, {}),
        ({"scale": 0.05, "shift": 30.0}, {"scale": 0.3}),
        ({}, {"least": 0.0}),  # nor truth nor draws have weight for half of the data
    ],
)
def test_weights_that_do_not_help_are_not_used(posterior, likelihood):
    report = weights_report(posterior, likelihood)
    assert not report.is_used
    assert np.isfinite(report.gain)
    assert "not used" in dict(report.rows)["gain by learned likelihood"]


@functools.cache
def posterior(**options):
    """An `AmortizedPosterior` whose draws the exact likelihood weighs."""
    prior = tfd.JointDistributionNamed({"theta": tfd.Sample(tfd.Normal(0.0, 1.0), SIZE)})
    exact = LearnedLikelihood(ExactLikelihood(), np.ones(SIZE, bool), prior)
    return exact_posteriors.amortized(CHECKED, likelihood=exact, **options)


@pytest.mark.slow_ids("options2-*")
@pytest.mark.parametrize(
    ("options", "verdict", "distinct"),
    [
        ({}, "reliable", 8_900),
        ({"scale": 1.5}, "reliable after resampling", 8_900),
        ({"scale": 0.5, "shift": 1.0}, "reliable after resampling", 6_000),
    ],
)
def test_weights_judge_an_observation(options, verdict, distinct):
    found = posterior(**options)([0.5, -0.5, 1.0])
    assert found.report.verdict == verdict
    draws = found.resample(4_000, seed=1)["theta"]
    np.testing.assert_allclose(np.mean(draws, axis=0), [0.4, -0.4, 0.8], atol=0.05)
    np.testing.assert_allclose(np.std(draws, axis=0), 0.2**0.5, atol=0.03)
    # More rows than the report has effective draws are hardly repeated.
    many = found.resample(9_000, seed=2)["theta"].numpy()
    assert len(np.unique(many, axis=0)) > distinct
    again = found.resample(4_000, seed=1)["theta"]
    np.testing.assert_array_equal(again, draws)  # whatever was drawn in between


def test_a_learned_likelihood_knows_nothing_of_far_data():
    report = posterior()([0.5, -0.5, 9.0]).report
    assert report.verdict == "not reliable"
    assert "hardly simulates such data" in report.reasons[0]


def simulate(theta, seed):
    """A number, and one that is constant."""
    x = np.random.default_rng(seed).normal(theta, 0.5)
    return np.concatenate([x, np.ones_like(x)], axis=1)


@pytest.fixture(scope="module")
def amortized():
    """A fit of linear regressions, whose likelihood is used in any case."""
    with pytest.MonkeyPatch.context() as patch, trained_for(1, flows={}, splines={}):
        patch.setattr(fit_module, "_AT_FIRST", 50)
        patch.setattr(calibration, "_NUM_WEIGHTED", 200)
        patch.setattr(calibration.WeightsReport, "is_used", True)
        return tfp_flows.fit_amortized_posterior(
            PRIOR, simulator=simulate, num_simulations=600, learn_likelihood=True
        )


def test_a_fit_reports_and_uses_the_likelihood(amortized):
    report = amortized.report
    assert "gain by learned likelihood" in str(report)
    assert CalibrationReport.from_plain(report.to_plain()).weights == report.weights
    assert amortized([0.5, 1.0]).report.ess > 400.0
    drawn = amortized([0.5, 1.0]).resample(4_000, seed=0).numpy()
    assert drawn.mean() == pytest.approx(0.4, abs=0.05)
    assert drawn.std() == pytest.approx(0.2**0.5, abs=0.05)


def test_files_keep_the_likelihood(amortized, tmp_path):
    path = tmp_path / "posterior.keras"
    amortized.save(path)
    for loaded in (AmortizedPosterior.load(path), AmortizedPosterior.load(path, PRIOR)):
        own, other = (found([0.5, 1.0]) for found in (amortized, loaded))
        assert own.report.log_evidence == pytest.approx(other.report.log_evidence, abs=1e-4)
        np.testing.assert_allclose(own.resample(9, seed=0), other.resample(9, seed=0))
    with pytest.raises(ValueError, match="the `model` of this file"):
        AmortizedPosterior.load(path, tfd.Sample(tfd.Normal(0.0, 1.0), 2))


def test_files_lack_a_prior_with_functions(amortized, tmp_path):
    path = tmp_path / "posterior.keras"
    prior = tfd.JointDistributionSequential([lambda: PRIOR])
    learned = dataclasses.replace(amortized.likelihood, prior=prior)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(amortized, "likelihood", learned)
        amortized.save(path)
    with pytest.warns(UserWarning, match="Give the prior as `model`"):
        without = AmortizedPosterior.load(path)
    assert without([0.5, 1.0]).report.log_evidence is None
    without.save(path)  # with the likelihood that it does not use
    assert AmortizedPosterior.load(path, PRIOR)([0.5, 1.0]).report.log_evidence


def test_the_prior_of_a_file_without_a_likelihood_is_checked(amortized, tmp_path):
    path = tmp_path / "posterior.keras"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(amortized, "likelihood", None)
        amortized.save(path)
    assert not AmortizedPosterior.load(path, PRIOR)([0.5, 1.0]).has_weights
    with pytest.raises(ValueError, match="needs `observed`, a prior does not"):
        AmortizedPosterior.load(path, tfd.Sample(tfd.Normal(0.0, 1.0), 2))


class WithoutDensity(tfd.Normal):
    """A prior that can be drawn from only."""

    def _log_prob(self, value):
        raise NotImplementedError


@pytest.mark.usefixtures("op_by_op")
@pytest.mark.parametrize(
    ("prior", "gains", "options", "fits"),
    [
        (PRIOR, [0.5, 0.25], {}, 2),  # the trial gains, and the likelihood is learned
        (PRIOR, [0.5, 0.015, 0.25], {}, 3),  # at first, the gain is unclear
        (PRIOR, [-0.5], {}, 1),
        (PRIOR, [0.25], {"learn_likelihood": True}, 1),
        (PRIOR, [], {"learn_likelihood": False}, 0),
        (PRIOR, [], {"max_minutes": 1.0}, 0),
        (PRIOR, [], {"missing": True}, 0),
        (tfd.Sample(WithoutDensity(0.0, 1.0), 1), [], {}, 0),
    ],
)
def test_a_trial_decides_whether_the_likelihood_is_learned(prior, gains, options, fits):
    left, trials = [*gains], []

    def judged(*given, is_trial=False, **others):
        del given, others
        trials.append(is_trial)
        return calibration.WeightsReport(left.pop(0), 0.01, (), is_trial)

    with pytest.MonkeyPatch.context() as patch, trained_for(1, flows={}, splines={}):
        patch.setattr(Judge, "weights", judged)
        patch.setattr(fit_module, "_AT_FIRST", 50)
        found = tfp_flows.fit_amortized_posterior(
            prior, simulator=simulate, num_simulations=300, **options
        )
    in_turn = [False] if options.get("learn_likelihood") else [True, False, False]
    assert trials == in_turn[:fits]
    assert left == []
    weights = found.report.weights
    assert (weights.gain if weights else None) == (gains[-1] if gains else None)
    assert (found.likelihood is not None) == (fits > 0 and gains[-1] > 0.0)
    assert ("nats, in a trial, not used" in str(found.report)) == (gains == [-0.5])


@pytest.mark.parametrize(
    ("model", "options", "words"),
    [
        ((np.zeros([200, 1]), np.zeros([200, 1])), {}, "`simulator` with `learn_like"),
        (PRIOR, {"simulator": simulate, "missing": True}, "`missing`"),
        (PRIOR, {"simulator": simulate, "learn_likelihood": "yes"}, "learn_likelihood"),
    ],
)
def test_other_models_are_refused(model, options, words):
    with pytest.raises(ValueError, match=words):
        tfp_flows.fit_amortized_posterior(model, **{"learn_likelihood": True, **options})
