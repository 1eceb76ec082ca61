"""Lookups: columns that have one value for each value of another column."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import special

from tfp_flows.core.arguments import require
from tfp_flows.tables.frames import cells_of

_MOST_COLUMNS = 100  # among more columns, none is compared
_SAMPLE = 200  # rows that rule out most lookups
# Logarithms of the probability, at most, that values are so by chance: of all of them, and
# of the rows with each value.
_MOST_CHANCE, _MOST_CHANCE_OF_VALUE = -6.0, -2.0


@dataclasses.dataclass
class Lookup:
    """A column of one value for each value of another column.

    ```none
    name = table[source],     for example the region of each state
    ```

    The column is not modelled but looked up, so it is kept exactly. Rows that contradict
    it cannot occur, and the density of the others is that of their other columns.

    Args:
      name: name of the column.
      source: name of the other column, of one of a list of values.
      table: pairs of a value of the source and the value of the column, None where it is
        missing.
      reason: why there is the lookup.

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
    table: Sequence[Sequence]
    reason: str = ""

    def __post_init__(self) -> None:
        words = f"another `source` than the column of the lookup {self.name!r}"
        require(self.source != self.name, words, repr(self.source))
        keys = [key for key, _ in self.table]
        words = f"`table` of the lookup {self.name!r} with each value of the source once"
        require(len(set(keys)) == len(keys), words, keys)

    @property
    def names(self) -> list[str]:
        """Names of both columns."""
        return [self.name, self.source]

    @property
    def label(self) -> str:
        """The name under which `TableColumns` lists it."""
        return f"{self.name} = lookup({self.source})"

    def cells(self, name: str, column: np.ndarray) -> np.ndarray:
        """Returns cells of one of both columns as objects, `[N]`; None where missing."""
        cells = cells_of(name, column)
        values = cells.values.astype(object)
        values[cells.is_missing] = None
        return values

    def __call__(self, source: np.ndarray) -> np.ndarray:
        """Returns the column's cells, `[N]`, missing where there is none."""
        return _column(self._looked_up(source))

    def inverse(self, values: np.ndarray) -> np.ndarray:
        """Returns cells of the source, `[N]`; missing where several have the value."""
        all_values = [value for _, value in self.table]
        once = {v: k for k, v in self.table if v is not None and all_values.count(v) == 1}
        return _column([once.get(value) for value in values])

    def holds(self, source: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Returns where cells are the ones looked up or both are missing, booleans `[N]`.

        Args:
          source: cells of the source, `[N]`; None where missing.
          values: cells of the column, `[N]`; None where missing.
        """
        pairs = zip(self._looked_up(source), values, strict=True)
        return np.array([expected == value for expected, value in pairs], bool)

    def to_plain(self) -> dict[str, Any]:
        """Returns a dictionary of JSON's types."""
        return dataclasses.asdict(self)

    def _looked_up(self, source):
        table = dict(map(tuple, self.table))
        return [table.get(value) for value in source]


def find_lookups(
    sources: Mapping[str, np.ndarray], columns: Mapping[str, np.ndarray]
) -> list[Lookup]:
    """Returns the columns that have one value for each value of another one in all rows.

    They are found if that is unlikely by chance: if the values in the rows of one value of
    the source were independent, with unknown frequencies (Jeffreys's prior), their being
    equal would have a probability below e^-6, and below e^-2 in the rows of each value of
    the column. The source is the column with most values. It has no missing cell, and is no
    lookup itself.

    >>> import numpy as np
    >>> from tfp_flows.tables.lookups import find_lookups
    >>> state = np.repeat(np.array(["Ohio", "Utah", "Iowa"], object), 50)
    >>> region = np.repeat(np.array(["Midwest", "West", "Midwest"], object), 50)
    >>> columns = {"state": state, "region": region}
    >>> [lookup.label for lookup in find_lookups(columns, columns)]
    ['region = lookup(state)']

    Args:
      sources: columns of one of a list of values, `[N]`, by name.
      columns: columns that may be lookups, `[N]`, by name.
    """
    both = {**sources, **columns}
    if len(both) > _MOST_COLUMNS:
        return []
    lookup = Lookup("", " ", [])
    cells = {name: lookup.cells(name, column).tolist() for name, column in both.items()}
    codes = {name: _codes(values) for name, values in cells.items()}
    found: dict[str, Lookup] = {}
    used: set[str] = set()
    whole = [name for name in sources if None not in cells[name]]
    for source in sorted(whole, key=lambda name: -codes[name].max()):
        for name in columns:
            if source in found or name in found or name in used or name == source:
                continue
            if _is_lookup(codes[source], codes[name]):
                _, first = np.unique(codes[source], return_index=True)
                table = [[cells[source][row], cells[name][row]] for row in first]
                reason = f"one value for each of the {len(first)} of {source} in all rows"
                found[name] = Lookup(name, source, table, reason)
                used.add(source)
    return [found[name] for name in columns if name in found]


def _is_lookup(source, codes):
    """Whether codes have one value for each of the source, not by chance."""
    num_values = codes.max() + 1
    if not 1 < num_values <= source.max() + 1:
        return False
    some = slice(None, None, max(len(codes) // _SAMPLE, 1))
    for rows in (some, slice(None)):
        pairs = source[rows] * num_values + codes[rows]
        if len(np.unique(pairs)) > len(np.unique(source[rows])):
            return False
    _, first, counts = np.unique(source, return_index=True, return_counts=True)
    chances = _chance_of_equal_values(counts, num_values)
    by_value = np.bincount(codes[first], weights=chances)
    return chances.sum() < _MOST_CHANCE and (by_value < _MOST_CHANCE_OF_VALUE).all()


def _chance_of_equal_values(counts, num_values):
    """Logarithms of the probabilities that rows all have one of the values, by count."""
    each = special.gammaln(counts + 0.5) - special.gammaln(0.5)
    whole = special.gammaln(counts + 0.5 * num_values) - special.gammaln(0.5 * num_values)
    return np.log(num_values) + each - whole


def _codes(values):
    """Indices of different values, `[N]`."""
    places = {value: place for place, value in enumerate(dict.fromkeys(values))}
    return np.array([places[value] for value in values], np.int64)


def _column(values):
    """A column of values, `[N]`; numbers are floats, and NaN where missing."""
    if values and all(isinstance(value, bool) for value in values):
        return np.array(values)
    if all(value is None or isinstance(value, float) for value in values):
        return np.array([np.nan if value is None else value for value in values], float)
    return np.array([*values, None], object)[:-1]
