"""Estimators of scikit-learn: its own checks, and flows in its pipelines and searches."""

import pickle

import numpy as np
import pandas
import pytest
from refusals import all_refused
from short_fits import trained_for
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from tfp_flows.sklearn import FlowDensity, FlowRegressor

SMALL = {"num_members": 1, "num_bins": 4, "hidden_units": (8,)}
TINY = {**SMALL, "random_state": 0}
ONE_STEP = {"epochs": 1, "batch_size": 512}
FOR_CHECKS = {**TINY, "epochs": 60, "learning_rate": 0.02, "patience": 20}
# Checks whose tables are too small for `fit_density`.
FEW_ROWS = {
    "check_n_features_in_after_fitting": "has 15 rows",
    "check_estimators_nan_inf": "has 10 rows",
    "check_fit2d_1feature": "has 10 rows",
}


@pytest.mark.slow
@pytest.mark.usefixtures("quickly")
@parametrize_with_checks(
    [FlowRegressor(**FOR_CHECKS), FlowDensity(random_state=0)],
    expected_failed_checks=lambda estimator: (
        FEW_ROWS if isinstance(estimator, FlowDensity) else {}
    ),
)
def test_checks_of_scikit_learn(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def quickly():
    """Makes the fits of `fit_density` short."""
    with trained_for(1, splines=SMALL, flows={}):
        yield


@pytest.fixture(scope="module")
def regression():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 2))
    return x, 2.0 * x[:, 0] + 0.3 * rng.normal(size=300)


@pytest.mark.slow
def test_a_regressor_in_a_pipeline(regression):
    x, y = regression
    regressor = FlowRegressor(**TINY, epochs=80, learning_rate=0.02)
    pipeline = make_pipeline(StandardScaler(), regressor).fit(x[:200], y[:200])
    assert pipeline.score(x[200:], y[200:]) > 0.9
    scaled = pipeline[0].transform(x[200:])
    low, middle, high = regressor.predict_quantiles(scaled).T
    assert (low < middle).all()
    assert (middle < high).all()
    assert 0.75 < np.mean((low < y[200:]) & (y[200:] < high)) <= 1.0
    mean, stddev = regressor.predict(scaled, return_std=True)
    assert np.mean(np.abs(mean - 2.0 * x[200:, 0])) < 0.2
    assert 0.2 < np.median(stddev) < 0.6
    # The density of the noise, at best.
    best = -0.5 - np.log(0.3 * np.sqrt(2.0 * np.pi))
    assert best - 0.5 < np.mean(regressor.log_prob(scaled, y[200:])) < best + 0.2


@pytest.mark.usefixtures("op_by_op", "quickly")
def test_densities_are_searched_and_validated(regression):
    x, _ = regression
    density = FlowDensity(random_state=0)
    search = GridSearchCV(density, {"max_minutes": [0.1, 0.2]}, cv=2).fit(x[:100])
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    best = search.best_estimator_
    drawn = best.sample(7, random_state=1)
    np.testing.assert_array_equal(drawn, best.sample(7, random_state=1))
    scores = best.score_samples(x)
    assert best.score(x) == pytest.approx(scores.sum())
    density = best.density_
    assert density.report.num_rows + density.report.num_held_out == 100
    np.testing.assert_allclose(scores, density.log_prob(x), rtol=1e-5)
    assert (pickle.loads(pickle.dumps(best)).score_samples(x) == scores).all()


@pytest.mark.usefixtures("op_by_op")
def test_kinds_are_given_by_name(regression):
    x, y = regression
    kinds = {"x0": {"kind": "bounded", "low": -9.0, "high": 9.0}, "y": "heavy-tailed"}
    regressor = FlowRegressor(kinds=kinds, **TINY, **ONE_STEP).fit(x, y)
    assert [c.kind for c in regressor.columns_] == ["bounded", "real", "heavy-tailed"]
    with pytest.raises(ValueError, match=r"`kinds` of .*'y'.*got those of \['z'\]"):
        FlowRegressor(kinds={"z": "real"}, **TINY).fit(x, y)


@pytest.mark.usefixtures("op_by_op")
def test_errors_count_the_rows_that_are_given():
    x = np.stack([np.arange(30) % 3.0, np.linspace(0.0, 1.0, 30)], axis=1)
    kinds = {"x0": "categorical"}
    regressor = FlowRegressor(kinds=kinds, **TINY, **ONE_STEP).fit(x, x[:, 1])
    with pytest.raises(ValueError, match=r"got 9.0 in row 1 \(1 rows\)"):
        regressor.predict([[0.0, 0.5], [9.0, 0.5]])


@pytest.mark.usefixtures("op_by_op")
def test_one_quantile_has_no_axis_and_huge_whole_numbers_are_real(regression):
    x, y = regression
    regressor = FlowRegressor(**TINY, **ONE_STEP).fit(x, 1e16 + 200.0 * np.round(30.0 * y))
    assert regressor.columns_["y"].kind == "real"
    several = regressor.predict_quantiles(x[:3], [0.5])
    np.testing.assert_array_equal(regressor.predict_quantiles(x[:3], 0.5), several[:, 0])


@pytest.mark.usefixtures("op_by_op")
def test_rows_without_weight_are_left_out(regression):
    x, y = regression
    weight = np.repeat([0.0, 1.0, 2.0], 100)
    far = np.where(weight > 0.0, y, 1e3)  # would change the description of the columns
    weighted = FlowRegressor(**TINY, **ONE_STEP).fit(x, far, sample_weight=weight)
    some = FlowRegressor(**TINY, **ONE_STEP)
    some.fit(x[100:], y[100:], sample_weight=weight[100:])
    np.testing.assert_array_equal(weighted.log_prob(x, y), some.log_prob(x, y))
    assert weighted.score(x, y, sample_weight=weight) > weighted.score(x, far)


BAD_CALLS = [
    (lambda: fitted(np.full(9, 3.0)), "`y` that varies, to have a density | got 3 alone"),
    (lambda: fitted(np.ma.masked_less(np.arange(9.0), 2.0)), "`y` without masked entries"),
    (
        lambda: FlowDensity().fit(np.ma.masked_less(np.eye(30), 1.0)),
        "`X` without masked entries",
    ),
    (lambda: fitted(np.arange(9).astype("M8[D]")), "`y` of numbers | dates or durations"),
    (lambda: fitted(kinds="real"), "`kinds`, a dictionary | 'real'"),
    (lambda: fitted(kinds={"x0": ["real"]}), "`kinds`, a dictionary | {'x0': ['real']}"),
    (lambda: fitted(random_state=np.random.default_rng(0)), "cannot be used to seed"),
]


def fitted(y=np.arange(9.0), **options):  # noqa: B008
    FlowRegressor(**{**TINY, **options}).fit(np.eye(9), y)


test_bad_call_is_refused_in_words = all_refused(BAD_CALLS)


def test_columns_of_one_name_are_refused():
    frame = pandas.DataFrame(np.eye(9)[:, :3], columns=["a", "a", "b"])
    # Newer versions of scikit-learn refuse them themselves.
    with pytest.raises(ValueError, match="name for each column|unique column names"):
        FlowRegressor(**TINY).fit(frame, np.arange(9.0))


@pytest.mark.usefixtures("op_by_op")
def test_features_that_training_rows_cannot_have_are_moved_with_a_warning(regression):
    x, y = regression
    regressor = FlowRegressor(**TINY, **ONE_STEP).fit(np.exp(x), y)
    rows = np.array([[-1.0, 1.0], [1.0, 2.0]])
    with pytest.warns(UserWarning, match=r"nearest inside; how many.*\{'x0': 1\}"):
        moved = regressor.predict(rows)
    np.testing.assert_allclose(moved[1], regressor.predict(rows[1:])[0], rtol=1e-5)
    assert np.isfinite(moved).all()


def test_a_feature_may_not_have_the_name_of_the_target():
    frame = pandas.DataFrame({"x": np.arange(30.0), "y": np.arange(30.0) ** 2})
    with pytest.raises(ValueError, match="not named 'y'"):
        FlowRegressor().fit(frame, np.arange(30.0))
