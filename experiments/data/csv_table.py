"""Tables of numbers in text files.

Pandas would read them faster, but fills short rows up, and takes `True` for 1 and `"1"2`
for 12; here whatever is no number is refused, with its row and column.
"""

import array
import csv
import itertools
import math

import numpy as np

from experiments.data.data_error import DataError
from experiments.data.data_error import reading

__all__ = ["read_csv"]

_DELIMITERS = ",;\t"


def read_csv(path):
    """Returns the numbers in a text file whose cells a comma, semicolon or tab separates.

    The first row is a header if none of its cells is a number. Empty lines are passed over.
    No more than the numbers is held in memory.

    Args:
      path: of the file.

    Returns:
      Array `[N, D]`, float64, finite, and D names of columns, or None without a header.

    Raises:
      DataError: if there is no such file, or a cell is not a finite number, or the rows are
        of different lengths; rows are counted as lines of the file, from 1.
    """
    with (
        reading("a table as text", path, (OSError, UnicodeDecodeError, csv.Error)),
        open(path, newline="", encoding="utf-8-sig") as file,
    ):
        return _read(path, _rows(file))


def _rows(file):
    """Yields number and cells of the lines that are not empty."""
    first = next((line for line in file if line.strip()), "")
    file.seek(0)
    reader = csv.reader(file, delimiter=_delimiter(first), strict=True)
    for row in reader:
        if "".join(row).strip():
            yield reader.line_num, row


def _delimiter(line):
    """Returns what divides a line into most cells."""
    return max(_DELIMITERS, key=lambda d: len(next(csv.reader([line], delimiter=d), [])))


def _read(path, rows):
    numbered = next(rows, None)
    if numbered is None:
        raise DataError(f"Expected rows of numbers in {path}; got an empty file.")
    _, first = numbered
    names = None
    if all(_number(cell) is None for cell in first):
        names = _distinct(path, tuple(cell.strip() for cell in first))
    else:
        rows = itertools.chain([numbered], rows)
    values = array.array("d")
    for line, row in rows:
        if len(row) != len(first):
            raise DataError(
                f"Expected {len(first)} cells in each row of {path}; got {len(row)} in row "
                f"{line}."
            )
        numbers = list(map(_number, row))
        if None in numbers or not all(map(math.isfinite, numbers)):
            _refuse(path, line, row, numbers, names)
        values.extend(numbers)
    if not values:
        raise DataError(f"Expected rows of numbers in {path}; got a header only.")
    return np.array(values).reshape(-1, len(first)), names


def _number(cell):
    try:
        return float(cell)
    except ValueError:
        return None


def _distinct(path, names):
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"Expected distinct column names in {path}; got {twice} twice.")
    return names


def _refuse(path, line, row, numbers, names):
    wrong = [number is None or not math.isfinite(number) for number in numbers]
    column = wrong.index(True)
    name = repr(names[column]) if names else column
    got = repr(row[column]) if row[column].strip() else "an empty cell"
    raise DataError(
        f"Expected a finite number in row {line}, column {name} of {path}; got {got}."
    )
