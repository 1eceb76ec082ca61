"""The rows that a density is fitted to, with their contexts and weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from tensorflow.types.experimental import TensorLike

from tfp_flows.core.arguments import require
from tfp_flows.core.rows import (
    as_array,
    by_parts,
    effective_count,
    rows_by_weight,
    rows_of_positive_weight,
    take_rows,
)
from tfp_flows.core.statistics import ridge_slopes
from tfp_flows.training.row_format import Rows

_LEAST_ROWS = 20
_LARGEST = 1e100  # largest number, whose square is still finite in float64


class Data(Rows):
    """Rows, `[N, D]`, and their contexts, `[N, C]` or None, in float64 or float32.

    Weights are `[N]`, in float64, or None if all rows count alike.
    """

    __slots__ = ()

    @property
    def num_rows(self) -> int:
        """Number of rows, N; with weights, the effective number."""
        return round(effective_count(self.weight, len(self.x)))

    @property
    def context_size(self) -> int:
        """C; 0 without a context."""
        return 0 if self.context is None else self.context.shape[1]

    @property
    def batch(self) -> tuple:
        """Inputs, no targets, and weights, as `DensityEstimator.fit` takes them."""
        return self.inputs, None, self.weight

    @property
    def joined(self) -> np.ndarray:
        """Rows beside their contexts, `[N, D + C]`."""
        parts = [self.x] if self.context is None else [self.x, self.context]
        return np.concatenate(parts, axis=1)

    def features(self) -> np.ndarray:
        """Returns the contexts with zero means and unit deviations, `[N, C]`."""
        if self.context is None:
            return np.zeros([len(self.x), 0])
        features = self.context - self.context.mean(axis=0, dtype=np.float64)
        scale = features.std(axis=0)
        return features / np.where(scale > 0.0, scale, 1.0)

    def residuals(self) -> np.ndarray:
        """Returns what a linear regression on the context leaves of the rows, `[N, D]`.

        The means stay. Without a context, the rows stay as they are.
        """
        x, features = np.asarray(self.x, np.float64), self.features()
        return x - features @ ridge_slopes(x, features)[0]

    def by_parts(self, function: Callable) -> np.ndarray:
        """Returns `function(x, context)` of all rows, computed on parts of them."""
        return by_parts(function, self.x, self.context)

    def resampled(self, *, each_once: bool = False) -> Data:
        """Returns rows without weights: the effective number, each as often as its weight.

        With `each_once`, a row of large weight comes once only.
        """
        if self.weight is None:
            return self
        index = rows_by_weight(self.weight, self.num_rows)
        index = np.unique(index) if each_once else index
        return self._replace(weight=None).take(index)

    def take(self, index: Any) -> Data:
        """Returns some of the rows."""
        return take_rows(self, index)

    def first(self, count: int) -> Data:
        """Returns the first rows."""
        return self.take(slice(count))


def checked_data(
    rows: TensorLike,
    context: TensorLike | None,
    sample_weight: TensorLike | None = None,
    *,
    argument: str = "rows",
) -> Data:
    """Returns the rows that a user gives as `Data`, without those of weight 0.

    Refuses others than finite numbers, and constant columns. `argument` is the name of the
    rows, for errors.
    """
    x = _numbers(argument, rows)
    require(x.ndim == 2 and x.shape[1], f"`{argument}` of shape [N, D]", x.shape)
    if context is not None:
        context = _numbers("context", context)
        fits = context.ndim == 2 and context.shape[1] and len(context) == len(x)
        require(fits, f"`context` of shape [{len(x)}, C]", context.shape)
    x, context, weight = rows_of_positive_weight(x, context, sample_weight)
    num_rows = effective_count(weight, len(x))
    words = f"`{argument}` with at least {_LEAST_ROWS} rows"
    words += "" if weight is None else ", by the effective number of their weights"
    require(num_rows >= _LEAST_ROWS, words, f"{num_rows:.3g}")
    constant = np.flatnonzero(np.ptp(x, axis=0) <= 1.0 / _LARGEST).tolist()
    hint = " Constant columns have no density: leave them out."
    words = f"`{argument}` whose columns vary"
    require(not constant, words, f"constant columns {constant}", hint)
    if weight is not None:  # float32 does not hold all sizes
        weight = weight / weight.max()
    return Data(x, context, weight)


def columns_of(rows: Any, context: Any) -> list[dict[str, str]] | None:
    """Returns names and roles of columns, as `DensityEstimator` has them.

    An array has no names, nor has a data frame unless all names are texts. None if neither
    rows nor context have names.
    """
    tables = {"modelled": rows, "context": context}
    names = {role: list(getattr(table, "columns", [])) for role, table in tables.items()}
    columns = [
        {"name": name, "role": role}
        for role, each in names.items()
        for name in each
        if all(isinstance(n, str) for n in each)
    ]
    return columns or None


def _numbers(argument, value):
    """Returns a float array; float64 if its digits may matter."""
    hint = " `TableDensity` fits tables with text, dates and missing cells."
    array = as_array(value, argument, hint)
    array = array.astype(np.float32 if array.dtype == np.float32 else np.float64)
    bad = np.argwhere(~(np.abs(array, dtype=np.float64) <= _LARGEST))
    got = f"{len(bad)} other values, the first at {bad[:1].tolist()}"
    require(not len(bad), f"finite `{argument}` within {_LARGEST:g}", got, hint)
    return array
