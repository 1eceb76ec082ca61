"""One line tells what is wrong with a user's table, and where."""

import numpy as np
import pandas as pd
import pytest

import tfp_flows
from experiments.data import DataError
from experiments.data.text_table import read_csv
from experiments.table_density.data import read_table
from experiments.table_density.settings import TableDensitySettings

ROWS = [f"{0.37 * i:.2f},{'xy'[i % 2]}" for i in range(1, 30)]
SIGNS = "numbers with signs"
MISSING = "1 missing cells in column 'a' (--missing=drop"


def table(*rows, header="a,b"):
    return "\n".join([header, *rows, ""])


def third(line):
    """A good table except for its third row, in line 4."""
    return table(*ROWS[:2], line, *ROWS[3:])


def filled(cells, count=29):
    """A table whose column `a` has numbers in the format `cells`."""
    return table(*(cells.format(i) + ",x" for i in range(1, count + 1)))


def number_column(cell):
    return third(f"{cell},x"), f"column 'a' has numbers, but {cell!r} in line 4"


def text_column(what, cells, *shown):
    return filled(cells), f"column 'a' is text ({what}), as {' and '.join(shown)}; --kinds"


BAD = {
    "nothing": ("", "got an empty file"),
    "a header only": ("a,b\n", "got a header only"),
    "no header": ("\n".join(ROWS), "Expected a header"),
    "a name twice": (table(*ROWS, header="a,a"), "distinct column names"),
    "a short row": (third("1"), "1 cells instead of 2 in line 4"),
    "spaces": (
        table(*(row.replace(",", " ") for row in ROWS), header="a b"),
        "column 'a b' is text (29 different texts in 29 rows), as '0.37 y' and '0.74 x'",
    ),
    "an open quote": (third('1,"x'), "in line 4: unexpected end"),
    "another encoding": (third("1,é").encode("latin-1"), "the byte 0xe9 in line 4 (try"),
    "utf-16": (table(*ROWS).encode("utf-16"), "got UTF-16"),
    "a zero byte": (third("1,x\0y"), "a NUL byte in line 4"),
    "an xz file": (b"\xfd7zXZ\0\0", "got an xz file: unpack it"),
    "a parquet file": (b"PAR1\x15\0", "got a parquet file: export it as CSV"),
    "an array of NumPy": (b"\x93NUMPY\x01\0", "got an array of NumPy (`tfp-flows density"),
    "an archive": (b"PK\x03\x04\x14\0", "got a zip archive, or an Excel workbook"),
    "beyond all floats": number_column("1e400"),
    "a decimal comma": (third('"1,5",x'), "'1,5' in line 4 (--kinds=a=cat"),
    "prices": text_column(SIGNS, "${}.99", "'$1.99'", "'$2.99'"),
    "no such day": (filled("2024-02-{:02}", 30), "has dates, but '2024-02-30' in line 31"),
    "a far day": (
        filled("2024-01-{:02}") + "9999-12-31,x\n",
        "has dates, but '9999-12-31' in line 31 (--kinds=a=categorical takes them as they "
        "are; dates are from 1677",
    ),
    "nearly equal huge integers": (
        table(*(f"{2**60 + i % 3},{i / 3}" for i in range(30))),
        "'a' names the rows, integers of 2^53",
    ),
    "huge integers": (filled("9007199254741{:03}"), "'a' names the rows, integers of 2^53"),
    "row numbers": (filled("{}"), "'a' names the rows, each integer from 1 to 29 once"),
    "a missing cell": (third(",x"), MISSING),
    "an empty column": (
        table(*(row[:-1] for row in ROWS)),
        "column 'b' has no value at all",
    ),
    "names": (
        table(*(f"name {i},id {i}" for i in range(29))),
        "--kinds=a=drop,b=drop leaves out the columns without a kind",
    ),
    "names of columns that a shell would split": (
        table(*(f"name {i},id {i}" for i in range(29)), header='"a b","c, d"'),
        """'--kinds=a b=drop,"c, d=drop"' leaves out the columns without a kind""",
    ),
}


def read(content, tmp_path, **settings):
    path = tmp_path / "table.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table(TableDensitySettings(csv_path=str(path), **settings))


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_told_in_one_line(name, tmp_path):
    content, words = BAD[name]
    with pytest.raises(DataError) as caught:
        read(content, tmp_path)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "table.csv" in str(caught.value)


@pytest.mark.parametrize(
    ("kinds", "words"),
    {
        ("a=bounded:0:1",): "1.11 breaks 'a: bounded, 0 to 1, step 0.37' (27 of 29 rows)",
        ("a=date",): "Expected a date in each cell of the date column 'a'",
        ("b=real",): "Expected a number in each cell of the real column 'b'",
        ("a=boolean",): "two `values` of the boolean column 'a'; got 0.37, 0.74, 1.11",
        ("a=drop", "b=drop"): "got: --kinds drops all columns.",
    }.items(),
)
def test_kinds_that_do_not_fit_are_told_before_anything_is_written(kinds, words, tmp_path):
    with pytest.raises(DataError) as caught:
        read(table(*ROWS), tmp_path, kinds=kinds)
    assert words in str(caught.value)


def test_categories_keep_the_zeros_in_front_of_numbers(tmp_path):
    codes = ["01", "1", "10234", "09111"]
    content = table(*(f"{codes[i % 4]},{0.37 * i}" for i in range(32)))
    rows, columns = read(content, tmp_path, kinds=("a=categorical",))
    assert columns["a"].values == sorted(codes)
    assert rows["a"].tolist()[:4] == codes
    with pytest.warns(UserWarning, match="column 'a' has '01' and others, .*=categorical"):
        _, columns = read(content, tmp_path)
    assert columns["a"].values == [1.0, 9111.0, 10234.0]


def test_categories_keep_all_digits_of_huge_integers(tmp_path):
    huge = [2**60 + i for i in range(4)]
    content = table(*(f"{huge[i % 4]},{0.37 * i}" for i in range(32)))
    rows, columns = read(content, tmp_path, kinds=("a=categorical",))
    assert columns["a"].values == list(map(str, huge))
    assert rows["a"].tolist()[:4] == list(map(str, huge))


def test_a_quoted_decimal_comma_may_stand_between_commas(tmp_path):
    rows = [f'"{i},5",{"xy"[i % 2]},"-{i},25"' for i in range(30)]
    frame, columns = read(table(*rows, header="a,b,c"), tmp_path, decimal=",")
    assert columns.names == ["a", "b", "c"]
    assert frame["c"].tolist() == [-i - 0.25 for i in range(30)]


def test_an_index_with_a_name_is_a_column_of_a_parquet_file(tmp_path):
    pytest.importorskip("pyarrow")
    rows = pd.DataFrame({"x": np.arange(30.0) ** 0.5, "k": ["a", "b"] * 15})
    rows.set_index("k").to_parquet(path := tmp_path / "table.PARQUET")
    frame, _ = read_table(TableDensitySettings(csv_path=str(path)))
    assert frame["k"].tolist() == rows["k"].tolist()
    rows[rows["x"] > 1.0].to_parquet(path)  # row numbers without a name
    assert list(read_table(TableDensitySettings(csv_path=str(path)))[0]) == ["x", "k"]


def test_numbers_of_columns_are_names_of_a_parquet_file(tmp_path, monkeypatch):
    rows = pd.DataFrame(np.random.default_rng(0).normal(size=(30, 2)))
    monkeypatch.setattr(pd, "read_parquet", lambda path: rows)
    path = str(tmp_path / "x.parquet")
    frame, _ = read_table(TableDensitySettings(csv_path=path, context_columns=("0",)))
    assert list(frame) == ["0", "1"]


def test_dates_may_be_values(tmp_path):
    days = table(*(f"2024-01-{1 + i % 3:02},{0.37 * i}" for i in range(30)))
    for kind in ("categorical", "ordered"):
        rows, columns = read(days, tmp_path, kinds=(f"a={kind}",))
        assert columns["a"].values == sorted(set(rows["a"].to_numpy()))


COMMAS, POINTS = "--decimal=, reads decimal commas", "--decimal=. reads decimal points"
THOUSANDS = "remove separators of thousands from the file"
SPELT_OTHERWISE = {
    ".": {
        "{},5": {COMMAS},
        "{},000": {COMMAS, THOUSANDS},  # may be either
        "{},000.5": {THOUSANDS},
        "{} 000": {THOUSANDS},
    },
    ",": {
        "{}.5": {POINTS},
        "{}.000": {POINTS, THOUSANDS},
        "{}.000,5": {THOUSANDS},
    },
}


@pytest.mark.parametrize(
    ("decimal", "spelling"), [(d, s) for d, known in SPELT_OTHERWISE.items() for s in known]
)
def test_numbers_that_are_spelt_otherwise_are_told_with_what_to_do(
    decimal, spelling, tmp_path
):
    cells = [spelling.format(i) for i in range(1, 30)]
    for rows in (cells, [*cells[:2] * 14, "NA"]):  # many different values, and two
        content = "\n".join(["a;b", *(f"{cell};x" for cell in rows)])
        with pytest.raises(DataError) as caught:
            read(content, tmp_path, decimal=decimal)
        text = str(caught.value)
        assert (
            f"'a' has numbers, but {cells[0]!r} in line 2, {cells[1]!r} in line 3" in text
        )
        told = {words for words in (COMMAS, POINTS, THOUSANDS) if words in text}
        assert told == SPELT_OTHERWISE[decimal][spelling]
        with pytest.raises(DataError) as caught:
            read_csv(tmp_path / "table.csv", decimal=decimal)
        assert f"{cells[0]!r} in column 'a' in line 2" in str(caught.value)
        assert all(words in str(caught.value) for words in told)


def test_rows_are_named_by_the_line_of_the_file_where_they_begin(tmp_path):
    rows = ['"x\ny"', "1", "", "2", " ", *map(str, range(3, 30)), "old"]
    content = "\n".join(["a,b", *(f"{row},z" if row.strip() else row for row in rows)])
    line = 1 + content[: content.index("old")].count("\n")
    with pytest.raises(DataError, match=f"'old' in line {line}"):
        read(content, tmp_path)
    with pytest.raises(DataError, match=r"'x\\ny' in line 2, "):
        read(content, tmp_path)
    plain = content.replace('"x\ny"', "word\n")  # a file without quotes is read by pandas
    with pytest.raises(DataError, match=f"'word' in line 2, 'old' in line {line}"):
        read(plain.replace("word\n,z", "word,z\n"), tmp_path)


GOOD = {
    "a byte order mark": (b"\xef\xbb\xbf" + table(*ROWS).encode(), ["a", "b"]),
    "Excel's line of the delimiter": ("sep=,\n" + table(*ROWS), ["a", "b"]),
    "other line ends": (table(*ROWS).replace("\n", "\r\n"), ["a", "b"]),
    "empty lines": (third("\n \n1,x"), ["a", "b"]),
    "a column without a name": (table(*ROWS, header=",b"), ["Unnamed: 0", "b"]),
    "a quoted delimiter": (third('1,"x,y"'), ["a", "b"]),
    "a quoted line end": (third('1,"x\ny"'), ["a", "b"]),
}


@pytest.mark.parametrize("name", GOOD)
def test_what_is_unusual_but_clear_is_read(name, tmp_path):
    content, names = GOOD[name]
    frame, columns = read(content, tmp_path)
    assert list(frame) == columns.names == names
    assert [column.kind for column in columns] == ["positive", "categorical"]
    assert len(frame) == len(ROWS)


def test_an_empty_column_at_the_end_of_the_lines_is_left_out(tmp_path):
    rows = [f"{row}," for row in ROWS]
    with pytest.warns(UserWarning, match=r"\['Unnamed: 2'\], without a name or a value"):
        frame, columns = read(table(*rows, header="a,b,"), tmp_path)
    assert list(frame) == columns.names == ["a", "b"]
    frame["Unnamed: 2"] = np.nan
    reason = tfp_flows.describe_columns(frame)["Unnamed: 2"].reason
    assert "the lines of the file end with a delimiter" in reason


def test_a_word_for_nothing_is_a_category_among_texts(tmp_path):
    rows = [f"{i / 3},{['None', 'Some', ''][i % 3]}" for i in range(30)]
    frame, columns = read(table(*rows), tmp_path, missing="indicator")
    assert columns["b"].values == ["None", "Some"]
    assert columns["b"].num_missing == 10
    assert frame["a"].notna().all()
