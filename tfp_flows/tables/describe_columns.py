"""Proposals for the kinds of a table's columns, each with its reason."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tfp_flows.tables.column import Column
from tfp_flows.tables.columns import TableColumns
from tfp_flows.tables.differences import find_differences
from tfp_flows.tables.equalities import find_equalities
from tfp_flows.tables.frames import Frame, cells_of
from tfp_flows.tables.functions import find_functions
from tfp_flows.tables.grids import FIRST_INEXACT, find_step
from tfp_flows.tables.lookups import find_lookups

# Rules of thumb: each proposal can be overridden.
_FEW = 10  # maximum number of values of an ordered column
_RARE_SHARE = 0.02  # share of the rows; a largest count that is rarer may be exceeded
_MOST_CATEGORIES = 100  # maximum number of values of a categorical column
_LEAST_ROWS = 20  # minimum number of rows of a column of row numbers
# Texts that hold dates or numbers: as categories they would lose their meaning.
_OTHER_FORMS = {
    "dates as text, which pandas.to_datetime reads": r"\s*\d{4}(-\d{1,2}){2}([T\W].*)?",
    "dates, not as 2024-12-31": r"\s*\d{1,4}[/.]\d{1,2}[/.]\d{1,4}\s*",
    "numbers with signs": r"\s*[$€£¥]?\s*[-+]?[$€£¥]?\d[\d.,' ]*\s*[%$€£¥]?\s*",
}
# A spike has this ratio to the usual count of its neighbours, and these deviations above it
# as a Poisson count.
_SPIKE_RATIO, _SPIKE_DEVIATIONS = 5.0, 8.0
# Minimum share of the rows at a spike, and maximum number of spikes: on a grid, where all
# frequencies are modelled, and among continuous numbers.
_ON_GRID, _BETWEEN = (0.05, 3), (0.002, 200)
_LEAST_ROWS_OF_SPIKE = 8
# Minimum share of rows with repeated numbers, if these are all spikes; and mean number of
# rows with a number, if all numbers are repeated.
_SHARE_OF_REPEATED, _ROWS_OF_NUMBER = 0.9, 5
_NEIGHBOURS = 5  # number of neighbours on either side of a value
_BEYOND_IDENTIFIERS = 2.0**64  # from here on, integers of files are no names of rows
_RESOLUTION = 2.0**-48  # relative; numbers from files have 15 decimal digits
_SHOWN_SPIKES = 3  # number of spikes in the reason
# An end is no tail if at least so many rows would be expected at the next number.
_LEAST_BEYOND = 4.0
_TAIL_SHARE = 0.05  # share of the rows that the tail index uses on either side
_LEAST_TAIL = 10  # minimum number of rows in a tail


def describe_columns(
    frame: Any, names: Sequence[str] | None = None, *, as_recorded: bool = True
) -> TableColumns:
    """Proposes a kind for each column, with the reason.

    The result prints as a table, and each kind can be overridden. No column is proposed to
    be periodic.

    With `as_recorded`, the rows also show which cells cannot occur: numbers between
    multiples of a step, such as 0.1; whole numbers beyond an end that is no tail, such as
    month 13; and rows that violate an order or a sum of two columns (`Difference`). They
    also show which columns are exactly equal in some rows (`Equality`), and which are
    computed from another one (`Function`) or have one value for each of its values
    (`Lookup`). Each can be switched off:
    `columns.change("price", step=None)`, `columns.change("month", high=None)`,
    `columns.drop("last - first")`, `columns.drop("paid = bill")`,
    `columns.drop("lwage = log(wage)")`.

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
    forms, levels = read.form.columns, read.categories
    columns = [
        _described(
            name,
            column,
            levels.get(name, []),
            is_ordered=name in forms and forms[name].is_ordered,
            as_recorded=as_recorded,
        )
        for name, column in cells.items()
    ]
    table = TableColumns(columns)
    if not as_recorded:
        return table
    numbers = {
        c.name: cells_of(c.name, cells[c.name]).numbers()
        for c in table
        if c.is_number or c.kind == "ordered" and not c.has_ordered_texts
    }
    functions = _with_lookups(_functions(table, numbers), table, cells)
    computed = [function.name for function in functions]
    differences = _differences(table, computed, cells)
    linked = [*computed, *(difference.name for difference in differences)]
    equalities = find_equalities({c.name: c for c in table}, linked, numbers)
    return TableColumns(list(table), differences, equalities, functions)


def describe_numbers(frame: Any, names: Collection[str] | None = None) -> TableColumns:
    """Describes columns of numbers as continuous ones, so that all have densities.

    The kinds are "real" and "heavy-tailed", also for positive numbers; spikes and limits
    are not modelled.

    Args:
      frame: as for `describe_columns`.
      names: names of the columns that are described in this way, all by default;
        `describe_columns` describes the others.
    """
    columns, cells = describe_columns(frame, as_recorded=False), Frame(frame).columns
    for column in list(columns):
        if names is not None and column.name not in names:
            continue
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
        is_missing = np.isnan(numbers[function.name]) & ~np.isnan(numbers[function.source])
        if np.isnan(function(np.array([source.low])))[0] and not is_missing.any():
            low = source.low + source.grid.step
            table.change(source.name, low=low, reason=source.reason)
    return functions


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
    lookups = [each for each in lookups if each.fits([table[n] for n in each.names])]
    looked_up = [lookup.name for lookup in lookups]
    functions = [f for f in functions if f.source not in looked_up]
    taken = [function.name for function in functions]
    lookups = [e for e in lookups if e.name not in taken and e.label not in table.names]
    return [*functions, *lookups]


def _differences(table, computed, cells):
    """The orders and sums that all rows show, but of computed columns."""
    numbers = {
        name: cells_of(name, column).values.astype(np.float64)
        for name, column in cells.items()
        if table[name].is_number and column.dtype.kind != "M" and table[name].kind != "date"
    }

    def described(label, name, difference):
        """The description of differences from 0 on, on the grid of their column."""
        grid = table[name].grid
        difference = difference if grid is None else grid.round_if_near(difference)
        return _positive(label, difference, is_integer=table[name].kind == "integer")

    found = find_differences({c.name: c for c in table}, computed, numbers, described)
    for difference in found:
        if difference.column.kind == "constant":
            table.change(difference.name, high=None, reason=table[difference.name].reason)
    return found


def _described(name, column, categories, *, is_ordered, as_recorded):
    cells = cells_of(name, column)
    values = cells.values[~cells.is_missing]
    count = int(cells.is_missing.sum())
    if not len(values):
        return Column(name, "missing", "no cell has a value", num_missing=count)
    distinct, counts = np.unique(values, return_counts=True)
    are_floats = column.dtype.kind == "f"
    if column.dtype.kind == "O":
        are_floats = any(isinstance(value, float) for value in column)
    if cells.type == "number" and not are_floats and _are_inexact(values):
        why = "integers of 2^53 or more, which no number holds"
        described = Column(name, "identifier", why)
    elif len(distinct) == 1:
        described = Column(name, "constant", "all values are equal", values=list(distinct))
    elif cells.type != "date" and is_ordered:
        why = "the order of its pandas dtype"
        described = Column(name, "ordered", why, values=categories)
    elif cells.type == "number" and categories:
        occurring = [value for value in categories if value in distinct]
        described = Column(name, "categorical", "its pandas dtype", values=occurring)
    elif cells.type == "number":
        is_single = column.dtype.kind == "f" and column.dtype.itemsize < 8
        resolution = float(np.finfo(column.dtype).eps) if is_single else _RESOLUTION
        counted = Counted(distinct, counts, resolution if as_recorded else None)
        described = _from_numbers(name, counted)
    elif cells.type == "boolean":
        described = Column(name, "boolean", "true or false", values=[False, True])
    elif cells.type == "date":
        are_days = (distinct == distinct.astype("datetime64[D]")).all()
        described = Column(name, "date", f"dates, {len(distinct)} different ones")
        described.step = 1.0 if as_recorded and are_days else None
    else:
        described = _from_texts(name, distinct, len(values))
    described.num_missing = count
    if column.dtype.kind in "iu":
        described.values = [int(value) for value in described.values]
    return described


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
    are_few = len(distinct) <= min(_FEW, counted.size // 2)
    if are_few and not _are_amounts(counted) or counted.are_repeated:
        what = "integers" if counted.are_integers else "values"
        reason = f"{len(distinct)} different {what}"
        reason += ", each in two rows or more" if counted.are_repeated else ""
        return Column(name, "ordered", reason, values=list(distinct))
    if counted.are_integers:
        return _from_integers(name, counted)
    return _from_reals(name, counted)


def _are_inexact(integers):
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
    """Whether most of a few numbers are those of one row, so that new rows have others.

    An example is what the insured claimed, most of whom claimed nothing. Numbers without
    gaps, such as grades, are all that there are.
    """
    distinct = counted.distinct
    are_single = 2 * np.sum(counted.counts == 1) > len(distinct)
    is_dense = 2 * len(distinct) > np.ptp(distinct) / np.diff(distinct).min()
    is_modelled = counted.step is not None or distinct[0] == 0.0  # what many rows share
    return bool(are_single and not is_dense and is_modelled)


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
    distinct = counted.distinct
    spikes = counted.spikes()
    column = _continuous(name, counted.without([] if counted.are_few else spikes))
    column.step = counted.step
    if column.step is not None:
        column.spikes = spikes
        _put_ends(column, counted)
    elif column.low is not None:
        if counted.are_on_no_grid and not counted.are_few:
            _put_ends_at_spikes(column, float(distinct[0]), float(distinct[-1]), spikes)
        ends = (column.low, column.high)  # numbers at an end have no density
        spikes = sorted({*spikes, *(e for e in ends if e is not None and e in distinct)})
    column.spikes = [float(spike) for spike in spikes]
    column.reason += _shares(column.spikes, counted)
    return column


def _positive(name, values, is_integer):
    """The description of numbers from 0 on, without an upper end."""
    counted = Counted(*np.unique(values, return_counts=True), _RESOLUTION)
    spikes = counted.spikes()
    if counted.step is None and counted.distinct[0] == 0.0:
        spikes = sorted({0.0, *spikes})
    step = counted.step if not is_integer or counted.step != 1.0 else None
    kind = "integer" if is_integer else "positive"
    return Column(name, kind, low=0.0, spikes=spikes, step=step)


def _put_ends(column, counted):
    """Sets ends of numbers on a grid if the rows show that these ends are no tails."""
    has_low, has_high = (counted.has_end(column.spikes, side) for side in (-1, 1))
    low, high = float(counted.distinct[0]), float(counted.distinct[-1])
    has_low &= column.low is not None or has_high
    has_high &= column.low is not None or has_low
    _set_ends(column, low if has_low else None, high if has_high else None)


def _put_ends_at_spikes(column, low, high, spikes):
    """Sets ends of continuous numbers from 0 on, where the last number is a spike.

    A tail has single rows there. Of 46 such ends in one half of the rows of R's tables, the
    other half exceeds none.
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


class Counted:
    """Different numbers of a column, and how many rows have each.

    Args:
      distinct: the numbers, increasing.
      counts: numbers of rows.
      resolution: relative resolution of their dtype; None: no step is sought.

    Attributes:
      step: the step of the grid that all numbers are on; None if there is none.
      are_on_no_grid: whether a step was sought, and there is none.
    """

    def __init__(
        self, distinct: np.ndarray, counts: np.ndarray, resolution: float | None
    ) -> None:
        self.distinct, self.counts = distinct, counts
        self.size = int(counts.sum())
        self.are_integers = bool((distinct == np.floor(distinct)).all())
        self.are_integers &= bool(np.abs(distinct).max() < _BEYOND_IDENTIFIERS)
        self.step = None
        self._is_repeated = counts >= _LEAST_ROWS_OF_SPIKE
        if resolution is not None:
            self.step = find_step(distinct, resolution)
            if self.step is None and self.are_integers:
                self.step = 1.0
        self.are_on_no_grid = resolution is not None and self.step is None

    @property
    def are_repeated(self) -> bool:
        """Whether the numbers are on no grid, and each is that of several rows.

        So few rows are expected to have others. An example is the income of a row's county.
        """
        are_few = self.size >= _ROWS_OF_NUMBER * len(self.distinct)
        return self.are_on_no_grid and are_few and bool(self.counts.min() > 1)

    @property
    def are_few(self) -> bool:
        """Whether nearly all rows have one of a few repeated numbers, which are on no grid.

        An example is the logarithm of the age in years.
        """
        are_all = self.counts[self._is_repeated].sum() >= _SHARE_OF_REPEATED * self.size
        are_few = self._is_repeated.sum() <= _BETWEEN[1]
        return self.are_on_no_grid and bool(are_all and are_few)

    def without(self, spikes: Sequence[float]) -> np.ndarray:
        """Returns the numbers of all rows in increasing order, without spikes."""
        is_kept = ~np.isin(self.distinct, spikes)
        return np.repeat(self.distinct[is_kept], self.counts[is_kept])

    def spikes(self) -> list[float]:
        """Returns numbers with many more rows than their neighbours, or all of a few."""
        share, most = _BETWEEN if self.step is None else _ON_GRID
        found = np.flatnonzero(self._is_repeated).tolist()
        if not self.are_few:
            least = share * self.size
            found = [i for i in found if self.counts[i] >= least and self._is_spike(i)]
        common = sorted(found, key=lambda i: -self.counts[i])[:most]
        while common and not self._is_rest(common):
            common.pop()
        return sorted(float(self.distinct[i]) for i in common)

    def _is_rest(self, common):
        """Whether rows are left for a density beside spikes."""
        rest = self.size - self.counts[common].sum()
        return len(self.distinct) - len(common) >= 2 and rest >= _LEAST_ROWS_OF_SPIKE

    def has_end(self, spikes: Sequence[float], side: int) -> bool:
        """Whether the last number is an end, and not the last one of a tail.

        Without an end, the next number would be expected in some rows, by the counts of the
        last numbers.

        Args:
          spikes: numbers with many more rows than their neighbours.
          side: 1 for the upper end, -1 for the lower one.
        """
        last = len(self.distinct) - 1 if side > 0 else 0
        if self.step is None:
            return False
        a, b, c, d = (self._count(last, -side * i) for i in range(4))
        if self.distinct[last] in spikes and not (b or c or d):
            return False  # a code far from the numbers, such as -999
        expected = min(_next_count(a, b), _next_count(0.5 * (a + b), 0.5 * (c + d)))
        others = [s for s in spikes if s != self.distinct[last]]
        if others and self.distinct[last] in spikes:
            # Among round numbers that are more common, the next one is round.
            before = max(others) if side > 0 else min(others)
            count = self.counts[self.distinct == before].sum()
            expected = min(expected, _next_count(a, count)) if a > count else 0.0
        return bool(expected >= _LEAST_BEYOND)

    def _is_spike(self, i):
        sides = [self._neighbours(i, side) for side in (-1, 1)]
        sides = [side for side in sides if len(side)]
        share = 0.5 if len(sides) == 2 else 0.75
        usual = max((np.quantile(side, share) for side in sides), default=0.0)
        least = usual + _SPIKE_DEVIATIONS * np.sqrt(usual + 1.0)
        return self.counts[i] >= max(_SPIKE_RATIO * usual, least)

    def _neighbours(self, i, side):
        """Counts of the next numbers on one side, up to the last one."""
        if self.step is None:
            ranks = i + side * np.arange(1, _NEIGHBOURS + 1)
            return self.counts[ranks[(ranks >= 0) & (ranks < len(self.counts))]]
        end = self.distinct[-1] if side > 0 else self.distinct[0]
        most = int(np.round(abs(end - self.distinct[i]) / self.step))
        steps = range(1, min(most, _NEIGHBOURS) + 1)
        return np.array([self._count(i, side * step) for step in steps])

    def _count(self, i, steps):
        """Number of rows with the number some steps after the i-th one."""
        step = self.step or 1.0
        y = self.distinct[i] + steps * step
        near = np.searchsorted(self.distinct, y - 0.5 * step)
        is_there = near < len(self.distinct) and self.distinct[near] < y + 0.5 * step
        return int(self.counts[near]) if is_there else 0


def _next_count(last, before):
    """Extrapolates two counts to the next one: it falls by the same ratio, or stays."""
    return last * min(1.0, last / before) if before else float(last)


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


def tail_index(values: npt.ArrayLike) -> float:
    """Returns the tail index of the heavier tail of `values`, about their median.

    ```none
    P(distance > d) ~ d^-index,   1 / index = mean of log(d_i / d_k) over the k largest
    ```

    Normal tails have a large index; tails of index 2 or less have no variance. The result
    is infinite if there are too few rows for a tail.

    >>> import numpy as np
    >>> from tfp_flows.tables.describe_columns import tail_index
    >>> rng = np.random.default_rng(0)
    >>> round(tail_index(rng.standard_cauchy(10_000)), 1)
    1.0
    >>> tail_index(rng.normal(size=10_000)) > 4.0
    True

    Args:
      values: `[N]` finite numbers, of which the farthest 5 % on either side are used.

    Reference:
      Hill (1975), A simple general approach to inference about the tail of a distribution.
      https://doi.org/10.1214/aos/1176343247
    """
    numbers = np.asarray(values, np.float64)
    distances = numbers - np.median(numbers)
    return float(min(_one_sided(distances), _one_sided(-distances)))


def is_heavy_tailed(values: npt.ArrayLike) -> bool:
    """Whether the tail index is below 3 by two standard errors: no third moment exists.

    >>> import numpy as np
    >>> from tfp_flows.tables.describe_columns import is_heavy_tailed
    >>> rng = np.random.default_rng(0)
    >>> is_heavy_tailed(rng.normal(size=400)), is_heavy_tailed(rng.standard_cauchy(400))
    (False, True)

    Args:
      values: `[N]` finite numbers.
    """
    count = max(int(_TAIL_SHARE * np.size(values)), 1)
    return bool(tail_index(values) * (1.0 + 2.0 / np.sqrt(count)) < 3.0)


def _one_sided(distances):
    tail = np.sort(distances[distances > 0.0])[::-1]
    count = int(_TAIL_SHARE * len(distances))
    if count < _LEAST_TAIL or len(tail) <= count:
        return np.inf
    mean = np.mean(np.log(tail[:count] / tail[count]))
    return 1.0 / mean if mean > 0.0 else np.inf
