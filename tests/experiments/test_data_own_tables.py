"""A user's own tables: formats, splits, context, constant columns."""

import json
import pathlib
import re

import keras
import numpy as np
import pandas as pd
import pytest
from tiny_runs import TINY, in_folder

from experiments.data import DataError, load_dataset
from experiments.data.dataset import Dataset
from experiments.data.text_table import TextTable, read_csv
from experiments.density_estimation import evaluation
from experiments.density_estimation import experiment as density_estimation
from experiments.runs.run_directory import RunDirectoryError

VALUES = np.random.default_rng(0).normal(5.0, 2.0, size=(100, 3))
SETS = ("train", "validation", "test")


def write(path, values=VALUES, *, header=None, delimiter=",", newline="\n"):
    lines = [delimiter.join(map(repr, row)) for row in values.tolist()]
    text = newline.join([*([header] if header else []), *lines, ""])
    path.write_bytes(text.encode())
    return str(path)


def rows(dataset):
    return np.concatenate([getattr(dataset, name) for name in SETS])


def sorted_rows(values):
    values = np.asarray(values, np.float32)
    return values[np.lexsort(values.T)]


@pytest.mark.parametrize(
    "delimiter", list(",;\t|"), ids=["comma", "semicolon", "tab", "bar"]
)
@pytest.mark.parametrize("header", ["", '"a",b, c d '])
@pytest.mark.parametrize("newline", ["\n", "\r\n"], ids=["unix", "dos"])
def test_csv_is_read_exactly(delimiter, header, newline, tmp_path):
    header = header.replace(",", delimiter)
    path = write(tmp_path / "x", header=header, delimiter=delimiter, newline=newline)
    values, names = read_csv(path)
    np.testing.assert_array_equal(values, VALUES)
    assert names == (("a", "b", "c d") if header else None)


def test_all_cells_that_are_no_numbers_are_told_at_once(tmp_path):
    lines = ["a,b", "1,x", "2,3", ",4", "5", "6,nan", "y,z", "7,True"]
    (tmp_path / "x").write_text("\n".join(lines))
    with pytest.raises(DataError) as caught:
        read_csv(tmp_path / "x")
    for words in (
        "'x' in column 'b' in line 2; an empty cell in column 'a' in line 4",
        "1 cells instead of 2 in line 5; 'nan' in column 'b' in line 6",
        "'y' in column 'a' in line 7; and 2 more",
    ):
        assert words in str(caught.value)


def test_a_quote_within_a_header_cell_and_names_like_numbers(tmp_path):
    path = tmp_path / "sizes.csv"
    path.write_text('size ("),inf,nan\n15,1,2\n5,3,4\n7,5,6\n')
    table = TextTable(path)
    assert table.names == ('size (")', "inf", "nan")
    (block,) = table.blocks([0, 1, 2])
    np.testing.assert_array_equal(block.frame, [[15, 1, 2], [5, 3, 4], [7, 5, 6]])
    path.write_text('"a\nb",c\n1,2\n')
    assert TextTable(path).names == ("a\nb", "c")


def test_csv_is_divided_by_the_seed(tmp_path):
    path = write(tmp_path / "x", header="a,b,c")
    first, again, other = (load_dataset("csv", csv_path=path, seed=i) for i in (0, 0, 1))
    assert first.labels == ("a", "b", "c")
    assert [len(getattr(first, name)) for name in SETS] == [80, 10, 10]
    np.testing.assert_array_equal(sorted_rows(rows(first)), sorted_rows(VALUES))
    np.testing.assert_array_equal(rows(first), rows(again))
    assert not np.array_equal(rows(first), rows(other))
    ends = [(column.least, column.greatest) for column in first.columns]
    expected = np.stack([first.train.min(axis=0), first.train.max(axis=0)], axis=1)
    np.testing.assert_allclose(ends, expected, rtol=1e-6)


def test_shares_set_the_sizes(tmp_path):
    arguments = {"csv_path": write(tmp_path / "x")}
    dataset = load_dataset("csv", validation_share=0.25, test_share=0.05, **arguments)
    assert [len(getattr(dataset, name)) for name in SETS] == [70, 25, 5]


@pytest.mark.parametrize("columns", [("a", "c"), ("0", "c"), ("2", "0")])
def test_context_columns_go_by_name_or_index(columns, tmp_path):
    path = write(tmp_path / "x", header="a,b,c")
    dataset = load_dataset("csv", csv_path=path, context_columns=columns)
    assert (dataset.event_size, dataset.context_size) == (1, 2)
    assert dataset.labels == ("b",)
    plain = load_dataset("csv", csv_path=path)
    order = [0, 2] if columns[0] != "2" else [2, 0]
    for name in SETS:
        both = getattr(plain, name)
        x, context = dataset.inputs(name)
        np.testing.assert_array_equal(x, both[:, [1]])
        np.testing.assert_array_equal(context, both[:, order])


def test_constant_columns_are_dropped_when_asked(tmp_path):
    values = np.insert(VALUES, [1, 3], 7.0, axis=1)
    path = write(tmp_path / "x", values, header="a,k,b,c,l")
    with pytest.raises(DataError, match=r"\['k', 'l'\].*--drop_constant_columns"):
        load_dataset("csv", csv_path=path)
    dataset = load_dataset("csv", csv_path=path, drop_constant_columns=True)
    assert dataset.labels == ("a", "b", "c")
    np.testing.assert_array_equal(sorted_rows(rows(dataset)), sorted_rows(VALUES))


def test_constant_columns_of_zeros_and_ones_are_modelled(tmp_path):
    values = (VALUES > VALUES.mean()).astype(np.float64)
    values = np.insert(values, [1, 3], [0.0, 1.0], axis=1)
    path = write(tmp_path / "x", values, header="a,k,b,c,l")
    dataset = load_dataset("csv", csv_path=path)
    assert dataset.labels == ("a", "k", "b", "c", "l")
    assert dataset.is_binary
    dropped = load_dataset("csv", csv_path=path, drop_constant_columns=True)
    assert dropped.labels == ("a", "b", "c")
    with pytest.raises(DataError, match=r"\['k'\].*--drop_constant_columns"):
        load_dataset("csv", csv_path=path, context_columns=("k",))


def test_a_column_is_in_the_context_once(tmp_path):
    path = write(tmp_path / "x", VALUES, header="a,b,c")
    with pytest.raises(DataError, match=r"of different columns of .*; got \['a', '0'\]"):
        load_dataset("csv", csv_path=path, context_columns=("a", "0"))


@pytest.mark.parametrize("key", ["", "arr_0"])
def test_npz_of_one_array_is_divided(key, tmp_path):
    np.savez(tmp_path / "x.npz", VALUES)
    path = str(tmp_path / "x.npz")
    dataset = load_dataset("npz", npz_path=path, npz_key=key)
    np.testing.assert_array_equal(sorted_rows(rows(dataset)), sorted_rows(VALUES))
    np.save(tmp_path / "x.npy", VALUES)
    upper = (tmp_path / "x.npy").rename(tmp_path / "X.NPY")
    npy = load_dataset("npz", npz_path=str(upper))
    np.testing.assert_array_equal(rows(npy), rows(dataset))


def test_npz_of_three_arrays_keeps_them(tmp_path):
    sets = dict(zip(SETS, np.split(VALUES, [50, 90]), strict=True))
    np.savez(tmp_path / "x.npz", other=np.ones(3), **sets)
    dataset = load_dataset("npz", npz_path=str(tmp_path / "x.npz"))
    for name, values in sets.items():
        np.testing.assert_array_equal(getattr(dataset, name), values.astype(np.float32))


def test_shares_of_rows_that_are_divided_already_are_refused(tmp_path):
    sets = dict(zip(SETS, np.split(VALUES, [50, 90]), strict=True))
    np.savez(tmp_path / "x.npz", **sets)
    for name in ("validation_share", "test_share"):
        with pytest.raises(DataError, match=f"no `{name}` with the arrays .*; got 0.3"):
            load_dataset("npz", npz_path=str(tmp_path / "x.npz"), **{name: 0.3})


def test_linear_functions_of_other_columns_are_told(tmp_path, recwarn):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(100, 3)) * [1.0, 1e3, 1e-3]
    load_dataset("csv", csv_path=write(tmp_path / "x", x, header="a,b,c"))
    far = np.concatenate([x, [[1e9, 1e9, 1e9]]])  # an outlier with which all are on a line
    load_dataset("csv", csv_path=write(tmp_path / "far", far, header="a,b,c"))
    assert not recwarn
    both = np.concatenate([x, x[:, :1] - 2.0 * x[:, 1:2]], axis=1)
    path = write(tmp_path / "both", both, header="a,b,c,d")
    words = "column '[bd]' of .* is a linear function of others"
    with pytest.warns(UserWarning, match=words):
        load_dataset("csv", csv_path=path)
    with pytest.warns(UserWarning, match="column 'b' of .* is a linear function"):
        load_dataset("csv", csv_path=path, context_columns=("a", "d"))


def test_a_context_may_be_a_linear_function_of_itself(tmp_path, recwarn):
    x = np.repeat(VALUES, [1, 2, 1], axis=1)
    path = write(tmp_path / "x", x, header="a,b,c,d")
    load_dataset("csv", csv_path=path, context_columns=("b", "c"))
    assert not recwarn


@pytest.mark.parametrize("is_indexed", [False, True])
def test_numbers_that_pandas_gives_to_columns_are_told(is_indexed, tmp_path):
    path = tmp_path / "x.csv"
    pd.DataFrame(VALUES).to_csv(path, index=is_indexed)
    if is_indexed:
        with pytest.raises(DataError, match=r"an empty cell and 0, 1, 2.*header=False"):
            load_dataset("csv", csv_path=str(path))
    else:
        with pytest.warns(UserWarning, match="^0, 1, 2 in the first row of .* as a row"):
            load_dataset("csv", csv_path=str(path))


def test_counts_may_begin_with_the_numbers_of_columns(tmp_path, recwarn):
    values = np.concatenate([[[0, 1, 2]], np.arange(120).reshape(40, 3) % 7])
    path = tmp_path / "x.csv"
    np.savetxt(path, values, "%d", ",")
    assert len(rows(load_dataset("csv", csv_path=str(path)))) == 41
    assert not recwarn


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


def write_columns(path, table):
    rows, header = np.stack(list(table.values()), axis=1), ",".join(table)
    np.savetxt(path, rows, "%.17g", delimiter=",", header=header, comments="")
    return str(path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, _quick, all_op_by_op):
    """A finished run's settings and results."""
    folder = tmp_path_factory.mktemp("table")
    changes = TABLE_RUN | {"csv_path": write_columns(folder / "table.csv", TABLE)}
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
    """The file of the table of `finished`; it is restored after the test."""
    path = pathlib.Path(finished[0].csv_path)
    before = path.read_text()
    yield path
    path.write_text(before)


@pytest.mark.parametrize("name", OTHER_TABLES)
def test_a_finished_run_refuses_a_table_of_other_columns(name, finished, file):
    table, words = OTHER_TABLES[name]
    write_columns(file, table)
    with pytest.raises(RunDirectoryError, match=re.escape(words)):
        density_estimation.run(finished[0])


def test_a_finished_run_refuses_other_rows_and_needs_no_table(finished, file):
    settings, results = finished
    write_columns(file, TABLE | {"height": TABLE["height"] + 1.0})
    with pytest.raises(RunDirectoryError, match="other training rows"):
        density_estimation.run(settings)
    file.unlink()
    assert density_estimation.run(settings) == results


OFFSETS = {
    "seconds": 1.7e9 + TABLE["weight"] / 14.0,
    "with a missing value": np.r_[0.0, 1.7e9 + TABLE["weight"][1:] / 14.0],
}


@pytest.mark.parametrize("context", [(), ("time",)], ids=["modelled", "context"])
@pytest.mark.parametrize("name", OFFSETS)
def test_what_float32_does_not_resolve_is_refused_in_these_words(name, context, tmp_path):
    table = {"height": TABLE["height"], "time": OFFSETS[name]}
    arguments = {"context_columns": context, "drop_constant_columns": True}
    words = r"more than float32 resolves at their size.*\['time'\].*subtract a number"
    with pytest.raises(DataError, match=words) as refusal:
        load_dataset("csv", csv_path=write_columns(tmp_path / "x.csv", table), **arguments)
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
    path = write_columns(
        tmp_path / "x.csv", {"height": TABLE["height"], "x": RESOLVED[name]}
    )
    assert load_dataset("csv", csv_path=path).labels == ("height", "x")


def test_a_constant_up_to_rounding_is_constant(tmp_path):
    table = {"a": TABLE["height"], "b": TABLE["weight"]}
    noise = 0.3 * (1.0 + 2.2e-16 * RNG.integers(-1, 2, COUNT))
    path = write_columns(tmp_path / "x.csv", table | {"noise": noise})
    with pytest.raises(DataError, match=r"that vary .* \['noise'\]"):
        load_dataset("csv", csv_path=path)
    kept = load_dataset("csv", csv_path=path, drop_constant_columns=True)
    assert kept.labels == ("a", "b")


@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e6])
def test_the_gaussian_is_a_regression_on_the_context_in_any_units(scale):
    rng = np.random.default_rng(0)
    context = rng.normal(size=(300, 2)).astype(np.float32)
    rows = (context @ [[1.0], [2.0]] + 0.1 * rng.normal(size=(300, 1))).astype(np.float32)

    def nats(context):
        sets = np.split(rows, [200, 250])
        names = ("train_context", "validation_context", "test_context")
        given = dict(zip(names, np.split(context, [200, 250]), strict=True))
        dataset = Dataset("x", *sets, **given)
        return evaluation.gaussian_log_probs(dataset).mean()

    # The bound is wide, since there are 50 test rows.
    entropy = 0.5 * np.log(2.0 * np.pi * np.e * 0.1**2)
    assert nats(context) == pytest.approx(-entropy, abs=0.4)
    moved = (scale * (context + [1e3, 0.0])).astype(np.float32)
    assert nats(moved) == pytest.approx(nats(context), abs=1e-2)
    constant = np.column_stack([context, np.full(300, scale)]).astype(np.float32)
    assert nats(constant) == pytest.approx(nats(context), abs=1e-6)
