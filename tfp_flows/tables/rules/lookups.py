"""Lookups: columns that have one value for each value of another column."""

from __future__ import annotations

import collections
import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np

from tfp_flows.core.arguments import require
from tfp_flows.tables.cells import Cells, cells_of
from tfp_flows.tables.column import Column
from tfp_flows.tables.rules.rule import Computed

_MOST_COLUMNS = 100  # among more columns, none is compared
_SAMPLE = 200  # rows that rule out most lookups
# Log-probabilities below which equal values in the rows of one source value are no chance:
# of all rows together, and of the rows with each value of the column.
_MOST_CHANCE, _MOST_CHANCE_OF_VALUE = -6.0, -2.0
# The bound if values of both columns correspond one to one and differ, for example 0 and 1
# to female and male: 18 rows of each value reach it. Between halves of R's tables, none of
# 71 such lookups failed, but 46 of 130 if values may be equal.
_MOST_CHANCE_ONE_TO_ONE = -1.3


@dataclasses.dataclass
class Lookup(Computed):
    """A column with one value for each value of another column.

    ```none
    name = value that is paired with source,     for example the region of a state
    ```

    The column is not modelled but looked up, so it is kept exactly. Rows that contradict
    it cannot occur, and the density of the others is that of their other columns.

    Args:
      name: name of the column.
      source: name of the other column, which has a list of values.
      pairs: each value of the source with the value of the column; None if the column is
        missing there, or, with `has_gaps`, if its value is not known.
      reason: why there is the lookup.
      has_gaps: whether cells of either column may be missing alone.

    Raises:
      ValueError: if a value of the source comes twice, or a column is its own source.

    >>> import numpy as np
    >>> from tfp_flows.tables import Lookup
    >>> lookup = Lookup("region", "state", [["Ohio", "Midwest"], ["Utah", "West"]])
    >>> lookup.label, lookup(np.array(["Utah", "Ohio"], object))
    ('region = lookup(state)', array(['West', 'Midwest'], dtype=object))
    """

    name: str
    source: str
    pairs: Sequence[Sequence]
    reason: str = ""
    has_gaps: bool = False

    has_one_source = False

    def __post_init__(self) -> None:
        super().__post_init__()
        keys = [key for key, _ in self.pairs]
        words = f"`pairs` of the lookup {self.name!r} with each value of the source once"
        require(len(set(keys)) == len(keys), words, keys)

    @property
    def label(self) -> str:
        """The name under which `TableColumns` lists it."""
        return f"{self.name} = lookup({self.source})"

    def fits(self, columns: Sequence[Column]) -> bool:
        """Returns whether there is a pair for each of the source's values."""
        values = columns[1].values
        has_codes = columns[1].kind != "ordered" or not self.values_without_rule
        return has_codes and bool(values) and set(values) <= {key for key, _ in self.pairs}

    @property
    def values_without_rule(self) -> list:
        """Values of the source for which the value of the column is not known."""
        return [key for key, value in self.pairs if value is None and self.has_gaps]

    def has_value_between(self, source: Column) -> bool:
        """Returns False for a long list of numbers, between which others may occur."""
        return not source.has_many_numbers

    def __call__(self, source: np.ndarray) -> np.ndarray:
        """Returns the column's cells, `[N]`, missing where there is none."""
        return _column(self._looked_up(source))

    def inverse(self, values: np.ndarray) -> np.ndarray:
        """Returns cells of the source, `[N]`; missing where several have the value."""
        counts = collections.Counter(value for _, value in self.pairs)
        once = {v: key for key, v in self.pairs if v is not None and counts[v] == 1}
        return _column([once.get(v) for v in _objects(cells_of(self.name, values))])

    def holds(self, source: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Returns where cells of both columns agree or are missing, booleans `[N]`."""
        values = _objects(cells_of(self.name, values))
        pairs = zip(self._looked_up(source), values, strict=True)
        return np.array([expected == value for expected, value in pairs], bool)

    def _looked_up(self, source):
        table = dict(map(tuple, self.pairs))
        return [table.get(v) for v in _objects(cells_of(self.source, source))]


def find_lookups(
    sources: Mapping[str, np.ndarray], columns: Mapping[str, np.ndarray]
) -> list[Lookup]:
    """Returns the columns that have one value for each value of another one.

    A column has it in all rows, or, if cells are missing, in all rows where both are known.
    A lookup is found if it is unlikely by chance. Suppose that the values in the rows of
    one source value were independent, with unknown frequencies (Jeffreys's prior). Then the
    probability that they are all equal must be below e^-6 for all rows, and below e^-2 for
    the rows of each value of the column. Below e^-1.3 for these is enough if the source has
    one value for each value of the column as well, and another one. The source with most
    values is taken. It is no lookup itself.

    >>> import numpy as np
    >>> from tfp_flows.tables.rules.lookups import find_lookups
    >>> state = np.repeat(np.array(["Ohio", "Utah", "Iowa"], object), 90)
    >>> region = np.repeat(np.array(["Midwest", "West", "Midwest"], object), 90)
    >>> columns = {"state": state, "region": region}
    >>> [lookup.label for lookup in find_lookups(columns, columns)]
    ['region = lookup(state)']
    """
    both = {**sources, **columns}
    if len(both) > _MOST_COLUMNS:
        return []
    cells = {name: cells_of(name, column) for name, column in both.items()}
    pairs = _pairs_in_some_rows(sources, cells)
    codes = {name: _codes(cells[name]) for pair in pairs for name in pair}
    lookups: dict[str, Lookup] = {}
    used: set[str] = set()
    for source, name in sorted(pairs, key=lambda pair: -codes[pair[0]].max()):
        if source in lookups or name in lookups or name in used or name not in columns:
            continue
        lookup = _lookup(name, source, cells)
        if lookup is not None:
            lookups[name] = lookup
            used.add(source)
    return [lookups[name] for name in columns if name in lookups]


def _lookup(name, source, cells):
    """The lookup of a column by another one; None if there is none."""
    has_key, has_value = (~cells[n].is_missing for n in (source, name))
    both = has_key & has_value
    choices = {} if both.all() else {f"all {both.sum()} rows where both are known": both}
    if not has_value[~has_key].any():  # first, with a missing cell as a value of its own
        choices = {"all rows": has_key, **choices}
    for words, rows in choices.items():
        some = [_taken(cells[n], rows) for n in (source, name)]
        pairs = dict(zip(*map(_objects, some), strict=True))
        are_different = all(key != value for key, value in pairs.items())
        from_source, from_column = map(_codes, some)
        if pairs and _is_lookup(from_source, from_column, are_different):
            reason = f"one value for each of the {len(pairs)} of {source} in {words}"
            distinct = np.unique(cells[source].values[has_key]).astype(object)
            values = [[key, pairs.get(key)] for key in distinct]
            return Lookup(name, source, values, reason, has_gaps=rows is both)
    return None


def _pairs_in_some_rows(sources, cells):
    """Pairs of a source and a column with one value for each source value, by a sample."""
    count = len(next(iter(cells.values())).values) if cells else 0
    some = slice(None, None, max(count // _SAMPLE, 1))
    some_cells = {name: _taken(c, some) for name, c in cells.items()}
    codes = {name: _codes(c) for name, c in some_cells.items()}
    pairs = []
    for source, name in itertools.product(sources, cells):
        is_known = ~some_cells[source].is_missing & ~some_cells[name].is_missing
        both = (codes[n][is_known] for n in (source, name))
        if name != source and _have_one_value(*both):
            pairs.append((source, name))
    return pairs


def _is_lookup(source, codes, are_different):
    """Whether there is one code for each code of the source, `[N]` both, not by chance.

    `are_different` says whether each value differs from its value of the source.
    """
    num_values = codes.max() + 1
    if not 1 < num_values <= source.max() + 1 or not _have_one_value(source, codes):
        return False
    _, first, counts = np.unique(source, return_index=True, return_counts=True)
    # Logarithms of the probabilities that rows all have one of the values.
    half, total = 0.5, 0.5 * num_values
    start = math.log(num_values) - math.lgamma(half) + math.lgamma(total)
    chances = [start + math.lgamma(n + half) - math.lgamma(n + total) for n in counts]
    by_value = np.bincount(codes[first], weights=chances)
    if len(counts) == num_values and are_different:
        return bool((by_value < _MOST_CHANCE_ONE_TO_ONE).all())
    return np.sum(chances) < _MOST_CHANCE and (by_value < _MOST_CHANCE_OF_VALUE).all()


def _have_one_value(source, codes):
    """Whether there is one code for each code of the source."""
    pairs = source * (codes.max(initial=0) + 1) + codes
    return len(np.unique(pairs)) == len(np.unique(source))


def _taken(cells, rows):
    return Cells(cells.type, cells.values[rows], cells.is_missing[rows])


def _objects(cells):
    """Cells as Python objects, `[N]`; None where missing."""
    values = cells.values.astype(object)
    values[cells.is_missing] = None
    return values


def _codes(cells):
    """Indices of different values, `[N]`; missing cells have one of their own."""
    _, codes = np.unique(cells.values, return_inverse=True)
    codes = np.where(cells.is_missing, len(codes), codes)
    return np.unique(codes, return_inverse=True)[1]


def _column(values):
    """A column of values, `[N]`; numbers are floats, and NaN where missing."""
    if values and all(isinstance(value, bool) for value in values):
        return np.array(values)
    if all(value is None or isinstance(value, float) for value in values):
        return np.array([np.nan if value is None else value for value in values], float)
    return np.array([*values, None], object)[:-1]
