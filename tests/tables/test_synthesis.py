"""Reports on synthetic rows: what passes, what is caught, and each score by itself."""

import json
import sys

import numpy as np
import pandas as pd
import pytest
import small_tables
from short_fits import few_trees
from subject import close

import tfp_flows as tff
from tfp_flows.tables import table_density
from tfp_flows.tables.columns import TableColumns
from tfp_flows.tables.frames import Frame
from tfp_flows.tables.synthesis import checks, fidelity
from tfp_flows.tables.synthesis.row_features import RowFeatures, are_copies, row_features

pytestmark = pytest.mark.usefixtures("all_op_by_op")

COUNT = 450


def draw(seed, count=COUNT):
    """Fresh rows of one distribution, with gaps, dates and a spike."""
    rng = np.random.default_rng(seed)
    kind = rng.choice(["a", "b", "c"], count, p=[0.5, 0.3, 0.2])
    x = rng.normal(size=count) + 2.0 * (kind == "b")
    y = np.where(rng.random(count) < 0.2, np.nan, x + 0.3 * rng.normal(size=count))
    spent = np.where(x < 0.0, 0.0, np.exp(x))
    days = np.round(10.0 * rng.random(count) + 10.0 * x).astype("timedelta64[D]")
    day = np.datetime64("2024-03-01") + days
    return pd.DataFrame({"kind": kind, "x": x, "y": y, "spent": spent, "day": day})


TRAIN, TEST, FRESH = (draw(seed) for seed in range(3))
COLUMNS = tff.describe_columns(TRAIN)
RNG = np.random.default_rng(0)
SHUFFLED = pd.DataFrame({name: RNG.permutation(FRESH[name]) for name in FRESH})


def report(rows, train=TRAIN, test=TEST, columns=COLUMNS, **options):
    return tff.tables.synthesis_report(rows, train, test, columns, seed=0, **options)


def failed(found):
    return {check.name for check in found.checks if check.failed}


@pytest.fixture(scope="module", autouse=True)
def _few_trees():
    with few_trees(30):
        yield


@pytest.fixture(scope="module")
def fresh():
    return report(FRESH, target="kind")


def test_fresh_rows_of_the_same_distribution_pass(fresh):
    assert (fresh.verdict, fresh.reasons) == (checks.VERDICTS[0], ())
    for found in fresh.detection.values():
        assert abs(found["auc"] - 0.5) < 3.0 * found["error"]
        close(found["score"], 2.0 - 2.0 * max(found["auc"], 0.5))
    assert 0.43 < fresh.distances["nearer_to_training"] < 0.57
    assert abs(fresh.utility["real"] - fresh.utility["synthetic"]) < 0.05
    assert fresh.copies == {"synthetic": 0, "test": 0}
    assert fresh.broken_rules == {}


def test_independent_columns_are_caught_by_detection_though_each_is_right():
    found = report(SHUFFLED, target="kind")
    assert found.verdict == checks.VERDICTS[1]
    shapes = [pair["synthetic"] for pair in found.shape.values()]
    assert np.mean(shapes) > 0.95  # noise of 450 rows; the columns are right
    assert found.detection["gradient boosting"]["auc"] > 0.9
    assert {"AUC of gradient boosting", "Trend, furthest behind", "utility lost"} <= failed(
        found
    )
    assert "Shape, furthest behind" not in failed(found)
    assert "Columns that tell it most" in found.reasons[0]
    assert list(found.telling_columns.values())[0] > 0.1


def test_copies_of_training_rows_are_caught_by_distances_and_counts():
    copies = TRAIN.sample(COUNT, random_state=0)
    found = report(copies)
    assert found.verdict == checks.VERDICTS[2]
    assert failed(found) == {"nearer to training", "close to training", "copied rows"}
    assert found.distances["nearer_to_training"] > 0.99
    assert found.copies == {"synthetic": COUNT, "test": 0}
    assert "refuses such rows" in found.reasons[-1]
    near = copies.assign(x=copies["x"] + 1e-4)  # no copy, yet as near
    found = report(near)
    assert failed(found) == {"nearer to training", "close to training"}
    assert found.copies["synthetic"] == 0


def test_some_copies_are_caught_by_their_count_and_by_close_distances():
    rows = pd.concat([FRESH[:400], TRAIN[:50]])
    found = report(rows)
    assert {"copied rows", "close to training"} <= failed(found)
    assert found.copies == {"synthetic": 50, "test": 0}


def test_copies_that_test_rows_contain_too_are_no_sign_of_copying():
    def few(seed):
        rng = np.random.default_rng(seed)
        return {"a": rng.choice(list("xyz"), 300), "b": rng.random(300) < 0.3}

    columns = tff.describe_columns(few(0))
    found = report(few(2), few(0), few(1), columns)
    assert found.verdict == checks.VERDICTS[0]
    assert found.copies == {"synthetic": 300, "test": 300}


def test_rows_that_break_rules_are_counted_by_rule():
    rows = FRESH.assign(spent=np.where(np.arange(COUNT) < 6, -1.0, FRESH["spent"]))
    rows.loc[7, "x"] = np.nan  # a gap in a column without gaps
    found = report(rows)
    assert found.verdict == checks.VERDICTS[2]
    rules = {name.split(":")[0]: counts for name, counts in found.broken_rules.items()}
    assert rules == {
        "x": {"synthetic": 1, "test": 0},
        "spent": {"synthetic": 6, "test": 0},
    }
    assert "1.56% of the synthetic rows break a rule" in found.reasons[0]
    broken = tff.tables.violated_rules(FRESH.assign(kind="z"), COLUMNS)
    assert [n.split(":")[0] for n, rows in broken.items() if rows.any()] == ["kind"]


def test_an_order_of_columns_is_a_rule():
    low = np.random.default_rng(0).normal(size=200).round(1)
    frame = {"low": low, "high": (low + np.arange(200) % 30 / 10).round(1)}
    columns = tff.describe_columns(frame)
    broken = tff.tables.violated_rules({"low": [1.0, 1.0], "high": [0.9, 1.1]}, columns)
    (rule,) = [name for name in broken if name.startswith("high - low: positive")]
    np.testing.assert_array_equal(broken[rule], [True, False])
    with pytest.raises(ValueError, match="Expected `columns`, what describe_columns"):
        tff.tables.violated_rules(columns, frame)


def test_few_rows_are_too_few_to_judge():
    found = report(FRESH[:300], TRAIN[:50], TEST[:80])
    assert found.num_rows == {"synthetic": 300, "training": 50, "test": 80}
    assert found.num_compared == 50
    assert found.verdict == checks.VERDICTS[2]
    assert "Only 50 rows of each kind" in found.reasons[0]
    assert report(*(frame[:100] for frame in (FRESH, TRAIN, TEST))).num_compared == 100


def test_many_rows_are_subsampled_and_the_report_says_so():
    found = report(draw(9, 20_000), draw(10, 20_000), draw(11, 20_000), max_rows=500)
    assert found.num_compared == 500
    assert "20,000 synthetic" in str(found)
    assert "500 of each compared" in str(found)


def test_reports_are_reproducible_printed_and_plain(fresh):
    frames = [{k: v.to_numpy() for k, v in f.items()} for f in (FRESH, TRAIN, TEST)]
    again = report(*frames, target="kind")  # dictionaries, as data frames
    assert again.to_plain() | {"seconds": fresh.seconds} == fresh.to_plain()
    loaded = tff.tables.SynthesisReport.from_plain(json.loads(json.dumps(fresh.to_plain())))
    assert loaded == fresh
    text = str(fresh)
    for words in ("verdict", "AUC of kind", "beta-recall", "no promise of privacy"):
        assert words in text


def test_numbers_whose_squares_overflow_are_compared():
    x, spent = FRESH["x"].to_numpy(copy=True), FRESH["spent"].to_numpy(copy=True)
    x[:2], spent[0] = [1e304, -1e200], 1e300
    with np.errstate(over="raise", invalid="raise"):
        found = report(FRESH.assign(x=x, spent=spent))
    assert failed(found) <= {"Trend, furthest behind", "alpha-precision", "beta-recall"}
    assert np.isfinite([pair[2:] for pair in found.trend]).all()


def in_other_dtypes(seed):
    rng, count = np.random.default_rng(seed), 120
    day = pd.Timestamp("2024-01-01", tz="Europe/Zurich")
    return pd.DataFrame(
        {
            "size": pd.Categorical(rng.choice(["lo", "hi"], count), ["lo", "hi"], True),
            "n": pd.array(np.where(rng.random(count) < 0.1, None, 7), dtype="Int64"),
            "at": day + pd.to_timedelta(rng.integers(0, 9999, count), unit="min"),
            "flag": pd.array(rng.random(count) < 0.4, dtype="boolean"),
        }
    )


@pytest.mark.parametrize(
    ("draw_one", "target"),
    [
        (in_other_dtypes, "flag"),
        (lambda seed: np.random.default_rng(seed).normal(size=(120, 2)), "x1"),
        (lambda seed: {"k": np.random.default_rng(seed).choice(list("abc"), 120)}, "k"),
    ],
    ids=["dtypes of pandas", "an array", "one column"],
)
def test_frames_of_all_forms_are_compared(draw_one, target):
    frames = [draw_one(seed) for seed in range(3)]
    found = report(*frames, tff.describe_columns(frames[1]), target=target)
    assert (found.num_compared, found.verdict) == (120, checks.VERDICTS[0])
    assert str(found)


def features(*frames, columns=COLUMNS):
    return row_features([Frame(frame) for frame in frames], columns)


def test_shape_and_trend_are_those_of_their_definitions():
    test, rows = features(TEST, SHUFFLED)
    found = fidelity.shape(test, rows)
    grid = np.sort(np.concatenate([TEST["x"], SHUFFLED["x"]]))
    below = [(f["x"].to_numpy()[:, None] <= grid).mean(axis=0) for f in (TEST, SHUFFLED)]
    close(found[1], 1.0 - np.abs(below[0] - below[1]).max())
    shares = [f["kind"].value_counts(normalize=True).sort_index() for f in (TEST, SHUFFLED)]
    close(found[0], 1.0 - 0.5 * np.abs(shares[0] - shares[1]).sum())
    trend = fidelity.trend(test, rows)
    present = [f.dropna() for f in (TEST, SHUFFLED)]
    own, other = (np.corrcoef(f["x"], f["y"])[0, 1] for f in present)
    close(trend[1, 2], 1.0 - abs(own - other) / 2.0)
    edges = np.histogram_bin_edges(TEST["x"], 10)
    edges[0], edges[-1] = -np.inf, np.inf
    tables = [
        pd.crosstab(f["kind"], np.digitize(f["x"], edges), normalize=True)
        for f in (TEST, SHUFFLED)
    ]
    both = tables[0].sub(tables[1], fill_value=0.0)
    close(trend[0, 1], 1.0 - 0.5 * both.fillna(0.0).abs().to_numpy().sum())
    np.testing.assert_array_equal(trend, trend.T)


def test_area_under_the_curve_is_that_of_scikit_learn_with_ties_too():
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    is_of_class, scores = rng.random(200) < 0.3, rng.random(200)
    for each in (scores, np.round(scores, 1), np.zeros(200)):
        close(fidelity._auc(is_of_class, each), metrics.roc_auc_score(is_of_class, each))


def test_precision_and_recall_are_those_of_their_definition():
    rng = np.random.default_rng(1)
    is_code = np.zeros(2, bool)
    x, y = rng.random([60, 2]), rng.random([50, 2]) * 0.7
    found = fidelity.precision_and_recall(RowFeatures(x, is_code), RowFeatures(y, is_code))
    x, y = ((z - x.min(axis=0)) / np.ptp(x, axis=0) for z in (x, y))
    between = np.linalg.norm(x[:, None] - y, axis=2)
    own = np.linalg.norm(x[:, None] - x, axis=2) + np.diag(np.full(60, np.inf))
    centres = [np.linalg.norm(z - c, axis=1) for z, c in ((y, x.mean(0)), (y, y.mean(0)))]
    outer, nearest = centres[1][between.argmin(axis=1)], between.min(axis=1)
    curves = []
    for level in np.linspace(0.0, 1.0, 30):
        radius = np.quantile(np.linalg.norm(x - x.mean(axis=0), axis=1), level)
        is_hit = (nearest <= own.min(axis=1)) & (outer <= np.quantile(outer, level))
        gaps = np.mean(centres[0] <= radius) - level, np.mean(is_hit) - level
        curves.append(np.abs(gaps))
    close(found, 1.0 - 2.0 * np.mean(curves, axis=0))
    copies = fidelity.precision_and_recall(*[RowFeatures(x, is_code)] * 2)
    assert min(copies) > 0.98


def test_distances_are_means_over_columns_of_shares_of_rows_between():
    frames = [
        {"n": [1.0, 2.0, 3.0, 4.0], "k": ["a", "b", "a", "b"]},
        {"n": [1.0, np.nan, 9.0], "k": ["b", "z", None]},
    ]
    columns = TableColumns(
        [
            small_tables.column("n"),
            small_tables.column("k", "categorical", values=["a", "b"]),
        ]
    )
    known, rows = features(*frames, columns=columns)
    found = fidelity.nearest_distances(rows, known, known)
    # Ranks of 1, 2, 3, 4 are 1/8, 3/8, 5/8, 7/8, and that of 9 is 1.
    close(found, [1 / 8, 1.0, (1 / 8 + 1) / 2], 1e-6)
    close(fidelity.nearest_distances(rows, rows, known), np.zeros(3))
    np.testing.assert_array_equal(are_copies(rows, rows), [True] * 3)
    np.testing.assert_array_equal(are_copies(rows, known), [False] * 3)


def test_copies_are_equal_but_for_the_rounding_of_fractions_to_float32():
    second, moment = np.timedelta64(1, "s"), np.datetime64("2024-01-01T00:00:01")
    frame = {
        "n": 10**9 + np.array([0, 0, 1, 0, 0]),
        "p": np.array([0.1, np.nan, 0.1, 0.2, 0.1], np.float32),
        "at": moment + np.array([0, 0, 0, 0, 1]) * second,
    }
    kinds = {"n": "integer", "p": "real", "at": "date"}
    columns = [small_tables.column(name, kind) for name, kind in kinds.items()]
    known = {name: cells[:2] for name, cells in frame.items()} | {"p": [0.1, np.nan]}
    known, rows = features(known, frame, columns=TableColumns(columns))
    expected = [True, True, False, False, False]
    np.testing.assert_array_equal(are_copies(rows, known), expected)


def test_association_is_between_nothing_and_all():
    x = RNG.normal(size=300)
    rows = RowFeatures(
        np.stack([x, -x, x > 0.0, x > 0.0, 0.0 * x], axis=1), np.arange(5) > 1
    )
    found = fidelity.association(rows)
    close([found[0, 1], found[2, 3]], [1.0, 1.0])
    assert 0.7 < found[0, 2] < 0.9  # sqrt(2 / pi)
    assert np.isnan(found[0, 4])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"target": "other"}, "Expected `target` of"),
        ({"max_rows": 5}, "`max_rows` of at least 10"),
        ({"test": TEST[:9]}, "at least 10 rows of each kind"),
        ({"test": TEST.drop(columns="x")}, "Expected `real_test` with the columns"),
        ({"rows": FRESH.assign(day=1.0)}, "date"),
        ({"rows": FRESH.assign(kind=1.0)}, "one type in column 'kind'"),
    ],
)
def test_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        report(**({"rows": FRESH} | arguments))


def test_without_scikit_learn_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.exceptions", None)
    with pytest.raises(ImportError, match=r"tfp_flows\[sklearn\]"):
        report(FRESH)


def few_rows(seed, count=200):
    rng = np.random.default_rng(seed)
    return pd.DataFrame({"n": rng.integers(0, 200, count), "even": rng.random(count) < 0.5})


@pytest.fixture(scope="module")
def table():
    return small_tables.fitted(tff.describe_columns(few_rows(0)), few_rows(0))


def test_excluded_rows_are_not_drawn(table):
    known = few_rows(0)
    rows = table.sample(100, seed=0)
    assert rows.merge(known, how="inner").size > 0
    other = table.sample(100, seed=0, exclude=known)
    assert len(other) == 100
    assert other.merge(known, how="inner").size == 0
    is_kept = ~rows.apply(tuple, axis=1).isin(known.apply(tuple, axis=1))
    pd.testing.assert_frame_equal(rows[is_kept], other[is_kept])
    pd.testing.assert_frame_equal(other, table.sample(100, seed=0, exclude=known))
    assert len(table.sample(0, exclude=known)) == 0


def test_excluded_rows_of_a_context_keep_the_context():
    known = few_rows(0)
    columns = tff.describe_columns(known)
    table = small_tables.fitted(columns, known, context=["even"])
    context = few_rows(1)[["even"]].set_index(np.arange(200) + 5)
    rows = table.sample(context=context, seed=0, exclude=known)
    assert rows.merge(known, how="inner").size == 0
    pd.testing.assert_frame_equal(rows[["even"]], context)
    with pytest.raises(ValueError, match="Expected a table without a context"):
        table.synthesis_report(known, known)


def test_excluding_all_possible_rows_is_refused(monkeypatch):
    monkeypatch.setattr(table_density, "_MOST_ATTEMPTS", 5)
    rows = {"a": np.array(["x", "y"] * 20), "b": np.arange(40) < 20}
    table = small_tables.fitted(tff.describe_columns(rows), rows)
    with pytest.raises(ValueError, match="Expected rows beside those of `exclude`; 9 of 9"):
        table.sample(9, seed=0, exclude=rows)


def test_the_report_of_a_table_draws_its_rows(table):
    train, test = few_rows(0), few_rows(1, 120)
    found = table.synthesis_report(train, test, seed=0)
    assert found.num_rows == {"synthetic": 120, "training": 200, "test": 120}
    rows = table.sample(120, seed=0)
    other = tff.tables.synthesis_report(rows, train, test, table.columns, seed=0)
    assert found.to_plain() | {"seconds": 0} == other.to_plain() | {"seconds": 0}
    assert found.copies["synthetic"] > 0
    found = table.synthesis_report(train, test, seed=0, exclude_copies=True, count=150)
    assert found.copies["synthetic"] == 0
    assert found.num_rows["synthetic"] == 150
