"""The form of observations: one row of numbers, from arrays of any shapes."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tfp_flows.core.arguments import require

# Kinds of NumPy's dtypes in data of users, and in simulated data. There, objects are
# numbers, and None for a simulation that has failed.
_USER_KINDS, _SIMULATED_KINDS = "fiub", "fiubO"


@dataclasses.dataclass(frozen=True)
class DataForm:
    """The shapes of an observation, and its form as one row of K numbers."""

    shapes: dict[str | None, tuple[int, ...]]  # by part; of one array, by the name None
    is_missing_allowed: bool = False  # whether NaN is a missing cell

    @classmethod
    def from_batch(cls, x: Any, is_missing_allowed: bool = False) -> DataForm:
        """Returns the form of N observations, an array or a dictionary of arrays."""
        shapes = {}
        for name, part in parts_of_data(x).items():
            which = "data" if name is None else f"data {name!r}"
            part = _numbers(which, part, _SIMULATED_KINDS)
            words = f"{which} of numbers, an array for each simulation"
            require(part.ndim, words, "a number")
            shapes[name] = part.shape[1:]
        size = sum(math.prod(shape) for shape in shapes.values())
        require(size > 0, "data of one number, at least", shapes)
        return cls(shapes, is_missing_allowed)

    def to_plain(self) -> dict[str, Any]:
        """Returns the fields as plain values, for a file."""
        shapes = [[name, list(shape)] for name, shape in self.shapes.items()]
        return {"shapes": shapes, "is_missing_allowed": self.is_missing_allowed}

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> DataForm:
        """Returns the form from the result of `to_plain`."""
        shapes = {name: tuple(shape) for name, shape in plain["shapes"]}
        return cls(shapes, plain["is_missing_allowed"])

    @property
    def size(self) -> int:
        """K, the number of entries of an observation."""
        return sum(math.prod(shape) for shape in self.shapes.values())

    def to_rows(self, x: Any, argument: str = "x") -> np.ndarray:
        """Returns observations of a user, `[*batch, K]` in float64.

        They are an array `[*batch, *shape]`, or a dictionary of such arrays; `argument` is
        their name, for errors.
        """
        row = np.concatenate([*entries(self.shapes, x, _numbers, argument).values()], -1)
        self.check_finite(row, argument)
        return row

    def check_finite(self, row: np.ndarray, argument: str) -> None:
        """Refuses numbers that are neither finite nor cells that may be missing."""
        is_known = np.isfinite(row) | (np.isnan(row) & self.is_missing_allowed)
        count = int((~is_known).sum())
        hint = " With missing=True, NaN is a missing cell."
        require(not count, f"finite `{argument}`", f"{count} numbers that are not", hint)

    def simulated_rows(self, x: Any, count: int) -> np.ndarray:
        """Returns the data of `count` simulations, `[count, K]` in float64."""
        to_array = functools.partial(_numbers, kinds=_SIMULATED_KINDS)
        parts = entries(self.shapes, x, to_array, "data", count)
        return np.concatenate([*parts.values()], axis=1)

    def possible_rows(self, rows: np.ndarray) -> np.ndarray:
        """Returns those of N simulated rows that are finite, `[n, K]`."""
        return rows[np.isfinite(rows).all(axis=1)]


def entries(
    shapes: dict, x: Any, to_array: Callable, argument: str = "x", count: int | None = None
) -> dict:
    """Returns the entries of each part of observations, `[*batch, size]`, by its name.

    Parts are `[*batch, *shape]`, where the batch is `[count]` unless `count` is None.
    `to_array(words, part)` returns an array, or refuses the part by these words; `argument`
    is the name of the observations, for errors.
    """
    parts, batches, flat = named_as(shapes, x), set(), {}
    for name, shape in shapes.items():
        which = f"`{argument}`" if name is None else f"`{argument}[{name!r}]`"
        part = to_array(which, parts[name])
        batch = part.shape[: max(part.ndim - len(shape), 0)]
        shown = ", ".join(map(str, ("..." if count is None else count, *shape)))
        fits = part.shape == (*batch, *shape) and (count is None or batch == (count,))
        require(fits, f"{which} of shape [{shown}]", part.shape)
        batches.add(batch)
        flat[name] = part.reshape(*batch, math.prod(shape))
    words = f"parts of `{argument}` of one batch shape"
    require(len(batches) == 1, words, sorted(batches))
    return flat


def _numbers(which, part, kinds=_USER_KINDS):
    part = as_array(which, part)
    require(part.dtype.kind in kinds, f"{which} of numbers", part.dtype)
    try:
        return part.astype(np.float64)
    except (TypeError, ValueError) as error:  # of objects
        raise ValueError(f"Expected {which} of numbers; got others: {error}.") from error


def as_array(which: str, part: Any) -> np.ndarray:
    """Returns an array of a part of data, `which`, with an error of lists of lists.

    Masked numbers are NaN, and so are missing ones of pandas.
    """
    dtype: Any = getattr(part, "dtype", None)
    if hasattr(dtype, "na_value") and dtype.kind in _USER_KINDS:  # pandas
        return part.to_numpy(np.float64, na_value=np.nan)
    if np.ma.is_masked(part) and dtype.kind in _USER_KINDS:
        part = part.astype(np.float64).filled(np.nan)
    try:
        return np.asarray(part)
    except ValueError as error:
        words = f"Expected {which} of one shape; got rows of several shapes"
        raise ValueError(f"{words}: {error}") from error


def parts_of_data(x: Any) -> dict:
    """Returns the parts of a dictionary or a data frame; one array has the name None.

    A data frame or series of pandas has parts if its columns or cells have texts for names.
    """
    is_pandas = hasattr(x, "iloc")
    is_one = is_pandas and not all(isinstance(name, str) for name in x.keys())
    if is_one or not hasattr(x, "keys"):
        return {None: x}
    return {name: x[name] for name in x.keys()}


def named_as(shapes: dict, x: Any) -> dict:
    """Returns the parts of data by name; refuses other names than those of the shapes."""
    parts = parts_of_data(x)
    expected = "data of one array" if None in shapes else f"the parts {[*shapes]}"
    got = "one array" if None in parts else f"the parts {[*parts]}"
    require(parts.keys() == shapes.keys(), expected, got)
    return parts
