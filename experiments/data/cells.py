"""Cells of a table that should hold numbers, one by one: what they hold, what is wrong."""

import csv
import itertools
import math

__all__ = ["cell_problems", "is_empty", "last_row_end", "number"]

_SHOWN = 5  # of all problems, which may be as many as there are cells


def number(cell, decimal="."):
    """Returns the number in a cell, be it infinite; None if there is none."""
    try:
        # What Python alone takes for a number, as 1_000.
        return None if "_" in cell else float(cell.replace(decimal, "."))
    except ValueError:
        return None


def is_empty(row):
    """Whether a row, a list of cells, is that of an empty line."""
    return len(row) < 2 and not "".join(row).strip()


def cell_problems(rows, labels, num_columns, lines_before, decimal="."):
    """Returns the problems of a table in words; empty if there are none.

    Args:
      rows: a `csv.reader`.
      labels: names of the columns that should hold numbers, by position.
      num_columns: cells of each row.
      lines_before: lines of the file before these.
      decimal: what separates the decimals of a number.
    """
    found = (
        f"{problem} in row {lines_before + rows.line_num}"
        for row in rows
        if not is_empty(row)
        for problem in _of_row(row, labels, num_columns, decimal)
    )
    shown = list(itertools.islice(found, _SHOWN))
    others = sum(1 for _ in found)
    return "; ".join(shown) + (f"; and {others} more" if others else "")


def last_row_end(rows):
    """Returns how many lines a `csv.reader` reads before what is no row."""
    lines = 0
    try:
        for _ in rows:
            lines = rows.line_num
    except csv.Error:
        pass
    return lines


def _of_row(row, labels, num_columns, decimal):
    if len(row) != num_columns:
        return [f"{len(row)} cells instead of {num_columns}"]
    return [
        f"{row[position].strip()!r} in column {label!r}"
        if row[position].strip()
        else f"an empty cell in column {label!r}"
        for position, label in labels.items()
        if not _is_finite(row[position], decimal)
    ]


def _is_finite(cell, decimal):
    value = number(cell, decimal)
    return value is not None and math.isfinite(value)
