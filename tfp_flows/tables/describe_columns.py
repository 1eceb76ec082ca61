"""Proposals for the kinds of a table's columns, each with its reason."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfp_flows.tables.cells import cells_of
from tfp_flows.tables.column import Column
from tfp_flows.tables.columns import TableColumns
from tfp_flows.tables.counted_numbers import (
    RESOLUTION,
    Counted,
    is_heavy_tailed,
    tail_index,
)
from tfp_flows.tables.frames import Categories, Frame
from tfp_flows.tables.grids import FIRST_INEXACT
from tfp_flows.tables.rules.compositions import find_compositions
from tfp_flows.tables.rules.differences import find_differences, in_order
from tfp_flows.tables.rules.equalities import find_equalities
from tfp_flows.tables.rules.functions import find_functions
from tfp_flows.tables.rules.lookups import find_lookups

# Rules of thumb: each proposal can be overridden.
_FEW = 10  # maximum number of values of an ordered column
_RARE_SHARE = 0.02  # a largest count in a smaller share of the rows may be exceeded
_MOST_CATEGORIES = 100  # maximum number of values of a categorical column
_LEAST_ROWS = 20  # minimum number of rows of a column of row numbers
# Texts that hold dates or numbers: as categories they would lose their meaning.
_OTHER_FORMS = {
    "dates as text, which pandas.to_datetime reads": r"\s*\d{4}(-\d{1,2}){2}([T\W].*)?",
    "dates, not as 2024-12-31": r"\s*\d{1,4}[/.]\d{1,2}[/.]\d{1,4}\s*",
    "numbers with signs": r"\s*[$€£¥]?\s*[-+]?[$€£¥]?\d[\d.,' ]*\s*[%$€£¥]?\s*",
}
_SHOWN_SPIKES = 3  # number of spikes in the reason


def describe_columns(
    frame: Any, names: Sequence[str] | None = None, *, as_recorded: bool = True
) -> TableColumns:
    """Proposes a kind for each column, with the reason.

    The result prints as a table, and each kind can be overridden. No column is proposed to
    be periodic.

    With `as_recorded`, the rows also show which cells cannot occur: numbers between
    multiples of a step, such as 0.1; whole numbers beyond an end that is no tail, such as
    month 13; and rows that violate an order of two columns or a sum (`Difference`). They
    also show which columns are exactly equal in some rows (`Equality`), and which are
    computed from another one (`Function`) or have one value for each of its values
    (`Lookup`), and which have a constant sum (`Composition`). Each can be switched off:
    `columns.change("price", step=None)`, `columns.change("month", high=None)`,
    `columns.drop("last - first")`, `columns.drop("paid = bill")`,
    `columns.drop("lwage = log(wage)")`, `columns.drop("sand + silt + clay = 100")`.

    >>> import numpy as np
    >>> import tfp_flows
    >>> rng = np.random.default_rng(0)
    >>> income = np.exp(0.5 * rng.normal(size=500)) * (rng.random(500) < 0.7)
    >>> frame = {"hour": rng.uniform(0, 24, 500), "income": income}
    >>> columns = tfp_flows.describe_columns(frame)
    >>> columns.change("hour", kind="periodic", low=0, high=24)
    >>> print(columns)
    column  kind      details         missing  reason
    hour    periodic  0 to 24               0  as given
    income  positive  0 to, spikes 0        0  above 0, but for 0 in 30.0 % of the rows

    Args:
      frame: a pandas data frame, a 2-D or a structured NumPy array, or a dictionary of
        columns.
      names: names of the columns to describe; all by default.
      as_recorded: whether to look for steps, ends, orders, sums, equalities and functions.
        Without, numbers of new rows have a density wherever their kind allows it.

    Returns:
      A `TableColumns`.

    Raises:
      ValueError: if `frame` is something else, or a column has cells of several types or
        infinite numbers.
    """
    read, names = Frame(frame), [names] if isinstance(names, str) else names
    cells = read.take(read.names if names is None else list(names))
    none = Categories([], False)
    columns = [
        _described(name, column, read.categories.get(name, none), as_recorded)
        for name, column in cells.items()
    ]
    table = TableColumns(columns)
    if not as_recorded:
        return table
    for column in columns:
        _put_ends_of_dtype(column, cells[column.name], read.integer_ends(column.name))
    numbers = {
        c.name: cells_of(c.name, cells[c.name]).numbers()
        for c in table
        if c.is_number or c.kind == "ordered" and not c.has_ordered_texts
    }
    functions = _with_lookups(_functions(table, numbers), table, cells)
    computed = [function.name for function in functions]
    booleans = {
        c.name: cells_of(c.name, cells[c.name]).numbers()
        for c in table
        if c.kind == "boolean" and not isinstance(c.values[0], str)
    }
    compositions = _compositions(table, functions, numbers)
    taken = [*computed, *(name for c in compositions for name in c.names)]
    differences = _differences(table, taken, numbers | booleans)
    taken += [difference.name for difference in differences]
    equalities = find_equalities({c.name: c for c in table}, taken, numbers)
    return TableColumns(list(table), differences, equalities, functions, compositions)


def describe_numbers(frame: Any) -> TableColumns:
    """Describes columns of numbers as continuous ones, so that all have densities.

    The kinds are "real" and "heavy-tailed", also for positive numbers; spikes and limits
    are not modelled.
    """
    columns, cells = describe_columns(frame, as_recorded=False), Frame(frame).columns
    for column in list(columns):
        numbers = cells_of(column.name, cells[column.name]).numbers()
        present = numbers[~np.isnan(numbers)]
        is_heavy = len(present) > 0 and is_heavy_tailed(present)
        kind = "heavy-tailed" if is_heavy else "real"
        if column.kind != kind or column.spikes:
            columns.change(column.name, kind=kind, spikes=[], reason="as a number")
    return columns


def _functions(table, numbers):
    """The functions that all rows show.

    If a function has no value at the lower end of its source, which no row has, then the
    end moves to the next number of the grid: a wage with a logarithm is not 0.
    """
    numbers = {n: cells for n, cells in numbers.items() if table[n].kind != "date"}
    functions = [f for f in find_functions(numbers) if f.label not in table.names]
    for function in functions:
        source = table[function.source]
        if source.grid is None or source.low is None or source.low in source.spikes:
            continue
        exact = function(numbers[function.source])
        is_missing = np.isnan(exact) & ~np.isnan(numbers[function.source])
        if np.isnan(function(np.array([source.low])))[0] and not is_missing.any():
            low = source.low + source.grid.step
            table.change(source.name, low=low, reason=source.reason)
    for function in functions:
        if function.formula == "linear" and table[function.source].low is not None:
            _put_ends_of_line(table, function, numbers[function.source])
    return [f for f in functions if not f.has_gaps or f.is_finite(table[f.source])]


def _put_ends_of_line(table, function, numbers):
    """Gives the source of a linear function the ends that follow from those of its column.

    If a column is 24 hours minus the source and at least 0, the source is at most 24 hours.
    """
    source, column = table[function.source], table[function.name]
    column_ends = [end for end in (column.low, column.high) if end is not None]
    ends = function.inverse(np.array(column_ends, np.float64))
    ends = ends if source.grid is None else source.grid.round_if_near(ends)
    low = max([source.low, *(end for end in ends.tolist() if end <= np.nanmin(numbers))])
    highs = [source.high, *(end for end in ends.tolist() if end >= np.nanmax(numbers))]
    high = min((end for end in highs if end is not None), default=None)
    if (low, high) == (source.low, source.high):
        return
    if source.grid is not None:
        low, high = (
            None if place is None else float(source.grid.at(np.array(place)))
            for place in source.grid.ends(low, high)
        )
    kind = "positive" if high is None else "bounded"
    kind = "integer" if source.kind == "integer" else kind
    table.change(source.name, kind=kind, low=low, high=high, reason=source.reason)


def _with_lookups(functions, table, cells):
    """The functions and the lookups that all rows show.

    A formula is better than a lookup, unless its source is looked up itself.
    """
    columns = {
        c.name: cells[c.name]
        for c in table
        if (c.is_number or c.has_values)
        and c.kind not in ("constant", "date", "periodic")
        and cells_of(c.name, cells[c.name]).type != "date"
    }
    computed = [function.name for function in functions]
    sources = [n for n in columns if table[n].has_values and n not in computed]
    lookups = find_lookups({name: columns[name] for name in sources}, columns)
    lookups = [e for e in lookups if e.fits([table[n] for n in e.names])]
    looked_up = [lookup.name for lookup in lookups]
    functions = [f for f in functions if f.source not in looked_up]
    taken = [function.name for function in functions]
    lookups = [e for e in lookups if e.name not in taken and e.label not in table.names]
    return [*functions, *lookups]


def _compositions(table, functions, numbers):
    """The constant sums that all rows show, without computed columns.

    A function of a part that has no value at 0 would contradict the part's new end.
    """
    names = {function.name for function in functions}
    names |= {f.source for f in functions if getattr(f, "formula", "") != "linear"}
    cells = {n: c for n, c in numbers.items() if n not in names and table[n].kind != "date"}
    found = find_compositions({c.name: c for c in table}, cells)
    found = [(c, columns) for c, columns in found if c.label not in table.names]
    for _, columns in found:
        for column in columns:
            entries = dict(vars(column), values=[])
            table.change(entries.pop("name"), **entries)
    return [composition for composition, _ in found]


def _differences(table, taken, numbers):
    """The orders and sums that all rows show, without columns that other rules have taken.

    The numbers are those of columns by name, `[N]`, booleans included.
    """
    differences = find_differences({c.name: c for c in table}, taken, numbers)
    for name, difference in in_order({d.name: d for d in differences}).items():
        column = difference.with_room([table[n] for n in difference.names])
        if (column.kind, column.low) != (table[name].kind, table[name].low):
            column.reason += f", with room for {' + '.join(difference.minus)}"
        high = None if difference.column.kind == "constant" else column.high
        ends = {"low": column.low, "high": high}
        table.change(name, kind=column.kind, **ends, reason=column.reason)
    return differences


def _described(name, column, categories, as_recorded):
    """The description of a column by its cells, `[N]`, and its `Categories`."""
    cells = cells_of(name, column)
    values = cells.values[~cells.is_missing]
    if len(values):
        described = _from_values(name, column, cells.type, values, categories, as_recorded)
    else:
        reason = "no cell has a value"
        if re.fullmatch(r"Unnamed: \d+", name):  # pandas's name
            reason += ", nor a name: the lines of the file end with a delimiter"
        described = Column(name, "missing", reason)
    described.num_missing = int(cells.is_missing.sum())
    if column.dtype.kind in "iu":
        described.values = [int(value) for value in described.values]
    return described


def _from_values(name, column, cell_type, values, categories, as_recorded):
    """The description of a column with at least one value by all its `values`."""
    distinct, counts = np.unique(values, return_counts=True)
    are_floats = column.dtype.kind == "f"
    if column.dtype.kind == "O":
        are_floats = any(isinstance(value, float) for value in column)
    if cell_type == "number" and not are_floats and _are_inexact(values):
        return Column(name, "identifier", "integers of 2^53 or more, which no number holds")
    if len(distinct) == 1:
        return Column(name, "constant", "all values are equal", values=list(distinct))
    if cell_type != "date" and categories.are_ordered:
        why = "the order of its pandas dtype"
        return Column(name, "ordered", why, values=categories.values)
    if cell_type == "number" and categories.values:
        occurring = [value for value in categories.values if value in distinct]
        return Column(name, "categorical", "its pandas dtype", values=occurring)
    if cell_type == "number":
        is_single = column.dtype.kind == "f" and column.dtype.itemsize < 8
        resolution = float(np.finfo(column.dtype).eps) if is_single else RESOLUTION
        counted = Counted(distinct, counts, resolution if as_recorded else None)
        return _from_numbers(name, counted)
    if cell_type == "boolean":
        return Column(name, "boolean", "true or false", values=[False, True])
    if cell_type == "date":
        are_days = (distinct == distinct.astype("datetime64[D]")).all()
        step = 1.0 if as_recorded and are_days else None
        return Column(name, "date", f"dates, {len(distinct)} different ones", step=step)
    return _from_texts(name, distinct, len(values))


def _from_texts(name, distinct, num_rows):
    for what, form in _OTHER_FORMS.items():
        if len(distinct) > _FEW and all(re.fullmatch(form, text) for text in distinct):
            return Column(name, "text", what)
    if len(distinct) > min(_MOST_CATEGORIES, max(num_rows // 2, 2)):
        reason = f"{len(distinct)} different texts in {num_rows} rows"
        return Column(name, "text", reason)
    reason = f"text, {len(distinct)} different values"
    return Column(name, "categorical", reason, values=list(distinct))


def _from_numbers(name, counted):
    distinct, counts = counted.distinct, counted.counts
    if set(distinct) == {0.0, 1.0}:
        return Column(name, "boolean", "only 0 and 1", values=[0.0, 1.0])
    if counted.are_integers and (why := _identifies(counted)):
        return Column(name, "identifier", why)
    if counted.are_integers and _may_be_exceeded(counted):
        reason = f"counts: {distinct[-1]:g}, the largest, in {counts[-1]} rows only"
        return Column(name, "integer", reason, low=0.0)
    are_few = len(distinct) <= min(_FEW, counted.size // 2) and not _are_amounts(counted)
    if are_few or counted.are_repeated:
        what = "integers" if counted.are_integers else "values"
        reason = f"{len(distinct)} different {what}"
        reason += ", each in two rows or more" if counted.are_repeated else ""
        return Column(name, "ordered", reason, values=list(distinct))
    if counted.are_integers:
        return _from_integers(name, counted)
    return _from_reals(name, counted)


def _are_inexact(integers):
    """Whether one of the integers is so large that float64 may not hold it."""
    return np.abs(integers).max() >= FIRST_INEXACT


def _identifies(counted):
    """The reason why integers name their rows; empty if they need not."""
    distinct = counted.distinct
    if _are_inexact(distinct):
        return "integers of 2^53 or more, which no number holds"
    is_numbered = len(distinct) == counted.size >= _LEAST_ROWS and distinct[0] in (0.0, 1.0)
    if is_numbered and distinct[-1] - distinct[0] == len(distinct) - 1:
        return f"each integer from {distinct[0]:g} to {distinct[-1]:g} once"
    return ""


def _may_be_exceeded(counted):
    """Whether a few integers are counts, of which the largest is rare."""
    distinct, counts = counted.distinct, counted.counts
    if not 2 < len(distinct) <= _FEW or distinct[0] < 0.0:
        return False
    is_dense = 2 * len(distinct) > distinct[-1] - distinct[0]
    is_rare = counts[-1] < _RARE_SHARE * counts.sum()
    return bool(is_dense and is_rare and not counted.has_end([], 1))


def _are_amounts(counted):
    """Whether new rows are expected to have other numbers than these few.

    The share of rows with numbers that occur once estimates that of new numbers (Good
    1953). Numbers without gaps, such as grades, are no amounts. In samples of 25 to 150
    rows of R's tables, 95 % of 1,092 such columns have others in the remaining rows.
    """
    distinct = counted.distinct
    least = min(_RARE_SHARE * counted.size, 0.5 * len(distinct))
    are_single = np.sum(counted.counts == 1) > least
    has_gaps = len(distinct) <= round(np.ptp(distinct) / np.diff(distinct).min())
    is_modelled = counted.step is not None or distinct[0] == 0.0  # by a grid or a spike
    return bool(are_single and has_gaps and is_modelled)


def _from_integers(name, counted):
    column = Column(name, "integer", "only integers")
    if counted.step is not None:
        column.spikes = counted.spikes()
    if counted.without(column.spikes)[0] >= 0.0:
        column.low = 0.0
        column.reason += ", none below 0"
    if counted.step is not None:
        column.step = counted.step if counted.step > 1.0 else None
        _put_ends(column, counted)
    column.reason += _shares(column.spikes, counted)
    return column


def _from_reals(name, counted):
    distinct, spikes = counted.distinct, counted.spikes()
    column = _continuous(name, counted.without([] if counted.are_mostly_spikes else spikes))
    column.step = counted.step
    if column.step is not None:
        column.spikes = spikes
        _put_ends(column, counted)
    elif column.low is not None:
        if counted.are_on_no_grid and not counted.are_mostly_spikes:
            _put_ends_at_spikes(column, float(distinct[0]), float(distinct[-1]), spikes)
        ends = (column.low, column.high)  # numbers at an end have no density
        spikes = sorted({*spikes, *(e for e in ends if e is not None and e in distinct)})
    column.spikes = [float(spike) for spike in spikes]
    column.reason += _shares(column.spikes, counted)
    return column


def _put_ends(column, counted):
    """Sets ends of numbers on a grid if the rows show that these ends are no tails."""
    has_low, has_high = (counted.has_end(column.spikes, side) for side in (-1, 1))
    low, high = float(counted.distinct[0]), float(counted.distinct[-1])
    has_low &= column.low is not None or has_high
    has_high &= column.low is not None or has_low
    _set_ends(column, low if has_low else None, high if has_high else None)


def _put_ends_of_dtype(column, cells, ends):
    """Sets the ends of an integer dtype, unless they are far from the numbers.

    Draws beyond them would need another dtype.
    """
    if column.kind != "integer" or column.high is not None or ends is None:
        return
    numbers = cells_of(column.name, cells).numbers()
    low, high = np.nanmin(numbers), np.nanmax(numbers)
    is_near = column.low is None and low - ends[0] <= high - low
    if is_near or ends[1] - high <= high - low:
        _set_ends(column, float(ends[0]) if column.low is None else None, float(ends[1]))
        column.reason += " as its dtype does"


def _put_ends_at_spikes(column, low, high, spikes):
    """Sets ends of continuous numbers from 0 on, where the last number is a spike.

    At its end, a tail has single rows. In R's tables, one half of the rows shows 46 such
    ends, and the other half exceeds none.
    """
    has_low = low in spikes and low > column.low
    _set_ends(column, low if has_low else None, high if high in spikes else None)


def _set_ends(column, low, high):
    """Sets the ends that are not None, and says so in the reason."""
    ends = [f"{end:g}" for end in (low, high) if end is not None]
    if low is not None:
        column.low = low
    if high is not None:
        column.high = high
        column.kind = "integer" if column.kind == "integer" else "bounded"
    if ends:
        column.reason += f", ends at {' and '.join(ends)}"


def _shares(spikes, counted):
    """Words on the most common spikes."""
    shares = {s: counted.counts[counted.distinct == s].sum() / counted.size for s in spikes}
    shown = sorted(shares, key=lambda s: -shares[s])[:_SHOWN_SPIKES]
    if not shown:
        return ""
    words = ", ".join(f"{s:g} in {100.0 * shares[s]:.1f} %" for s in shown)
    others = len(spikes) - len(shown)
    return f", but for {words} of the rows" + (f", and {others} more" if others else "")


def _continuous(name, values):
    low, high = values.min(), values.max()
    is_heavy = is_heavy_tailed(values)
    heavy = f"heavy tail of index {tail_index(values):.1f} (Hill)"
    if low >= 0.0 and 0.5 < high <= 1.0:
        return Column(name, "bounded", "between 0 and 1", low=0.0, high=1.0)
    if low >= 0.0:
        return Column(name, "positive", "above 0" + is_heavy * f", {heavy}", low=0.0)
    if is_heavy:
        return Column(name, "heavy-tailed", heavy)
    return Column(name, "real", "numbers of both signs" if high > 0.0 else "below 0")
