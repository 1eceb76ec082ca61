"""Densities by one call: forms of rows, seeds, time, contexts, files and refusals."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import tensorflow as tf
from refusals import all_refused
from short_fits import trained_for
from subject import close, differ

import tfp_flows as tff
from tfp_flows import fit_density
from tfp_flows.density.baselines import gaussian
from tfp_flows.density.data import Data, checked_data, columns_of

ROWS = np.random.default_rng(0).normal(size=(60, 2)) ** 2 * [1.0, 1000.0]
CONTEXT = ROWS[:, :1] + ROWS[:, 1:] / 1000.0


def squares(count, seed):
    """Rows of two squares, in float64 about a number where float32 rounds to 64."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1.0, 1.0, size=(count, 2)) + rng.choice([-2.0, 2.0], size=(count, 1))
    return 1e9 + x


@pytest.fixture(scope="module")
def fitted():
    with trained_for(40, splines={"num_members": 2}, flows={}) as fit_some:
        return fit_some(squares(600, 0))


@pytest.fixture
def quick(op_by_op):
    small = {"hidden_units": (8,), "num_bins": 4}
    changes = {"splines": {**small, "num_members": 2}, "flow": {**small, "num_steps": 1}}
    with trained_for(2, steps={"steps_per_epoch": 2}, batch_size=64, **changes) as quick:
        yield quick


def test_two_squares_are_good(fitted):
    report = fitted.report
    assert (report.verdict, report.reasons) == ("good", ())
    assert (report.num_rows, report.num_held_out) == (480, 120)
    x = squares(2_000, 1)
    gaussian = scipy.stats.multivariate_normal(x.mean(0), np.cov(x.T)).logpdf(x).mean()
    gain = np.mean(fitted.log_prob(x)) - gaussian
    assert gain > 0.4  # the true density has 1.27
    assert abs(gain - report.gain) < 5.0 * report.gain_error
    line = 1e9 + np.arange(-8.0, 8.0, 0.1)
    grid = np.stack(np.meshgrid(line, line), axis=-1)
    assert np.sum(np.exp(fitted.log_prob(grid))) * 0.01 == pytest.approx(1.0, abs=0.03)
    drawn = fitted.sample(2_000, seed=0)
    close(np.mean(drawn, axis=0) - 1e9, np.mean(x, axis=0) - 1e9, 0.3)
    close(np.std(drawn, axis=0), np.std(x, axis=0), 0.3)


def test_it_loads_with_its_report(fitted, tmp_path):
    fitted.save(tmp_path / "density.keras")
    loaded = tff.load(tmp_path / "density.keras").distribution
    x = squares(50, 2)
    np.testing.assert_array_equal(loaded.log_prob(x), fitted.log_prob(x))
    assert loaded.report == fitted.report


@pytest.mark.slow
def test_same_seed_same_density(quick):
    densities = [quick(ROWS, seed=seed) for seed in (3, 3, 4)]
    first, again, other = (density.log_prob(ROWS) for density in densities)
    close(again, first, 1e-3)
    assert differ(other, first)
    names = [type(part).__name__ for part in densities[0].components]
    assert names == ["TableDistribution", "FlowDistribution"]


def test_orders_of_the_variables_share_networks(op_by_op, tmp_path):
    options = {"hidden_units": (8,), "num_bins": 4, "num_members": 2}
    given = {"splines": options, "num_orders": 3, "flows": {}, "refits": True}
    x = np.random.default_rng(0).normal(size=(60, 3)).cumsum(axis=1)
    with trained_for(2, batch_size=64, **given) as quick:
        density = quick(x)
    orders = [getattr(part, "order", [0, 1, 2]) for part in density.components]
    assert orders == [[0, 1, 2], [2, 1, 0], [2, 0, 1]]
    assert sum(part.num_members for part in map(innermost, density.components)) == 6
    line = np.linspace(-30.0, 30.0, 31)
    grid = np.stack(np.meshgrid(line, line, line), axis=-1)
    assert np.exp(density.log_prob(grid)).sum() * 8.0 == pytest.approx(1.0, abs=0.05)
    close(np.std(density.sample(2_000, seed=0), axis=0), [1.0, 2.0**0.5, 3.0**0.5], 0.4)
    density.save(tmp_path / "density.keras")
    loaded = tff.load(tmp_path / "density.keras").distribution
    close(loaded.log_prob(x), density.log_prob(x), 1e-12)


def innermost(part):
    """The distribution itself, or that which it reorders."""
    return getattr(part, "distribution", None) or part


def test_contexts_and_frames(quick, tmp_path):
    frame = pd.DataFrame({"b": ROWS[:, 0], "a": ROWS[:, 1].astype(int)}, index=ROWS[:, 0])
    given = pd.DataFrame(CONTEXT, columns=[f"c{j}" for j in range(CONTEXT.shape[1])])
    density = quick(frame, given)
    assert np.isfinite(density.log_prob(frame, context=CONTEXT)).all()
    assert density.sample(3, seed=0, context=CONTEXT[:4]).shape == [3, 4, 2]
    assert list(density.report.baselines) == ["Gaussian", "Student's t"]
    density.save(tmp_path / "density.keras")
    loaded = tff.load(tmp_path / "density.keras")
    assert loaded.columns == density.columns
    for same in (density, loaded.distribution):
        assert np.isfinite(same.log_prob(frame, context=given)).all()
        with pytest.raises(ValueError, match=r"`value` of the columns \['b', 'a'\]"):
            same.log_prob(frame[["a", "b"]], context=given)
        with pytest.raises(ValueError, match=r"`value` of the columns \['b', 'a'\]"):
            same.log_prob(frame[["a", "b"]].iloc[0], context=given.iloc[0])
        with pytest.raises(ValueError, match="`context` of the columns"):
            same.sample(context=given.rename(columns={"c0": "c1"}))


def test_frames_have_names_beside_arrays(quick, tmp_path):
    frame = pd.DataFrame(ROWS, columns=["a", "b"])
    assert columns_of(frame, None) == [{"name": n, "role": "modelled"} for n in "ab"]
    assert columns_of(frame, CONTEXT) == columns_of(frame, None)
    assert columns_of(CONTEXT, frame) == [{"name": n, "role": "context"} for n in "ab"]
    assert columns_of(pd.DataFrame(ROWS), None) is None
    density = quick(frame, CONTEXT)
    density.save(tmp_path / "density.keras")
    model = tff.load(tmp_path / "density.keras")
    assert model.columns is None
    with pytest.raises(ValueError, match=r"`value` of the columns \['a', 'b'\]"):
        model.distribution.log_prob(frame[["b", "a"]], context=CONTEXT)


def test_rows_that_follow_from_the_context_have_no_density(quick):
    report = quick(ROWS @ [[2.0, 1.0], [0.5, 3.0]] + 0.1, ROWS).report
    words = "is a linear function of other columns and the context"
    assert [reason for reason in report.reasons if words in reason]


def test_a_given_flow_is_trained_in_its_place(quick):
    flow = tff.RealNVP(2, num_steps=2, hidden_units=(8,), seed=0)
    density = quick(ROWS, flow=flow)
    (component,) = density.components
    assert component.bijector is flow
    assert np.isfinite(density.log_prob(ROWS)).all()
    assert density.report.chosen == (f"the given flow `{flow.name}`", "weights 1.00")


def test_few_rows_of_a_gaussian_are_about_as_probable_as_under_it(quick):
    noise = np.random.default_rng(0).normal(size=(540, 16))
    x = noise[:, :15] + 3.0 * noise[:, 15:]  # a common factor
    train, test = x[:40], x[40:]
    density = quick(train)
    assert density.report.chosen[-2] == "a Gaussian"
    gap = density.log_prob(test) - gaussian(Data(train, None), Data(test, None))
    assert np.mean(gap) > -0.5


def test_a_flow_that_training_makes_worse_keeps_its_start(op_by_op):
    noise = np.random.default_rng(0).normal(size=(80, 12))  # many columns for the rows
    flow, start = (tff.MAF(12, num_steps=2, seed=0) for _ in range(2))
    fit_density(noise, flow=flow, max_steps=50, verbose=0)
    pairs = zip(flow.trainable_variables, start.trainable_variables, strict=True)
    for trained, initial in pairs:
        np.testing.assert_array_equal(trained, initial)


@pytest.mark.slow
def test_time_ends_a_fit_of_few_rows():
    density = fit_density(ROWS[:25, :1], max_minutes=1e-3, verbose=0)
    assert np.isfinite(density.log_prob([[0.1], [1e30], [-1e30]])).all()
    assert density.report.seconds < 120.0  # without a bound, minutes of a busy processor
    assert "Only 5 rows were held out" in density.report.reasons[0]


@pytest.mark.parametrize(
    ("form", "dtype"),
    [
        (ROWS.tolist(), "float64"),
        (ROWS.astype(np.float32), "float32"),
        (ROWS.astype(">f4"), "float64"),
        (ROWS.astype(np.int16), "float64"),
        (tf.constant(ROWS), "float64"),
        (pd.DataFrame({"x": ROWS[:, 0] > 0.5, "y": ROWS[:, 1]}), "float64"),
        (pd.DataFrame(ROWS.astype(int)).astype("Int64"), "float64"),
    ],
)
def test_rows_have_many_forms(form, dtype):
    data = checked_data(form, None)
    assert (data.x.dtype.name, data.x.dtype.isnative) == (dtype, True)
    close(data.x, np.asarray(form, np.float64))


def with_value(value):
    x = ROWS.copy()
    x[3, 1] = value
    return x


def objects(value, dtype=np.complex64):
    """Rows of Python's numbers, beside one of another type."""
    return np.array([[*row, np.array(value, dtype)[()]] for row in ROWS.tolist()], object)


FLOW = tff.RealNVP(2, num_steps=1, hidden_units=(4,))
BAD_CALLS = [
    (lambda: fit_density(with_value(np.nan)), "finite `rows` | 1 other | [[3, 1]]"),
    (lambda: fit_density(with_value(1e101)), "within 1e+100"),
    (lambda: fit_density(np.ma.masked_less(ROWS, 0.01)), "`rows` without masked entries"),
    (lambda: fit_density(ROWS.astype(str)), "`rows` as an array of numbers | <U"),
    (lambda: fit_density(objects(1j)), "`rows` as an array of numbers | dtype object"),
    (lambda: fit_density(objects(1, "m8[s]")), "`rows` as an array of numbers"),
    (
        lambda: fit_density(pd.DataFrame({"a": ["b"] * 30})),
        "columns ['a'] | `TableDensity`",
    ),
    (lambda: fit_density(ROWS * [1.0, 0.0]), "columns vary | [1]"),
    (lambda: fit_density(ROWS * [1e-200, 1.0]), "columns vary | [0]"),
    (
        lambda: fit_density([[1.0, 2.0], [3.0]]),
        "`rows` as an array of numbers | inhomogeneous",
    ),
    (lambda: fit_density(ROWS[:, 0]), "`rows` of shape [N, D] | (60,)"),
    (lambda: fit_density(ROWS[:19]), "at least 20 rows | 19"),
    (lambda: fit_density(ROWS, CONTEXT[:50]), "`context` of shape [60, C] | (50, 1)"),
    (lambda: fit_density(ROWS, CONTEXT * np.nan), "finite `context`"),
    (lambda: fit_density(ROWS[:, [0, 0, 0]], flow=FLOW), "`flow` on rows of 3 numbers"),
    (lambda: fit_density(ROWS, CONTEXT, flow=FLOW), "`context_size` 1 | got 0"),
    (lambda: fit_density(squares(60, 0), flow=FLOW), "float32 can tell apart"),
    (lambda: fit_density(ROWS, max_minutes=0), "`max_minutes` above 0 | got 0"),
    (lambda: fit_density(ROWS, max_steps=0), "`max_steps` | got 0"),
    (lambda: fit_density(ROWS, seed="a"), "`seed` | 'a'"),
    (lambda: fit_density(ROWS, verbose="loud"), "`verbose` of 'auto', 0, 1 or 2 | 'loud'"),
]


test_bad_calls_are_refused = all_refused(BAD_CALLS)
