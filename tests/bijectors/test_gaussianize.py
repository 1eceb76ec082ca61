"""`Gaussianize`: variables that become normal by quantiles of the data."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

import tfp_flows as tff

Gaussianize = tff.bijectors.Gaussianize
RNG = np.random.default_rng(0)
# A step at zero, two peaks with a gap between them, and integers.
ROWS = np.stack(
    [
        RNG.exponential(size=4_000),
        RNG.normal(size=4_000) * 0.1 + RNG.choice([-3.0, 3.0], 4_000),
        RNG.poisson(3.0, size=4_000),
    ],
    axis=1,
)


def fitted(rows, count=200, **options):
    bijector = Gaussianize(rows.shape[1], count, dtype=tf.float64)
    bijector.initialize(rows, **options)
    return bijector


def test_each_variable_becomes_normal():
    x = fitted(ROWS).inverse(ROWS).numpy()
    for column in x[:, :2].T:
        assert stats.kstest(column, "norm").statistic < 0.02
    assert abs(np.corrcoef(x[:, 2], ROWS[:, 2])[0, 1]) > 0.98


def test_the_density_has_the_steps_and_gaps_of_the_data():
    density = tff.FlowDistribution(
        tff.standard_normal(2, dtype="float64"), fitted(ROWS[:, :2])
    )
    inside, outside = density.log_prob([[0.01, 3.0], [-0.2, 3.0]]).numpy()
    assert inside - outside > 8.0
    assert density.log_prob([[1.0, 0.0]]) < density.log_prob([[1.0, 3.0]]) - 4.0
    rows = RNG.exponential(size=4_000)
    one = tff.FlowDistribution(
        tff.standard_normal(1, dtype="float64"), fitted(ROWS[:, :1], 40)
    )
    gain = one.log_prob(rows[:, None]).numpy() - stats.expon.logpdf(rows)
    assert abs(gain.mean()) < 0.03  # 40 quantiles of 4,000 rows cost 0.005 nats


def test_levels_are_shares_of_the_rows_and_outer_pieces_go_on():
    bijector = fitted(np.array([[1.0], [2.0], [2.0], [5.0]]), 10)
    x = bijector.inverse([[1.0], [2.0], [5.0], [8.0]]).numpy().ravel()
    levels = stats.norm.ppf([0.125, 0.5, 0.875])
    np.testing.assert_allclose(x[:3], levels, atol=1e-12)
    assert x[3] == pytest.approx(levels[2] + levels[2] - levels[1])
    far = np.array([[-1e300], [1e300]])
    np.testing.assert_allclose(bijector.forward(bijector.inverse(far)), far)
    assert np.isnan(bijector.inverse([[np.nan]])).all()


@pytest.mark.parametrize("count", [2, 3, 50, 5_000])
def test_any_number_of_quantiles_is_invertible(count):
    bijector = fitted(ROWS, count)
    x, log_det = bijector.inverse_and_log_det(ROWS)
    y, back = bijector.forward_and_log_det(x)
    np.testing.assert_allclose(y, ROWS, atol=1e-9)
    np.testing.assert_allclose(log_det, -back)
    order = np.argsort(ROWS[:, 0])
    assert (np.diff(x.numpy()[order, 0]) >= 0.0).all()


def test_weights_count_rows():
    weight = np.repeat([2.0, 0.0, 1.0], [50, 50, 100])
    twice = np.concatenate([ROWS[:50], ROWS[:50], ROWS[100:200]])
    own, other = fitted(ROWS[:200], sample_weight=weight), fitted(twice)
    np.testing.assert_allclose(own.inverse(ROWS[:99]), other.inverse(ROWS[:99]))
    own.initialize(ROWS + 7.0)  # only the first rows count
    np.testing.assert_allclose(own.inverse(ROWS[:99]), other.inverse(ROWS[:99]))
    tiny = fitted(ROWS[:200], sample_weight=np.repeat([1.0, 1e-17], 100))
    assert np.isfinite(tiny.inverse_and_log_det(ROWS[:200])[1]).all()


def test_constant_columns_are_left_unscaled():
    with pytest.warns(UserWarning, match=r"Columns \[1\]"):
        bijector = fitted(np.stack([ROWS[:, 0], np.full(4_000, 7.0)], axis=1))
    x, log_det = bijector.inverse_and_log_det([[1.0, 7.0], [1.0, 8.5]])
    np.testing.assert_allclose(x[:, 1], [0.0, 1.5])
    assert log_det[0] == log_det[1]
    bijector = Gaussianize(1)  # in float32, 1e8 + 1 is 1e8
    with pytest.warns(UserWarning, match=r"Columns \[0\]"):
        bijector.initialize(np.full([9, 1], 1e8))
    x, log_det = bijector.inverse_and_log_det([[1e8], [3e8]])
    np.testing.assert_allclose(x, [[0.0], [2e8]])
    np.testing.assert_allclose(log_det, 0.0, atol=1e-6)


def test_float32_slopes_are_finite_where_values_are_nearly_equal():
    rows = np.concatenate([1.0 + 1e-9 * np.arange(500), [2.0, 3.0]])[:, None]
    bijector = Gaussianize(1, 100)
    bijector.initialize(rows)
    assert np.isfinite(bijector.inverse_and_log_det(rows)[1]).all()


CIRCULAR = {"circular": [1], "num_bins": 3}
FLOWS = [
    (tff.RealNVP, {}, ["standardize", "gaussianize", "decorrelate"]),
    (tff.MAF, {"decorrelate": False}, ["standardize", "gaussianize"]),
    (
        tff.NeuralSplineFlow,
        CIRCULAR,
        [f"{b}_on_part" for b in ("standardize", "gaussianize")],
    ),
]


@pytest.mark.parametrize(("constructor", "options", "names"), FLOWS)
@pytest.mark.usefixtures("op_by_op")
def test_flows_begin_with_it(constructor, options, names):
    flow = constructor(3, num_steps=2, hidden_units=4, num_quantiles=50, seed=0, **options)
    assert [step.name for step in flow.bijectors[: len(names)]] == names
    rows = np.clip(ROWS[:500], -3.0, 3.0)
    flow.initialize(rows)
    x = flow.bijectors[1].inverse(flow.bijectors[0].inverse(rows)).numpy()
    assert stats.kstest(x[:, 0], "norm").statistic < 0.04
    base = tff.circular_base(3, [1]) if "circular" in options else tff.standard_normal(3)
    density = tff.FlowDistribution(base, flow)
    assert np.isfinite(density.log_prob(rows)).all()
