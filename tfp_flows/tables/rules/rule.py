"""What the rules between columns have in common, and those that compute a column.

Each kind of rule has a file with its class and the function that finds it: `differences`,
`equalities`, `functions`, `lookups`, `compositions`. `TableColumns` lists rules;
`kept_rules` says which of them a distribution keeps.
"""

from __future__ import annotations

import abc
import copy
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from tfp_flows.core.arguments import require
from tfp_flows.tables.column import Column


class Rule(abc.ABC):
    """A rule between columns of a row.

    Attributes:
      needs: the columns that allow it, in words.
      names: names of all its columns; the first is the one that it describes.
      has_gaps: whether the first column may have a cell where another is missing, and the
        other way round. Where it has one alone, the column is modelled itself.
    """

    needs: ClassVar[str]
    names: list[str]
    has_gaps: bool = False

    @property
    @abc.abstractmethod
    def label(self) -> str:
        """The name under which `TableColumns` lists it."""

    @abc.abstractmethod
    def fits(self, columns: Sequence[Column]) -> bool:
        """Returns whether columns, in the order of `names`, allow it."""

    @property
    def values_without_rule(self) -> list:
        """Values of the source at which it does not apply to the first column."""
        return []

    def to_plain(self) -> dict[str, Any]:
        """Returns a dictionary of JSON's types."""
        return copy.deepcopy(vars(self))

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Rule:
        """Returns the rule from the result of `to_plain`."""
        return cls(**plain)


class Computed(Rule):
    """A column that is computed from another one: the base of `Function` and `Lookup`.

    Attributes:
      name: name of the column.
      source: name of the other column.
      reason: why there is the rule.
      has_gaps: see `Rule`. Without, the column is missing where its source is.
      has_one_source: whether different cells of the source have different values.
    """

    needs = "a value for each value of the source"
    name: str
    source: str
    reason: str
    has_one_source: ClassVar[bool] = True

    def __post_init__(self) -> None:
        words = f"another `source` than the column of {self.name!r}"
        require(self.source != self.name, words, repr(self.source))

    @property
    def names(self) -> list[str]:  # type: ignore[override]  # elsewhere a field
        """Names of both columns."""
        return [self.name, self.source]

    def fits(self, columns: Sequence[Column]) -> bool:
        """Returns whether it has a value for each of the source's values."""
        return True

    def has_value_between(self, source: Column) -> bool:
        """Returns whether it has values for other numbers than the source's `values`."""
        return True

    @abc.abstractmethod
    def __call__(self, source: np.ndarray) -> np.ndarray:
        """Returns the column's cells, `[N]`, missing where there is none."""

    @abc.abstractmethod
    def inverse(self, values: np.ndarray) -> np.ndarray:
        """Returns cells of the source, `[N]`; missing where they are not known."""

    @abc.abstractmethod
    def holds(self, source: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Returns where cells of both columns agree or are missing, booleans `[N]`."""
