"""What the estimators share: their options, and a `TableDensity` that they fit."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
from collections.abc import Set
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from tfp_flows.tables.describe_columns import describe_columns
from tfp_flows.tables.table_columns import TableColumns
from tfp_flows.tables.table_density import TableDensity

__all__ = ["FlowEstimator", "in_blocks", "seed_of"]

_BLOCK = 64
_OF_TABLE = ("num_members", "num_bins", "hidden_units", "dropout")
_OF_FIT = ("epochs", "batch_size", "learning_rate", "patience", "validation_split")


class FlowEstimator(BaseEstimator):
    """An estimator around a `TableDensity`, with its options.

    Args:
      kinds: a kind, or a dictionary of entries of `Column`, by name of a column.
      num_members: as of `TableDensity`, as are `num_bins`, `hidden_units` and `dropout`.
      num_bins: see there.
      hidden_units: see there.
      dropout: see there.
      epochs: as of `TableDensity.fit`, as are `batch_size`, `learning_rate`, `patience` and
        `validation_split`.
      batch_size: see there.
      learning_rate: see there.
      patience: see there.
      validation_split: see there.
      random_state: integer that determines the fit; random if None.

    Attributes:
      columns_: the `TableColumns` that were chosen.
      table_: the fitted `TableDensity`.
      history_: losses of its fit, by epoch.
    """

    def __init__(
        self,
        *,
        kinds: Mapping[str, Any] | None = None,
        num_members: int = 5,
        num_bins: int = 8,
        hidden_units: Sequence[int] = (64, 64),
        dropout: float = 0.2,
        epochs: int = 500,
        batch_size: int | None = None,
        learning_rate: float = 1e-3,
        patience: int = 30,
        validation_split: float = 0.1,
        random_state: Any = None,
    ) -> None:
        self.kinds = kinds
        self.num_members = num_members
        self.num_bins = num_bins
        self.hidden_units = hidden_units
        self.dropout = dropout
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.patience = patience
        self.validation_split = validation_split
        self.random_state = random_state

    def _fit(
        self, frame: dict[str, np.ndarray], unwanted: Set[str], modelled: Set[str]
    ) -> None:
        """Fits a table to columns by name.

        Args:
          frame: the columns.
          unwanted: proposed kinds in whose place columns are real.
          modelled: names of the columns that are not the context.
        """
        columns: TableColumns = describe_columns(frame)
        kinds = self.kinds or {}
        for column in list(columns):
            name = column.name
            if name in kinds:
                given = kinds[name]
                columns.change(
                    name, **({"kind": given} if isinstance(given, str) else given)
                )
            elif column.kind in unwanted:
                # Of whole numbers there is no density, which could rise without an end.
                is_count = "integer" not in unwanted and _is_whole(frame[name])
                kind = "integer" if is_count else "real"
                columns.change(name, kind=kind, spikes=[], reason="as a number")
        unknown = sorted(set(kinds) - set(columns.names))
        if unknown:
            raise ValueError(
                f"Expected `kinds` of {columns.names}; got those of {unknown}."
            )
        table = TableDensity(
            columns,
            context=[name for name in columns.names if name not in modelled],
            seed=seed_of(self.random_state),
            **{name: getattr(self, name) for name in _OF_TABLE},
        )
        options = {name: getattr(self, name) for name in _OF_FIT}
        self.history_ = table.fit(frame, verbose=0, **options).history
        self.columns_, self.table_ = table.columns, table

    def _frame(self, X):  # noqa: N803
        default = [f"x{i}" for i in range(X.shape[1])]
        names = getattr(self, "feature_names_in_", default)
        return {str(name): X[:, i] for i, name in enumerate(names)}


def _is_whole(values):
    return len(np.unique(values)) > 1 and bool((values == np.floor(values)).all())


def in_blocks(rows: np.ndarray) -> np.ndarray:
    """Returns rows, `[N, D]`, and repeats of the last, to fill a block of 64.

    Products of matrices round otherwise for other numbers of rows, and estimators of
    scikit-learn promise that no row depends on that.
    """
    missing = -len(rows) % _BLOCK
    return np.concatenate([rows, np.repeat(rows[-1:], missing, axis=0)])


def seed_of(random_state: Any) -> int | None:
    """Returns an integer seed of scikit-learn's `random_state`; None of None."""
    if random_state is None or isinstance(random_state, (int, np.integer)):
        return None if random_state is None else int(random_state)
    return int(random_state.randint(2**31 - 1))
