"""`table_density` on a user's table, and `sample` and `predict` with its model."""

import csv
import dataclasses
import json

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from refused import assert_refused

import tfp_flows
from experiments import predict, sample, table_density
from experiments.data import DataError
from experiments.density_estimation import diagnostics
from experiments.reports import plots
from experiments.table_density import experiment, pictures, report
from experiments.table_density.data import read_table
from experiments.table_density.features import features
from experiments.table_density.settings import TableDensitySettings

COUNT = 120
SMALL = {"num_members": 1, "hidden_units": (4,), "num_bins": 4, "epochs": 1, "progress": 0}


def table():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "city": rng.choice(["Bern", "Zürich"], COUNT),
            "member": rng.random(COUNT) < 0.4,
            "age": rng.integers(18, 90, COUNT),
            "hour": rng.uniform(0.0, 24.0, COUNT).round(3),
            "income": np.where(rng.random(COUNT) < 0.3, 0.0, rng.lognormal(size=COUNT)),
        }
    )
    frame["note"] = [f"text {i}" for i in range(COUNT)]
    return frame


def written(frame, path, **more):
    frame.to_csv(path, index=False, **more)
    return path


KINDS = ("note=drop", "hour=periodic:0:24")


@pytest.fixture(scope="module")
def finished(tmp_path_factory, all_op_by_op):
    """Folders and results of two runs: all columns jointly, and one given others."""
    folder = tmp_path_factory.mktemp("tables")
    settings = {"csv_path": str(written(table(), folder / "rows.csv")), **SMALL}
    joint = TableDensitySettings(
        **{"report": "synthetic", "target": "member", "exclude_copies": True},
        **{"kinds": KINDS, "run_dir": str(folder / "joint"), **settings},
    )
    income = dataclasses.replace(
        joint,
        **{"report": "density", "target": "", "exclude_copies": False},
        kinds=(*KINDS[:1], "hour=drop"),
        context_columns=("city", "member", "age"),
        run_dir=str(folder / "income"),
    )
    return {
        "joint": (folder / "joint", table_density.run(joint)),
        "income": (folder / "income", table_density.run(income)),
    }


# What the report of each run shows.
PICTURES = {
    "joint": ("columns.png", "association.png", "pairs.png", "learning_curve.png"),
    "income": ("columns.png", "levels.png", "learning_curve.png"),
}


def test_the_report_has_kinds_likelihood_diagnostics_and_pictures(finished):
    folder, results = finished["joint"]
    assert json.loads((folder / "results.json").read_text()) == results
    text = (folder / "report.md").read_text()
    for words in (
        *("hour    periodic     0 to 24", "spikes 0"),
        *(f"{results['test_log_likelihood']['nats']:.3f}", "test rows from samples"),
    ):
        assert words in text
    assert results["num_rows"] == {"train": 108, "test": 12}
    kinds = [column["kind"] for column in results["columns"]]
    assert kinds == ["categorical", "boolean", "integer", "periodic", "positive"]
    folder, results = finished["income"]
    assert len(results["prediction"]["methods"]) == 3
    text = (folder / "report.md").read_text()
    assert "quantile gradient boosting: CRPS" in text
    assert "income given city, member, age" in text
    for name, (folder, _) in finished.items():
        text = (folder / "report.md").read_text()
        for picture in PICTURES[name]:
            assert f"({picture})" in text
            assert matplotlib.image.imread(folder / picture)[..., :3].std() > 0.02


def test_the_report_lists_columns_without_their_rules(finished):
    _, results = finished["joint"]
    rules = [{"names": ["age", "hour"]}, {"name": "age", "minus": ["hour"]}]
    with_rules = {**results, "columns": [*results["columns"], *rules]}
    assert report.table(with_rules) == report.table(results)


def test_the_report_on_synthetic_rows_has_its_numbers_and_what_they_show(finished):
    folder, results = finished["joint"]
    found = tfp_flows.tables.SynthesisReport.from_plain(results["synthesis"])
    assert found.num_rows == {"synthetic": 12, "training": 108, "test": 12}
    assert found.copies["synthetic"] == 0
    assert found.utility["target"] == "member"
    text = (folder / "report.md").read_text()
    assert "# Synthetic rows of rows.csv" in text
    assert f"**Synthetic rows: {found.verdict}. Only 12 rows" in text
    assert "what distances can show: more synthetic rows near training" in text
    for name, shown in found.table():
        assert f"- {name}: {shown}" in text
    assert finished["income"][1]["synthesis"] is None


def test_a_target_that_is_no_column_is_refused(tmp_path):
    path = str(written(table()[["city", "age"]], tmp_path / "rows.csv"))
    settings = TableDensitySettings(csv_path=path, report="synthetic", target="note")
    with pytest.raises(DataError, match=r"`target` of \['city', 'age'\]; got 'note'"):
        table_density.run(settings)
    written(table()[["city", "age"]].assign(note=1), tmp_path / "rows.csv")
    with pytest.raises(DataError, match="`target` that varies; got 'note'"):
        table_density.run(settings)


def test_too_few_rows_for_a_report_on_synthetic_rows_are_refused(tmp_path):
    rows = table()[["city", "age"]].head(80)
    path = str(written(rows, tmp_path / "rows.csv"))
    run_dir = str(tmp_path / "run")
    settings = TableDensitySettings(csv_path=path, report="synthetic", run_dir=run_dir)
    with pytest.raises(DataError, match="at least 10 .*'training': 72, 'test': 8"):
        table_density.run(settings)
    assert not (tmp_path / "run").exists()


def lines(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def use(program, finished, name, tmp_path, *flags):
    out = tmp_path / f"{program.__name__}.csv"
    arguments = [f"--model={finished[name][0]}", f"--out={out}", *flags]
    assert program.cli(["program", *arguments, "--progress=0"]) == 0
    return lines(out)


def test_samples_and_predictions_are_in_the_table_s_units(finished, tmp_path):
    drawn = use(sample, finished, "joint", tmp_path, "--rows=50")
    assert list(drawn[0]) == ["city", "member", "age", "hour", "income"]
    assert {row["city"] for row in drawn} == {"Bern", "Zürich"}
    assert {row["member"] for row in drawn} == {"True", "False"}
    assert all(0.0 <= float(row["hour"]) <= 24.0 for row in drawn)
    assert all(float(row["age"]) == round(float(row["age"])) >= 0 for row in drawn)
    assert any(float(row["income"]) == 0.0 for row in drawn)
    given = written(table().iloc[:5], tmp_path / "given.csv")
    found = use(predict, finished, "income", tmp_path, f"--csv={given}")
    assert list(found[0]) == ["income 0.05", "income 0.5", "income 0.95"]
    for row in found:
        low, middle, high = map(float, row.values())
        assert 0.0 <= low <= middle <= high
    (tmp_path / "experiments.sample.csv").unlink()
    drawn = use(sample, finished, "income", tmp_path, f"--given={given}", "--rows=2")
    for name in ("city", "age"):  # whole numbers are written as they were given
        expected = np.repeat(table()[name].astype(str)[:5], 2)
        assert [row[name] for row in drawn] == list(expected)


def test_everything_wrong_with_a_table_is_told_at_once(tmp_path, capsys, monkeypatch):
    frame = table().astype({"age": object, "hour": object})
    frame.loc[3, "age"], frame.loc[5, "hour"], frame.loc[6, "hour"] = "old", "noon", "x"
    path = written(frame, tmp_path / "bad.csv")
    flags = [f"--csv_path={path}", f"--run_dir={tmp_path / 'run'}", "--kinds=size=real"]
    words = [
        "no column 'size' of --kinds",
        "column 'age' has numbers, but 'old' in line 5",
        "column 'hour' has numbers, but 'noon' in line 7, 'x' in line 8",
    ]
    assert_refused(experiment, flags, 1, words, capsys, monkeypatch)
    assert not (tmp_path / "run").exists()


def test_the_order_of_texts_is_given_and_that_of_numbers_is_their_own(tmp_path):
    frame = table()[["city", "age"]]
    frame["size"] = np.resize(["low", "mid", "high"], COUNT)
    frame["grade"] = np.resize([3, 1, 2], COUNT)
    path = str(written(frame, tmp_path / "rows.csv"))

    def columns(*kinds):
        return read_table(TableDensitySettings(csv_path=path, kinds=kinds))[1]

    order = "size=ordered:low:mid:high"
    assert [f.label for f in columns(order).functions] == ["grade = lookup(size)"]
    given = columns(f"{order}:huge", "grade=ordered:2:3:1")
    assert not given.functions  # "huge" has no grade
    tfp_flows.TableDensity(given)
    assert given["size"].values == ["low", "mid", "high", "huge"]
    assert given["grade"].values == [2, 3, 1]
    assert columns("grade=ordered")["grade"].values == [1, 2, 3]
    for kind, words in {
        "size=ordered": "order of the texts of 'size' is not known.*--kinds=size=ordered:",
        "size=ordered:low:mid": r"lacks \['high'\]",
        "grade=ordered:1:2:3:x": r"has \['x'\]",
    }.items():
        with pytest.raises(DataError, match=words):
            columns(kind)


@pytest.mark.parametrize("values", [[2.0, 0.0, 1.5], [1e6 + 0.5, 1e6, 1e6 - 0.5]])
def test_numbers_are_in_the_given_order(values, tmp_path):
    frame = table()[["city"]].assign(grade=np.resize(values, COUNT))
    kinds = (f"grade=ordered:{':'.join(map(str, values))}",)
    path = str(written(frame, tmp_path / "rows.csv"))
    _, columns = read_table(TableDensitySettings(csv_path=path, kinds=kinds))
    assert columns["grade"].values == values


def test_codes_do_not_tell_in_which_frame_a_category_was_first():
    """Beyond 255 categories, a classifier takes codes for numbers."""
    names = [f"u{i}" for i in range(600)]
    frames = [pd.DataFrame({"user": part + [None]}) for part in (names[::2], names[1::2])]
    columns = tfp_flows.describe_columns(pd.DataFrame({"user": names * 2}))
    columns.change("user", kind="categorical", values=names)
    found, is_categorical = features(pd.concat(frames), columns)
    other, _ = features(pd.concat(frames[::-1]), columns)
    assert not any(is_categorical)
    np.testing.assert_array_equal(found, np.roll(other, len(frames[1]), axis=0))
    first, second = np.split(found[:, 0], 2)
    assert abs(np.nanmean(first) - np.nanmean(second)) < 10.0  # 300 by appearance
    assert np.isnan([first[-1], second[-1]]).all()


def test_missing_cells_are_nan_in_features():
    day = pd.to_datetime(["2024-01-01", None, "2024-02-01"] * 300)
    frame = pd.DataFrame({"kind": ["a", "b", None] * 300, "day": day})
    rows, is_categorical = features(frame, tfp_flows.describe_columns(frame))
    assert is_categorical == [True, False]
    np.testing.assert_array_equal(np.isnan(rows), frame.isna())


@pytest.mark.parametrize("count", [0, 1, 19])
def test_a_column_of_few_numbers_is_compared(count):
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(100, 2)), columns=["x", "y"])
    columns = tfp_flows.describe_columns(frame)
    frame.loc[count:, "y"] = np.nan
    rows, _ = features(frame, columns)
    assert diagnostics.cross_validated_accuracy(rows, 50, 0)["num_rows"] == 100


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("counts", [(0, 0), (0, 3), (3, 0)])
def test_a_column_without_a_value_among_the_test_rows_is_drawn(counts, tmp_path):
    figure, axes = plots.grid(1, 1, (2.0, 2.0))
    pictures._histograms(axes[0, 0], *(pd.Series(np.arange(1.0 * n)) for n in counts))
    plots.save(figure, tmp_path / "picture.png")


def test_missing_cells_are_dropped_or_modelled(tmp_path):
    frame = table()
    frame.loc[2, "income"] = np.nan
    frame.loc[4, "city"] = None
    path = str(written(frame, tmp_path / "rows.csv", na_rep="NA"))
    settings = {"csv_path": path, "kinds": KINDS}
    rows, columns = read_table(TableDensitySettings(missing="drop", **settings))
    assert len(rows) == COUNT - 2
    assert not any(column.num_missing for column in columns)
    rows, columns = read_table(TableDensitySettings(missing="indicator", **settings))
    assert len(rows) == COUNT
    assert (columns["income"].num_missing, columns["city"].num_missing) == (1, 1)


def test_dates_decimal_commas_and_encodings(tmp_path):
    frame = table()[["city", "hour"]]
    frame["when"] = pd.date_range("2020-01-01", periods=COUNT)
    written(frame, tmp_path / "x.csv", sep=";", decimal=",", encoding="latin-1")
    settings = TableDensitySettings(
        csv_path=str(tmp_path / "x.csv"), decimal=",", encoding="latin-1"
    )
    rows, columns = read_table(settings)
    assert [column.kind for column in columns] == ["categorical", "positive", "date"]
    np.testing.assert_array_equal(rows["hour"], frame["hour"])
    assert (rows["when"] == frame["when"]).all()
    assert set(rows["city"]) == {"Bern", "Zürich"}
