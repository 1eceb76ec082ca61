"""A table of numbers in a text file."""

import csv
import dataclasses
import pathlib

import numpy as np

from experiments.data.data_error import DataError

__all__ = ["Table", "read_csv"]

_DELIMITERS = ",;\t"


@dataclasses.dataclass(frozen=True)
class Table:
    """Columns of numbers, with names if the file has any.

    Args:
      values: `[N, D]`, float64, finite.
      names: D names, or None.
    """

    values: np.ndarray
    names: tuple[str, ...] | None = None


def read_csv(path):
    """Returns the `Table` in a text file whose cells a comma, semicolon or tab separates.

    The first row is a header if none of its cells is a number. Empty lines are passed over.

    Args:
      path: of the file.

    Raises:
      DataError: if there is no such file, or a cell is not a finite number, or the rows are
        of different lengths; rows are counted as lines of the file, from 1.
    """
    lines, rows = _read_rows(pathlib.Path(path))
    if not rows:
        raise DataError(f"Expected rows of numbers in {path}; got an empty file.")
    names = None
    if not any(map(_is_number, rows[0])):
        names = _distinct(path, tuple(cell.strip() for cell in rows[0]))
        lines, rows = lines[1:], rows[1:]
    if not rows:
        raise DataError(f"Expected rows of numbers in {path}; got a header only.")
    _refuse_ragged(path, lines, rows, len(names or rows[0]))
    return Table(_to_numbers(path, lines, rows, names), names)


def _read_rows(path):
    """Returns line numbers and cells of the rows that are not empty."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            first = next((line for line in file if line.strip()), "")
            file.seek(0)
            reader = csv.reader(file, delimiter=_delimiter(first), strict=True)
            numbered = [(reader.line_num, row) for row in reader if "".join(row).strip()]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"Expected a table as text in {path}; got {error}.") from error
    return [line for line, _ in numbered], [row for _, row in numbered]


def _delimiter(line):
    """Returns what divides a line into most cells."""
    return max(_DELIMITERS, key=lambda d: len(next(csv.reader([line], delimiter=d), [])))


def _is_number(cell):
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _distinct(path, names):
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"Expected distinct column names in {path}; got {twice} twice.")
    return names


def _refuse_ragged(path, lines, rows, width):
    for line, row in zip(lines, rows, strict=True):
        if len(row) != width:
            raise DataError(
                f"Expected {width} cells in each row of {path}; got {len(row)} in row "
                f"{line}."
            )


def _to_numbers(path, lines, rows, names):
    try:
        values = np.array(rows, np.float64)
    except ValueError:
        values = None
    if values is not None and np.isfinite(values).all():
        return values
    for line, row in zip(lines, rows, strict=True):
        for column, cell in enumerate(row):
            if not _is_number(cell) or not np.isfinite(float(cell)):
                name = repr(names[column]) if names else column
                got = repr(cell) if cell.strip() else "an empty cell"
                raise DataError(
                    f"Expected a finite number in row {line}, column {name} of {path}; "
                    f"got {got}."
                )
    raise AssertionError("unreachable: some cell is not a finite number")
