"""Rows of any columns as arrays of numbers and codes, for classifiers and distances."""

from __future__ import annotations

import typing
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tfp_flows.core.arguments import require
from tfp_flows.tables.columns import TableColumns
from tfp_flows.tables.frames import Cells, Frame, cells_of

_MOST_RANGES = 1e6  # numbers are clipped so many ranges of the real rows beyond them
_CHUNK = 2**22  # number of distances computed at once, to bound the memory


class RowFeatures(typing.NamedTuple):
    """Rows as numbers and codes, in the order of the columns.

    Attributes:
      x: `[N, C]` float64: numbers (days of dates) and codes of values; NaN where missing.
      is_code: which columns are codes, booleans `[C]`.
    """

    x: np.ndarray
    is_code: npt.NDArray[np.bool_]

    def take(self, rows: npt.ArrayLike) -> RowFeatures:
        """Returns some of the rows, by index."""
        return self._replace(x=self.x[np.asarray(rows, int)])

    def without(self, column: int) -> RowFeatures:
        """Returns the rows without one column, by index."""
        return RowFeatures(np.delete(self.x, column, 1), np.delete(self.is_code, column))


def row_features(frames: Sequence[Frame], columns: TableColumns) -> list[RowFeatures]:
    """Returns the features of several frames, in which equal cells have equal numbers.

    Columns with a list of values are codes, but for long lists of numbers. Values that are
    not in the list have codes too.

    Raises:
      ValueError: if a column is missing, or has cells of different types.
    """
    is_code = np.array([c.has_values and not c.has_many_numbers for c in columns], bool)
    parts: list[list[np.ndarray]] = [[] for _ in frames]
    taken = [frame.take(columns.names) for frame in frames]
    for column, has_codes in zip(columns, is_code, strict=True):
        cells = [cells_of(column.name, each[column.name]) for each in taken]
        values = (
            _codes(cells)
            if has_codes
            else [np.nan if each.type == "text" else each.numbers() for each in cells]
        )
        present = [each for each in cells if not each.is_missing.all()]
        types = {each.type.replace("boolean", "number") for each in present}
        require(len(types) < 2, f"cells of one type in column {column.name!r}", types)
        for part, each, found in zip(parts, cells, values, strict=True):
            part.append(np.where(each.is_missing, np.nan, found))
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

    The limits are 1e6 times the range of the reference rows beyond these rows.
    """
    x = rows.x.copy()
    for column in np.flatnonzero(~rows.is_code):
        own = reference.x[:, column]
        own = own[~np.isnan(own)]
        if len(own):
            low, high = own.min(), own.max()
            reach = _MOST_RANGES * max(high - low, abs(high), 1.0)
            x[:, column] = np.clip(x[:, column], low - reach, high + reach)
    return rows._replace(x=x)


def scaled_to(reference: RowFeatures, rows: RowFeatures) -> np.ndarray:
    """Returns rows as points, `[N, E]`: numbers from 0 to 1, codes and gaps one-hot.

    Numbers are scaled by the ends of the reference rows. A missing number is their median,
    and there is a column for gaps if the reference rows or the others have some.
    """
    points = []
    for column, is_code in enumerate(reference.is_code):
        own, x = reference.x[:, column], rows.x[:, column]
        is_gap = np.isnan(x)
        if is_code:
            codes = np.unique(own[~np.isnan(own)])
            points.append(x[:, None] == codes)
            # A code that the reference rows do not have is equally far from all others.
            points.append(~is_gap[:, None] & ~points[-1].any(axis=1, keepdims=True))
        else:
            present = own[~np.isnan(own)]
            low, high = (present.min(), present.max()) if len(present) else (0.0, 0.0)
            scale = high - low if high > low else 1.0
            middle = np.median(present) if len(present) else 0.0
            points.append((np.where(is_gap, middle, x)[:, None] - low) / scale)
        points.append(is_gap[:, None])
    return np.concatenate(points, axis=1).astype(np.float64)


def nearest_distances(
    rows: RowFeatures, others: RowFeatures, scale: RowFeatures
) -> np.ndarray:
    """Returns the distance of each row to the nearest of other rows, `[N]`, from 0 to 1.

    The distance is the mean over the columns. Two numbers differ by the share of the
    `scale` rows between them; two codes, or a gap and a number, differ by 1.

    Args:
      rows: N rows.
      others: M rows.
      scale: rows whose ranks are the scale of the numbers.
    """
    columns = list(zip(_ranked(rows, scale), _ranked(others, scale), strict=True))
    count = max(_CHUNK // max(len(others.x), 1), 1)
    nearest = np.zeros(len(rows.x))
    for start in range(0, len(rows.x), count):
        part = slice(start, start + count)
        total = np.zeros([len(nearest[part]), len(others.x)], np.float32)
        for (a, b), is_code in zip(columns, rows.is_code, strict=True):
            if is_code:
                total += a[part, None] != b
            else:
                total += np.minimum(np.abs(a[part, None] - b), 1.0)
        nearest[part] = total.min(axis=1)
    return nearest / len(columns)


def _ranked(rows, scale):
    """Columns `[N]` float32 with ranks from 0 to 1 for numbers, and -1 for gaps."""
    for x, own, is_code in zip(rows.x.T, scale.x.T, rows.is_code, strict=True):
        values = np.sort(own[~np.isnan(own)])
        if not is_code:
            ends = [np.searchsorted(values, x, side) for side in ("left", "right")]
            ranks = np.add(*ends) / (2.0 * max(len(values), 1))
        else:
            ranks = x
        yield np.where(np.isnan(x), -1.0, ranks).astype(np.float32)


def are_copies(rows: RowFeatures, known: RowFeatures) -> npt.NDArray[np.bool_]:
    """Returns which rows are equal to a known one in all cells, booleans `[N]`.

    Two gaps are equal. Fractions are compared in float32 if either column is.
    """
    is_single = [np.all(np.isnan(x) | (x == _single(x)), axis=0) for x in (rows.x, known.x)]
    there, own = (_as_bytes(each.x, np.any(is_single, axis=0)) for each in (known, rows))
    known_rows = set(there)
    return np.array([row in known_rows for row in own], bool)


def _single(x):
    with np.errstate(over="ignore"):
        return x.astype(np.float32)


def _as_bytes(x, is_single):
    # Whole numbers stay, since float32 cannot tell large ones apart.
    x = np.where(is_single & (x != np.floor(x)), _single(x), x)
    cells = np.where(np.isnan(x), np.nan, x) + 0.0  # one form of a gap and of zero
    return [row.tobytes() for row in cells]
