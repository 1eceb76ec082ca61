"""Reports on known densities: checks, weights, simple models beside them, and verdicts."""

import sys

import numpy as np
import pytest
import scipy.stats
import tensorflow_probability as tfp
from subject import close

from tfp_flows.density import baselines, checks, report, rules_for
from tfp_flows.density.data import Data
from tfp_flows.density.weights import mixture_weights
from tfp_flows.distributions import Mixture

tfd = tfp.distributions
RULES = rules_for(400, 2)
RNG = np.random.default_rng(0)
NORMAL = RNG.normal(size=(400, 2))
APART = NORMAL + 4.0 * RNG.choice([-1.0, 1.0], size=(400, 1))


def gaussians(*centres, scale=1.0):
    """The density of rows about centres on the diagonal."""
    scale = [scale, scale]
    return Mixture([tfd.MultivariateNormalDiag(np.full(2, c), scale) for c in centres])


def judged(x, *components, train=300):
    data = Data(x, None)
    parts = data.first(train), data.take(slice(train, None))
    return report.judge(components, *parts, data, RULES, seed=0)


def test_the_true_density_is_good():
    found, _, weights = judged(APART, gaussians(4.0, -4.0), gaussians(40.0))
    assert (found.verdict, found.reasons) == ("good", ())
    np.testing.assert_array_equal(weights, [1.0, 0.0])
    scores = gaussians(4.0, -4.0).log_prob(APART[300:]).numpy()
    normal = scipy.stats.multivariate_normal(APART[:300].mean(0), np.cov(APART[:300].T))
    gains = scores - normal.logpdf(APART[300:])
    close(found.log_likelihood, scores.mean(), 0.05)  # other weights by each half
    numbers = [found.gain, found.worst_gain, found.gain_error]
    close(numbers, [gains.mean(), gains.min(), gains.std(ddof=1) / 10.0], 0.1)
    close(found.log_likelihood - found.gain, found.baselines["Gaussian"])
    assert found.baselines["mixture of Gaussians"] > found.baselines["Gaussian"] + 0.5
    assert (found.num_rows, found.num_held_out) == (300, 100)
    assert "verdict                 good" in str(found)
    (region,) = [c for c in found.checks if c.name == "rows in 90 % region"]
    # Three errors of 100 rows and of 1,000 samples.
    close(region.threshold, 0.85 - 3.0 * (0.09 * (1 / 100 + 1 / 1_000)) ** 0.5)


OUT = NORMAL.copy()
OUT[390, 0] = 30.0  # impossible under all but heavy tails


def bimodal_with(column):
    return np.stack([APART[:, 0], column], axis=1)


@pytest.mark.parametrize(
    ("x", "density", "train", "verdict", "words"),
    [
        (NORMAL, gaussians(0.0), 300, 1, "not clearly more probable"),
        (APART, gaussians(4.0, -4.0), 371, 2, "Only 29 rows were held out"),
        (APART, gaussians(4.0, scale=0.3), 300, 2, "less than under a Gaussian"),
        (OUT, gaussians(0.0), 300, 2, "less than under a Gaussian or a Student's t"),
        (APART, gaussians(4.0, -4.0, scale=0.1), 300, 2, "a sign of overfitting"),
        (APART, gaussians(4.0, -4.0, scale=3.0), 300, 2, "samples differ from the rows"),
        (bimodal_with(APART[:, 1].clip(0.0)), gaussians(4.0, -4.0), 300, 2, "Column 1 has"),
        (bimodal_with(2.0 * APART[:, 0]), gaussians(4.0, -4.0), 300, 2, "linear function"),
        (np.tile(APART[:50], (8, 1)), gaussians(4.0, -4.0), 300, 2, "copies of training"),
    ],
)
def test_the_verdict_has_its_reason(x, density, train, verdict, words):
    found, *_ = judged(x, density, train=train)
    assert found.verdict == report.VERDICTS[verdict]
    assert [reason for reason in found.reasons if words in reason]
    assert f"- {found.reasons[0]}" in str(found)


FEW, FAR = Data(NORMAL[:200], None), Data(NORMAL[200:], None)
ROUNDED = [Data(np.round(part.x, 1), None) for part in (FEW, FAR)]  # some are equal
GAINS = RNG.normal(0.1, 0.3, size=400)
OUTLIER = np.append(GAINS, 1e6)
RELATION = NORMAL @ [[1.0, 1.0], [0.0, 1e-7]]
LITTLE_WEIGHT = np.repeat([1.0, 1e-9], len(NORMAL))
ON_LINE = np.append(NORMAL, [[1e6, -1e8]], axis=0)  # with one outlier
BEHIND = {"a": np.full(400, -5.0), "b": np.zeros(400)}
SCALES = RNG.uniform(0.1, 3.0, size=(400, 1))
GIVEN = Data(SCALES * NORMAL, SCALES)  # deviations that grow with the context
DRAWN = RNG.normal(size=(19, 400, 2))
UNIFORM = RNG.uniform(size=(400, 2))
CAUCHY = Data(np.random.default_rng(0).standard_cauchy((5_000, 1)), None)
# Arguments with which each check must pass, and with which it must fail.
CHECKS = [
    (checks.held_out_rows, [30], [29]),
    (checks.gain, [GAINS], [GAINS - 0.1]),
    (checks.gain, [OUTLIER], [OUTLIER - 0.1]),
    (checks.simple_models, [GAINS, BEHIND], [GAINS - 0.4, BEHIND]),
    (checks.simple_models, [GAINS - 0.4, BEHIND, None, 0.5], [GAINS - 0.8, BEHIND]),
    (checks.furthest_row, [OUTLIER], [-OUTLIER]),
    (checks.typical_rows, [GAINS, GAINS - 9.0], [GAINS, GAINS + 2.0]),
    (checks.calibration, [GAINS, GAINS[:200] + 0.1], [GAINS - 0.3, GAINS[:200] + 0.3]),
    (checks.neighbours, [FEW, FAR], [FEW, Data(3.0 * FAR.x, None)]),
    (checks.along_context, [GIVEN, SCALES * DRAWN], [GIVEN, 2.0 * DRAWN]),
    (checks.along_context, [GIVEN, SCALES * DRAWN], [GIVEN, SCALES * (DRAWN + 0.4)]),
    (checks.along_context, [GIVEN, SCALES * DRAWN], [GIVEN, SCALES * 1.5 * DRAWN]),
    (checks.ends, [Data(UNIFORM, None), UNIFORM[::2]], [Data(UNIFORM, None), 0.6 * DRAWN]),
    (checks.far_rows, [Data(NORMAL, None)], [Data(ON_LINE, None)]),
    (checks.far_rows, [CAUCHY], [Data(np.append(CAUCHY.x, [[1e9]], axis=0), None)]),
    (checks.order, [Data(NORMAL, None)], [Data(NORMAL.cumsum(axis=0), None)]),
    (checks.order, [Data(NORMAL > 1.0, None)], [Data(np.sort(NORMAL, axis=0), None)]),
    (checks.spikes, [Data(NORMAL, None)], [Data(NORMAL.clip(-1.0), None)]),
    (checks.copies, [FEW, FAR], [FAR, FAR]),
    (checks.copies, ROUNDED, [ROUNDED[0], ROUNDED[0]]),
    (checks.dependence, [Data(1e9 + NORMAL, None)], [Data(RELATION, None)]),
    (checks.dependence, [Data(ON_LINE, None)], [Data(ON_LINE[:, [0, 0]], None)]),
    (
        checks.dependence,  # rows of little weight are not on the line of the others
        [Data(np.append(RELATION, NORMAL, axis=0), None)],
        [Data(np.append(RELATION, NORMAL, axis=0), None, LITTLE_WEIGHT)],
    ),
    (
        checks.dependence,
        [Data(NORMAL, APART[:, [0, 0]])],
        [Data(*np.split(RELATION, 2, axis=1))],
    ),
]


@pytest.mark.parametrize(("check", "passing", "failing"), CHECKS)
def test_each_check_can_pass_and_fail(check, passing, failing):
    assert check(*passing).passed
    assert check(*failing).failed


def test_dependence_is_of_several_columns_and_more_rows():
    few = Data(NORMAL[:2], None), Data(NORMAL[:3], APART[:3, :1])
    assert [checks.dependence(data).passed for data in few] == [None, None]
    assert checks.dependence(Data(NORMAL * [1.0, 0.0], None)).passed  # a spike


def test_weights_are_those_of_the_shares():
    is_first = np.arange(100) < 75
    log_probs = np.where(is_first[:, None] == [True, False], 0.0, -np.inf)
    # Two rows are added to each component.
    close(mixture_weights(log_probs), [76 / 102, 26 / 102])
    useless = np.stack([np.zeros(400), np.full(400, -50.0)], axis=1)
    np.testing.assert_array_equal(mixture_weights(useless), [1.0, 0.0])
    np.testing.assert_array_equal(mixture_weights(useless[:, :1]), [1.0])
    close(mixture_weights(np.full([9, 2], -np.inf)), [0.5, 0.5])


def test_gaussian_is_that_of_the_rows():
    x = NORMAL @ [[1.0, 2.0], [0.0, 1e3]] + [1e6, 0.0]
    found = baselines.gaussian(Data(x[:300], None), Data(x[300:], None))
    normal = scipy.stats.multivariate_normal(x[:300].mean(0), np.cov(x[:300].T, bias=True))
    close(found, normal.logpdf(x[300:]), 1e-6)


def test_gaussian_of_a_context_is_linear_regression():
    context = RNG.normal(1e3, 5.0, size=(400, 2))
    y = context @ [[1.0], [-2.0]] + 3.0 + NORMAL[:, :1]
    data = Data(y, np.concatenate([context, np.ones([400, 1])], axis=1))
    found = baselines.gaussian(data.first(300), data.take(slice(300, None)))
    slopes, squares, *_ = np.linalg.lstsq(data.context[:300], y[:300])
    deviation = np.sqrt(squares / 300) / (1.0 - 3 / 300)  # of errors of new rows
    expected = scipy.stats.norm(data.context @ slopes, deviation).logpdf(y)
    close(found, expected[300:, 0], 1e-4)
    assert baselines.from_scikit_learn(data, data) == {}


@pytest.mark.parametrize("degrees", [1.0, 3.0, np.inf])
def test_student_has_the_tails_of_the_rows(degrees):
    rng = np.random.default_rng(1)
    z = (
        rng.standard_t(degrees, (2000, 2))
        if degrees < np.inf
        else rng.normal(size=(2000, 2))
    )
    x = z * [1e-3, 1e5] + [0.0, 1e7]
    found = baselines.student(Data(x[:1000], None), Data(x[1000:], None))
    expected = scipy.stats.t.logpdf(z[1000:], degrees).sum(axis=1) - np.log(1e2)
    assert abs(np.mean(found - expected)) < 0.05  # nats
    assert np.min(found - expected) > -5.0


def test_simple_models_stand_columns_that_hardly_vary(monkeypatch):
    x = np.where([True, False], NORMAL, np.arange(400)[:, None] == 399)
    assert np.isfinite(baselines.student(Data(x[:300], None), Data(x[300:], None))).all()
    found = baselines.from_scikit_learn(Data(x[:300], None), Data(x[300:], None))
    assert sorted(found) == ["kernel density", "mixture of Gaussians"]
    assert all(np.isfinite(values).all() for values in found.values())
    monkeypatch.setitem(sys.modules, "sklearn.mixture", None)  # as if not installed
    assert baselines.from_scikit_learn(Data(x[:300], None), Data(x[300:], None)) == {}


def test_few_rows_that_all_differ_have_no_common_value():
    x = np.random.default_rng(0).normal(size=(16, 2))
    assert checks.spikes(Data(x, None)).passed
    x[:2, 1] = 0.0
    assert not checks.spikes(Data(x, None)).passed


def test_common_values_are_counted_by_the_weights_of_their_rows():
    x, weight = np.random.default_rng(0).normal(size=(400, 1)), np.ones(400)
    weight[9] = 200.0  # alone with its value
    x[:4] = 0.0
    assert checks.spikes(Data(x, None, weight)).passed
    weight[:4] = 10.0
    found = checks.spikes(Data(x, None, weight))
    assert found.value == pytest.approx(40.0 / weight.sum())
    assert not found.passed


def test_one_far_row_does_not_spoil_the_gaussian():
    x = np.append(NORMAL, [[1e12, 0.0]], axis=0)[::-1]
    found, *_ = judged(x, gaussians(0.0))
    assert found.verdict == "no better than a Gaussian"
    (note,) = found.notes
    assert "Column 0 has rows far beyond all others, 1 of them" in note
    assert f"- Note: {note}" in str(found)
    many = Data(np.append(NORMAL, NORMAL + 1e4, axis=0), None)
    assert checks.without_far_rows(many) is many


def test_a_simple_model_that_is_far_ahead_is_a_reason():
    found, *_ = judged(APART, gaussians(0.0, scale=4.0))
    (reason,) = (reason for reason in found.reasons if "simple model" in reason)
    best = max(found.log_likelihood, found.baselines["Gaussian"])
    assert f"{found.baselines['mixture of Gaussians'] - best:.2f} nats more" in reason
    assert not [note for note in found.notes if "simple model" in note]


def test_rows_of_an_ordered_context_may_have_its_order():
    time = np.arange(400.0)[:, None]
    assert checks.order(Data(np.sin(time / 50.0) + 0.1 * NORMAL, time)).passed is None
    assert checks.order(Data(NORMAL, NORMAL)).passed


def test_two_held_out_rows_have_neighbours():
    few, apart = NORMAL[:2], NORMAL[2:4] + 9.0
    assert checks.neighbours(Data(few, None), Data(apart, None)).value <= 0.5
