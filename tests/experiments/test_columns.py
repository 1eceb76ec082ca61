"""What a run knows of the columns of its table, and the tables it refuses."""

import dataclasses
import json
import pathlib
import re

import keras
import numpy as np
import pytest
from tiny_runs import TINY
from tiny_runs import in_folder

from experiments.data import DataError
from experiments.data import load_dataset
from experiments.data.columns import differences
from experiments.data.dataset import Dataset
from experiments.density_estimation import evaluation
from experiments.density_estimation import experiment as density_estimation
from experiments.runs.run_directory import RunDirectoryError

TABLE_RUN = {"dataset": "csv", "drop_constant_columns": True, "batch_size": 100}
COUNT = 200
RNG = np.random.default_rng(0)
TABLE = {
    "height": RNG.normal(170.0, 8.0, COUNT),
    "year": RNG.integers(1950, 2000, COUNT).astype(float),
    "sex": np.arange(COUNT) % 2.0,
    "site": np.full(COUNT, 7.0),
    "weight": RNG.normal(70.0, 9.0, COUNT),
}
COLUMNS = [
    {"name": "height", "role": "modelled", "kind": "real", "position": 0},
    {"name": "weight", "role": "modelled", "kind": "real", "position": 4},
    {"name": "year", "role": "context", "kind": "integer", "position": 1},
    {"name": "sex", "role": "context", "kind": "binary", "position": 2},
    {"name": "site", "role": "dropped", "kind": "constant", "position": 3},
]


def write(path, table):
    rows, header = np.stack(list(table.values()), axis=1), ",".join(table)
    np.savetxt(path, rows, "%.17g", delimiter=",", header=header, comments="")
    return str(path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, _quick, all_op_by_op):
    """A finished run's settings and results."""
    folder = tmp_path_factory.mktemp("table")
    changes = TABLE_RUN | {"csv_path": write(folder / "table.csv", TABLE)}
    changes["context_columns"] = ("year", "sex")
    settings = in_folder(TINY, folder / "run", **changes)
    return settings, density_estimation.run(settings)


def test_columns_stand_in_the_results_the_report_and_the_model(finished):
    settings, results = finished
    assert [{f: c[f] for f in COLUMNS[0]} for c in results["columns"]] == COLUMNS
    folder = pathlib.Path(settings.run_dir)
    assert json.loads((folder / "results.json").read_text()) == results
    assert keras.saving.load_model(folder / "model.keras").columns == results["columns"]
    text = (folder / "report.md").read_text()
    assert "2, given 2: year, sex" in text
    assert "constant columns, left out: site" in text


def test_columns_of_other_sets_are_known_too():
    known = load_dataset("two_moons").described_columns
    expected = [(name, "modelled", "real") for name in "xy"]
    assert [(c["name"], c["role"], c["kind"]) for c in known] == expected
    assert load_dataset("digits").described_columns is None


OTHER_TABLES = {
    "renamed": (
        {"size" if k == "height" else k: v for k, v in TABLE.items()},
        "columns ['height'] are missing; columns ['size'] are unknown",
    ),
    "constant now": (
        TABLE | {"sex": np.ones(COUNT)},
        "column 'sex' was context and is dropped",
    ),
    "of another kind": (
        TABLE | {"year": TABLE["year"] + 0.5},
        "column 'year' was integer and is real",
    ),
    "in another order": (
        dict(reversed(TABLE.items())),
        "order ['height', 'weight'] and are in the order ['weight', 'height']",
    ),
}


@pytest.fixture
def file(finished):
    """The file of the table of `finished`, which is as before after the test."""
    path = pathlib.Path(finished[0].csv_path)
    before = path.read_text()
    yield path
    path.write_text(before)


@pytest.mark.parametrize("name", OTHER_TABLES)
def test_a_finished_run_refuses_a_table_of_other_columns(name, finished, file):
    table, words = OTHER_TABLES[name]
    write(file, table)
    with pytest.raises(RunDirectoryError, match=re.escape(words)):
        density_estimation.run(finished[0])


def test_a_run_that_starts_from_it_refuses_a_table_of_other_columns(finished, tmp_path):
    table, words = OTHER_TABLES["of another kind"]
    settings = dataclasses.replace(
        finished[0],
        csv_path=write(tmp_path / "other.csv", table),
        init_from=finished[0].run_dir,
        run_dir=str(tmp_path / "run"),
    )
    with pytest.raises(RunDirectoryError, match=re.escape(words)):
        density_estimation.run(settings)
    assert not (tmp_path / "run").exists()


def test_a_finished_run_refuses_other_rows_and_needs_no_table(finished, file):
    settings, results = finished
    write(file, TABLE | {"height": TABLE["height"] + 1.0})
    with pytest.raises(RunDirectoryError, match="other training rows"):
        density_estimation.run(settings)
    file.unlink()
    assert density_estimation.run(settings) == results


def test_a_narrower_kind_and_other_dropped_columns_are_no_difference():
    now = [dict(c, kind="binary") if c["name"] == "year" else c for c in COLUMNS[:-1]]
    assert differences(COLUMNS, now) == ""
    assert differences(COLUMNS[:-1], COLUMNS) == ""


OFFSETS = {
    "seconds": 1.7e9 + TABLE["weight"] / 14.0,
    "with a missing value": np.r_[0.0, 1.7e9 + TABLE["weight"][1:] / 14.0],
    "tiny": 1e-50 * TABLE["weight"],
}


@pytest.mark.parametrize("context", [(), ("time",)], ids=["modelled", "context"])
@pytest.mark.parametrize("name", OFFSETS)
def test_what_float32_does_not_resolve_is_refused_in_these_words(name, context, tmp_path):
    table = {"height": TABLE["height"], "time": OFFSETS[name]}
    arguments = {"context_columns": context, "drop_constant_columns": True}
    words = r"more than float32 resolves at their size.*\['time'\].*subtract a number"
    with pytest.raises(DataError, match=words) as refusal:
        load_dataset("csv", csv_path=write(tmp_path / "x.csv", table), **arguments)
    assert "vary" not in str(refusal.value)


RESOLVED = {
    "days of seconds": 1.7e9 + 1e5 * RNG.normal(size=COUNT),
    "mostly one number": np.where(np.arange(COUNT) < 10, RNG.normal(size=COUNT), 1e6),
    "few values, with the rounding of float64": (
        np.round(RNG.normal(size=COUNT), 1) * 3.0 / 3.0 + 1e-16 * RNG.normal(size=COUNT)
    ),
    "zeros and ones": TABLE["sex"],
}


@pytest.mark.parametrize("name", RESOLVED)
def test_what_float32_resolves_is_taken(name, tmp_path):
    path = write(tmp_path / "x.csv", {"height": TABLE["height"], "x": RESOLVED[name]})
    assert load_dataset("csv", csv_path=path).labels == ("height", "x")


def test_a_constant_up_to_rounding_is_constant(tmp_path):
    table = {"a": TABLE["height"], "b": TABLE["weight"]}
    noise = 0.3 * (1.0 + 2.2e-16 * RNG.integers(-1, 2, COUNT))
    path = write(tmp_path / "x.csv", table | {"noise": noise})
    with pytest.raises(DataError, match=r"that vary .* \['noise'\]"):
        load_dataset("csv", csv_path=path)
    kept = load_dataset("csv", csv_path=path, drop_constant_columns=True)
    assert kept.labels == ("a", "b")


@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e6])
def test_the_gaussian_does_not_depend_on_the_units_of_the_context(scale):
    rng = np.random.default_rng(0)
    context = rng.normal(size=(300, 2)).astype(np.float32)
    rows = (context @ [[1.0], [2.0]] + 0.1 * rng.normal(size=(300, 1))).astype(np.float32)

    def nats(context):
        sets = np.split(rows, [200, 250])
        names = ("train_context", "validation_context", "test_context")
        given = dict(zip(names, np.split(context, [200, 250]), strict=True))
        dataset = Dataset("x", *sets, **given)
        return evaluation.gaussian_log_probs(dataset).mean()

    moved = (scale * (context + [1e3, 0.0])).astype(np.float32)
    assert nats(moved) == pytest.approx(nats(context), abs=1e-2)
    constant = np.column_stack([context, np.full(300, scale)]).astype(np.float32)
    assert nats(constant) == pytest.approx(nats(context), abs=1e-6)
