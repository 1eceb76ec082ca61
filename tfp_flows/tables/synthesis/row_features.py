"""Rows of several frames as arrays, in which equal cells are equal numbers."""

from __future__ import annotations

import typing
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tfp_flows.core.arguments import require
from tfp_flows.tables.cells import Cells, cells_of
from tfp_flows.tables.columns import TableColumns
from tfp_flows.tables.frames import Frame

_MOST_RANGES = 1e6  # numbers are clipped this many ranges beyond the ends of real rows


class RowFeatures(typing.NamedTuple):
    """Rows as numbers and codes, in the order of the columns."""

    x: np.ndarray  # `[N, C]`: numbers (days of dates), codes of values; NaN where missing
    is_code: npt.NDArray[np.bool_]  # which columns are codes, `[C]`

    def take(self, rows: npt.ArrayLike) -> RowFeatures:
        """Returns some of the rows, by index."""
        return self._replace(x=self.x[np.asarray(rows, int)])

    def without(self, column: int) -> RowFeatures:
        """Returns the rows without one column, by index."""
        return RowFeatures(np.delete(self.x, column, 1), np.delete(self.is_code, column))


def row_features(frames: Sequence[Frame], columns: TableColumns) -> list[RowFeatures]:
    """Returns the features of several frames, in which equal cells have equal numbers.

    Columns with a list of values are codes, but for long lists of numbers. Values that are
    not in the list have codes too. The cells of a column have one type.
    """
    is_code = np.array([c.has_values and not c.has_many_numbers for c in columns], bool)
    parts: list[list[np.ndarray]] = [[] for _ in frames]
    taken = [frame.take(columns.names, frame.argument) for frame in frames]
    for column, has_codes in zip(columns, is_code, strict=True):
        cells = [cells_of(column.name, table[column.name]) for table in taken]
        values = (
            _codes(cells)
            if has_codes
            else [np.nan if c.type == "text" else c.numbers() for c in cells]
        )
        present = [c for c in cells if not c.is_missing.all()]
        types = {c.type.replace("boolean", "number") for c in present}
        require(len(types) < 2, f"cells of one type in column {column.name!r}", types)
        for part, c, numbers in zip(parts, cells, values, strict=True):
            part.append(np.where(c.is_missing, np.nan, numbers))
    return [RowFeatures(np.stack(part, axis=1), is_code) for part in parts]


def _codes(parts: Sequence[Cells]) -> list[np.ndarray]:
    texts = [
        part.values.astype(float).astype(str)
        if part.type in ("number", "boolean")
        else part.values.astype(str)
        for part in parts
    ]
    _, codes = np.unique(np.concatenate(texts), return_inverse=True)
    return np.split(codes.astype(np.float64), np.cumsum([len(t) for t in texts])[:-1])


def bounded_by(reference: RowFeatures, rows: RowFeatures) -> RowFeatures:
    """Returns rows with numbers clipped, so that their squares do not overflow.

    The limits are 1e6 ranges of the reference rows beyond their ends.
    """
    x = rows.x.copy()
    for column in np.flatnonzero(~rows.is_code):
        known = present(reference.x[:, column])
        if len(known):
            low, high = known.min(), known.max()
            reach = _MOST_RANGES * max(high - low, abs(high), 1.0)
            x[:, column] = np.clip(x[:, column], low - reach, high + reach)
    return rows._replace(x=x)


def present(x: np.ndarray) -> np.ndarray:
    """Returns the numbers that are not missing."""
    return x[~np.isnan(x)]


def scaled_to(reference: RowFeatures, rows: RowFeatures) -> np.ndarray:
    """Returns rows as points, `[N, E]`: numbers from 0 to 1, codes and gaps one-hot.

    The ends of the reference rows scale numbers; their median stands for missing ones.
    """
    points = []
    for column, is_code in enumerate(reference.is_code):
        known, x = present(reference.x[:, column]), rows.x[:, column]
        is_gap = np.isnan(x)
        if is_code:
            points.append(x[:, None] == np.unique(known))
            # A code that the reference rows do not have is equally far from all others.
            points.append(~is_gap[:, None] & ~points[-1].any(axis=1, keepdims=True))
        else:
            low, high = (known.min(), known.max()) if len(known) else (0.0, 0.0)
            scale = high - low if high > low else 1.0
            middle = np.median(known) if len(known) else 0.0
            points.append((np.where(is_gap, middle, x)[:, None] - low) / scale)
        points.append(is_gap[:, None])
    return np.concatenate(points, axis=1).astype(np.float64)


def are_copies(rows: RowFeatures, known: RowFeatures) -> npt.NDArray[np.bool_]:
    """Returns which rows are equal to a known one in all cells, booleans `[N]`.

    Two gaps are equal. Fractions are compared in float32 if either column is.
    """
    is_single = [np.all(np.isnan(x) | (x == _single(x)), axis=0) for x in (rows.x, known.x)]
    is_single = np.any(is_single, axis=0)
    known_rows = set(_as_bytes(known.x, is_single))
    return np.array([row in known_rows for row in _as_bytes(rows.x, is_single)], bool)


def _single(x):
    with np.errstate(over="ignore"):
        return x.astype(np.float32)


def _as_bytes(x, is_single):
    # Whole numbers stay, since float32 cannot tell large ones apart.
    x = np.where(is_single & (x != np.floor(x)), _single(x), x)
    cells = np.where(np.isnan(x), np.nan, x) + 0.0  # one form of a gap and of zero
    return [row.tobytes() for row in cells]
