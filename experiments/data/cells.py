"""Cells of a table that should hold numbers, one by one: what they hold, what is wrong."""

import itertools
import math
import re

__all__ = ["cell_problems", "is_empty", "number", "spelling_advice"]

_SHOWN = 5  # of all problems, which may be as many as there are cells
_GROUPED = re.compile(r"[-+]?\d{1,3}(?:[.,'’ \u00a0\u202f]\d{3})+(?:[.,]\d+)?")
# Decimal mark -> numbers with the other one, and what that is called.
_OTHERWISE = {
    ".": (re.compile(r"[-+]?[\d.'’ \u00a0\u202f]*,\d+(?:[eE][-+]?\d+)?"), ",", "commas"),
    ",": (re.compile(r"[-+]?[\d,'’ \u00a0\u202f]*\.\d+(?:[eE][-+]?\d+)?"), ".", "points"),
}


def number(cell, decimal="."):
    """Returns the number in a cell, be it infinite; None if there is none."""
    # Python alone takes 1_000 for a number. A point may separate thousands where a comma is
    # the decimal mark.
    if "_" in cell or (decimal != "." and "." in cell):
        return None
    try:
        return float(cell.replace(decimal, "."))
    except ValueError:
        return None


def spelling_advice(cells, decimal="."):
    """Returns what to do about numbers that are spelt otherwise; "" where none is.

    Args:
      cells: texts that are no numbers with the decimal mark `decimal`.
      decimal: "." or ",".
    """
    cells = [cell.strip() for cell in cells]
    otherwise, mark, name = _OTHERWISE[decimal]
    advice = []
    if any(map(otherwise.fullmatch, cells)):
        advice.append(f"--decimal={mark} reads decimal {name}")
    if any(map(_GROUPED.fullmatch, cells)):
        advice.append("separators of thousands have to be taken out of the file")
    return "; ".join(advice)


def is_empty(row):
    """Whether a row, a list of cells, is that of an empty line."""
    return len(row) < 2 and not "".join(row).strip()


def cell_problems(rows, labels, num_columns, decimal="."):
    """Returns the problems of a table in words; empty if there are none.

    Args:
      rows: pairs of the line of the file where a row begins and its cells.
      labels: names of the columns that should hold numbers, by position.
      num_columns: cells of each row.
      decimal: what separates the decimals of a number.
    """
    found = (
        (f"{problem} in line {line}", cell)
        for line, row in rows
        for problem, cell in _problems_of_row(row, labels, num_columns, decimal)
    )
    shown = list(itertools.islice(found, _SHOWN))
    others = sum(1 for _ in found)
    problems = [problem for problem, _ in shown] + [f"and {others} more"] * (others > 0)
    advice = spelling_advice([cell for _, cell in shown], decimal)
    return "; ".join(problems) + (f" ({advice})" if advice else "")


def _problems_of_row(row, labels, num_columns, decimal):
    """Returns pairs of a problem in words and the cell that has it."""
    if len(row) != num_columns:
        return [(f"{len(row)} cells instead of {num_columns}", "")]
    return [
        (f"{row[position].strip()!r} in column {label!r}", row[position])
        if row[position].strip()
        else (f"an empty cell in column {label!r}", "")
        for position, label in labels.items()
        if not _is_finite(row[position], decimal)
    ]


def _is_finite(cell, decimal):
    value = number(cell, decimal)
    return value is not None and math.isfinite(value)
