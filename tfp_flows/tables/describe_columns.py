"""Proposals for the kinds of a table's columns, each with its reason."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tfp_flows.tables.columns import Column, TableColumns
from tfp_flows.tables.frames import Frame, cells_of

# Rules of thumb: each proposal can be overridden.
_FEW = 10  # maximum number of values of an ordered column
_RARE_SHARE = 0.02  # of the rows; a largest count that is rarer may be exceeded
_MOST_CATEGORIES = 100  # maximum number of values of a categorical column
_LEAST_ROWS = 20  # minimum number of rows of a column of row numbers
# Texts that hold dates or numbers: as categories they would lose their meaning.
_OTHER_FORMS = {
    "dates as text, which pandas.to_datetime reads": r"\s*\d{4}-\d{1,2}-\d{1,2}\b.*",
    "dates, not as 2024-12-31": r"\s*\d{1,4}[/.]\d{1,2}[/.]\d{1,4}\s*",
    "numbers with signs": r"\s*[$€£¥]?\s*[-+]?[$€£¥]?\d[\d.,' ]*\s*[%$€£¥]?\s*",
}
_SPIKE_SHARE = 0.05  # minimum share of the rows that have the value of a spike
_SPIKE_RATIO = 10.0  # minimum ratio of a spike's count to the mean of other values
_MOST_SPIKES = 3  # more common values are due to rounding
_TAIL_SHARE = 0.05  # of the rows, that the tail index uses on either side
_LEAST_TAIL = 10  # minimum number of rows in a tail


def describe_columns(frame: Any, names: Sequence[str] | None = None) -> TableColumns:
    """Proposes a kind for each column, with the reason.

    The result prints as a table, and each kind can be overridden. No column is proposed to
    be periodic.

    >>> import numpy as np
    >>> import tfp_flows
    >>> rng = np.random.default_rng(0)
    >>> income = np.exp(0.5 * rng.normal(size=500)) * (rng.random(500) < 0.7)
    >>> frame = {"hour": rng.uniform(0, 24, 500), "income": income.round(3)}
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

    Returns:
      A `TableColumns`.

    Raises:
      ValueError: if `frame` is something else, or a column has cells of several types or
        infinite numbers.
    """
    read = Frame(frame)
    columns = read.take(read.names if names is None else list(names))
    forms, levels = read.form.columns, read.categories
    return TableColumns(
        [
            _described(n, c, levels.get(n, []), n in forms and forms[n].is_ordered)
            for n, c in columns.items()
        ]
    )


def describe_numbers(frame: Any, names: Collection[str] | None = None) -> TableColumns:
    """Describes columns of numbers as continuous ones, so that all have densities.

    The kinds are "real" and "heavy-tailed"; spikes and limits are not modelled.

    Args:
      frame: as for `describe_columns`.
      names: names of the columns that are described so, others being described as by
        `describe_columns`; all by default.
    """
    columns = describe_columns(frame)
    for column in list(columns):
        kind = column.kind if column.kind == "heavy-tailed" else "real"
        is_chosen = names is None or column.name in names
        if is_chosen and (column.kind != kind or column.spikes):
            columns.change(column.name, kind=kind, spikes=[], reason="as a number")
    return columns


def _described(name, column, categories, is_ordered):
    cells = cells_of(name, column)
    values = cells.values[~cells.is_missing]
    count = int(cells.is_missing.sum())
    if not len(values):
        return Column(name, "missing", "no cell has a value", num_missing=count)
    distinct, counts = np.unique(values, return_counts=True)
    if len(distinct) == 1:
        described = Column(name, "constant", "all values are equal", values=list(distinct))
    elif cells.type != "date" and is_ordered:
        why = "the order of its pandas dtype"
        described = Column(name, "ordered", why, values=categories)
    elif cells.type == "number" and categories:
        occurring = [value for value in categories if value in distinct]
        described = Column(name, "categorical", "its pandas dtype", values=occurring)
    else:
        described = _BY_TYPE[cells.type](name, values, distinct, counts)
    described.num_missing = count
    if column.dtype.kind in "iu":
        described.values = [int(value) for value in described.values]
    return described


def _from_booleans(name, values, distinct, counts):
    return Column(name, "boolean", "true or false", values=[False, True])


def _from_dates(name, values, distinct, counts):
    return Column(name, "date", f"dates, {len(distinct)} different ones")


def _from_text(name, values, distinct, counts):
    for what, form in _OTHER_FORMS.items():
        if len(distinct) > _FEW and all(re.fullmatch(form, text) for text in distinct):
            return Column(name, "text", what)
    if len(distinct) > min(_MOST_CATEGORIES, max(len(values) // 2, 2)):
        reason = f"{len(distinct)} different texts in {len(values)} rows"
        return Column(name, "text", reason)
    reason = f"text, {len(distinct)} different values"
    return Column(name, "categorical", reason, values=list(distinct))


def _from_numbers(name, values, distinct, counts):
    if set(distinct) == {0.0, 1.0}:
        return Column(name, "boolean", "only 0 and 1", values=[0.0, 1.0])
    is_integer = bool((distinct == np.floor(distinct)).all())
    if is_integer and (why := _identifies(values, distinct)):
        return Column(name, "identifier", why)
    if is_integer and _may_be_exceeded(distinct, counts):
        reason = f"counts: {distinct[-1]:g}, the largest, in {counts[-1]} rows only"
        return Column(name, "integer", reason, low=0.0)
    if len(distinct) <= min(_FEW, len(values) // 2):
        what = "integers" if is_integer else "values"
        reason = f"{len(distinct)} different {what}"
        return Column(name, "ordered", reason, values=list(distinct))
    if not is_integer:
        return _from_reals(name, values, distinct, counts)
    if distinct[0] >= 0.0:
        return Column(name, "integer", "only integers, none below 0", low=0.0)
    return Column(name, "integer", "only integers")


def _identifies(values, distinct):
    """The reason why integers name their rows; empty if they need not."""
    if np.abs(distinct).max() >= 2.0**53:
        return "integers of 2^53 or more, which no number holds"
    is_numbered = len(distinct) == len(values) >= _LEAST_ROWS and distinct[0] in (0.0, 1.0)
    if is_numbered and distinct[-1] - distinct[0] == len(distinct) - 1:
        return f"each integer from {distinct[0]:g} to {distinct[-1]:g} once"
    return ""


def _may_be_exceeded(distinct, counts):
    """Whether a few integers are counts, of which the largest is rare."""
    if not 2 < len(distinct) <= _FEW or distinct[0] < 0.0:
        return False
    is_dense = 2 * len(distinct) > distinct[-1] - distinct[0]
    return bool(is_dense and counts[-1] < _RARE_SHARE * counts.sum())


def _from_reals(name, values, distinct, counts):
    spikes = _spikes(values, distinct, counts)
    rest = values[~np.isin(values, spikes)]
    column = _continuous(name, rest)
    if column.low is not None:  # numbers at an end have no density
        ends = (column.low, column.high)
        spikes = sorted({*spikes, *(e for e in ends if e is not None and e in distinct)})
    column.spikes = [float(spike) for spike in spikes]
    shares = [f"{s:g} in {100.0 * np.mean(values == s):.1f} % of the rows" for s in spikes]
    if shares:
        column.reason += f", but for {', '.join(shares)}"
    return column


def _spikes(values, distinct, counts):
    """Values that many rows share, many more than share other values."""
    is_common = counts >= _SPIKE_SHARE * len(values)
    if is_common.all():
        return []
    usual = np.mean(counts[~is_common])
    spikes = distinct[is_common & (counts >= _SPIKE_RATIO * usual)].tolist()
    return spikes if len(spikes) <= _MOST_SPIKES else []


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


_BY_TYPE = {
    "number": _from_numbers,
    "boolean": _from_booleans,
    "date": _from_dates,
    "text": _from_text,
}


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


def is_heavy_tailed(values: npt.ArrayLike, most: float = 3.0) -> bool:
    """Whether the tail index is below `most` by two standard errors.

    >>> import numpy as np
    >>> from tfp_flows.tables.describe_columns import is_heavy_tailed
    >>> rng = np.random.default_rng(0)
    >>> is_heavy_tailed(rng.normal(size=400)), is_heavy_tailed(rng.standard_cauchy(400))
    (False, True)

    Args:
      values: `[N]` finite numbers.
      most: bound on the index; below 3, there is no third moment.
    """
    count = max(int(_TAIL_SHARE * np.size(values)), 1)
    return bool(tail_index(values) * (1.0 + 2.0 / np.sqrt(count)) < most)


def _one_sided(distances):
    tail = np.sort(distances[distances > 0.0])[::-1]
    count = int(_TAIL_SHARE * len(distances))
    if count < _LEAST_TAIL or len(tail) <= count:
        return np.inf
    mean = np.mean(np.log(tail[:count] / tail[count]))
    return 1.0 / mean if mean > 0.0 else np.inf
