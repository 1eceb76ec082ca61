"""What a density sees of numbers without a network: sorted ones, mean and deviation."""

from __future__ import annotations

import math
import typing
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

_MOST_QUANTILES = 64  # with least and greatest number; so many numbers are all kept
_NUM_ROWS = 4  # observations that are permuted
_MOST_TRIED = 1_000  # observations among which these are looked for
_ROUNDING = 1e-4  # difference of two equal log-densities, relative to them and to 1


class Part(typing.NamedTuple):
    """The numbers of a part of an observation, as an array.

    Attributes:
      shape: of the array.
      axis: the numbers of each line along this axis may be permuted; None if the order
        matters.
      has_moments: whether mean and deviation come after numbers whose order matters.
    """

    shape: tuple[int, ...]
    axis: int | None
    has_moments: bool = False

    @property
    def size(self) -> int:
        """How many numbers they are."""
        return math.prod(self.shape)

    def summary(self, x: np.ndarray, *, has_counts: bool) -> np.ndarray:
        """Returns what `NumberSummary` makes of the numbers, `[..., size]`."""
        if self.axis is None:
            moments = _moments(x, has_counts) if self.has_moments else x[..., :0]
            return np.concatenate([x, moments], axis=-1)
        array = x.reshape(*x.shape[:-1], *self.shape)
        lines = np.sort(np.moveaxis(array, self.axis - len(self.shape), -1))
        is_known = ~np.isnan(lines)  # these come first
        quantiles = _quantiles(lines, is_known.sum(axis=-1, keepdims=True))
        summary = np.concatenate([quantiles, _moments(lines, has_counts)], axis=-1)
        if not has_counts:
            summary = np.where(is_known.all(axis=-1, keepdims=True), summary, np.nan)
        return summary.reshape(*x.shape[:-1], -1)

    def permuted(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Returns numbers, `[size]`, each line of which has an order of its own."""
        return rng.permuted(x.reshape(self.shape), axis=self.axis).reshape(-1)


class NumberSummary(typing.NamedTuple):
    """A summary of observations, without a network.

    ```none
    quantiles (of up to 64 numbers, these themselves, sorted),  mean,  log(s.d.),  [count]
    the numbers themselves,                                    [mean,  log(s.d.),  [count]]
    ```

    The first is that of exchangeable numbers. Draws from one distribution keep all that
    they tell about the parameters when they are sorted, and a density need not learn that
    their order tells nothing. Mean and deviation follow from the numbers, but are slow to
    learn, above all if other numbers are missing each time.
    """

    parts: tuple[Part, ...]
    has_counts: bool = False  # whether numbers may be missing; if not, all are, or none is

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Returns the summary of observations, `[..., K]`; NaN are missing numbers."""
        pieces = np.split(x, np.cumsum([part.size for part in self.parts])[:-1], axis=-1)
        pairs = zip(self.parts, pieces, strict=True)
        summaries = [part.summary(x, has_counts=self.has_counts) for part, x in pairs]
        return np.concatenate(summaries, axis=-1)

    @property
    def is_derived(self) -> np.ndarray:
        """Which entries of the summary are functions of the others, `[S]`: the moments."""
        masks = []
        for part in self.parts:
            of_part = part.summary(np.zeros(part.size), has_counts=self.has_counts)
            mask = np.zeros(len(of_part), bool)
            if part.axis is None:
                mask[part.size :] = True
            else:
                lines = mask.reshape(part.size // part.shape[part.axis], -1)
                lines[:, min(part.shape[part.axis], _MOST_QUANTILES) :] = True
            masks.append(mask)
        return np.concatenate(masks)

    @classmethod
    def from_density(
        cls, log_prob: Callable, rows: np.ndarray, shapes: Sequence[tuple[int, ...]]
    ) -> NumberSummary | None:
        """Returns a summary that drops the order where a model's density does not see it.

        The numbers of a part are all exchangeable, or those along one of its axes. None if
        there is no such part.

        Args:
          log_prob: returns the log-densities of one observation, `[K]`, under many draws of
            the parameters, `[N]`.
          rows: simulated observations, `[M, K]`.
          shapes: of the parts of an observation.
        """
        parts: list[Part] = []
        for shape in shapes:
            tried = [Part((math.prod(shape),), 0)]
            if len(shape) > 1:
                tried += [Part(shape, axis) for axis in range(len(shape))]
            first = sum(part.size for part in parts)
            found = (p for p in tried if _is_exchangeable(log_prob, rows, first, p))
            parts.append(next(found, Part(shape, None)))
        return cls(tuple(parts)) if any(part.axis is not None for part in parts) else None

    def to_plain(self) -> dict[str, Any]:
        """Returns the fields as plain values, for a file."""
        parts = [[list(part.shape), *part[1:]] for part in self.parts]
        return {"parts": parts, "has_counts": self.has_counts}

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> NumberSummary:
        """Returns the summary from the result of `to_plain`."""
        parts = tuple(Part(tuple(shape), *rest) for shape, *rest in plain["parts"])
        return cls(parts, plain["has_counts"])


def _quantiles(lines, count):
    """Quantiles of sorted lines, `[..., R]`, whose first `count` numbers are known.

    There are R, but at most 64. NaN if no number is known.
    """
    num_quantiles = min(lines.shape[-1], _MOST_QUANTILES)
    place = np.linspace(0.0, 1.0, num_quantiles) * np.maximum(count - 1, 0)
    low = np.floor(place + 1e-9).astype(np.intp)  # whole numbers may be rounded
    high = np.minimum(low + 1, np.maximum(count - 1, 0))
    below, above = (np.take_along_axis(lines, index, axis=-1) for index in (low, high))
    share = np.maximum(place - low, 0.0)
    return np.where(share > 1e-9, (1.0 - share) * below + share * above, below)


def _moments(lines, has_counts):
    """Mean and log(s.d.) of the known numbers of lines, and counts of these if wanted.

    The logarithm is minus infinity if all numbers are equal, as counts may be. Both are
    NaN if no number is known.
    """
    count = np.sum(~np.isnan(lines), axis=-1, keepdims=True)
    least, tiny = np.maximum(count, 1), np.finfo(np.float64).tiny
    # Distances from one of the numbers are exactly 0 if all are equal.
    some = np.fmax.reduce(lines, axis=-1, keepdims=True)
    distances = np.where(count > 0, lines - some, 0.0)
    shift = np.nansum(distances, axis=-1, keepdims=True) / least
    mean = some + shift
    away = np.where(np.isnan(lines), 0.0, distances - shift)
    largest = np.maximum(np.abs(away).max(axis=-1, keepdims=True), tiny)
    squares = np.sum((away / largest) ** 2, axis=-1, keepdims=True)  # do not overflow
    with np.errstate(divide="ignore"):
        log_deviation = np.log(largest) + 0.5 * np.log(squares / least)
    moments = np.concatenate([mean, log_deviation], axis=-1)
    moments = np.where(count > 0, moments, np.nan)
    return np.concatenate([moments, count], axis=-1) if has_counts else moments


def _is_exchangeable(log_prob, rows, first, part):
    """Whether no permutation of numbers changes the density of an observation.

    They are those of a `Part`, from the `first` on.
    """
    rng, where, count = np.random.default_rng(0), slice(first, first + part.size), 0
    for row in rows[:_MOST_TRIED]:
        other = row.copy()
        other[where] = part.permuted(row[where], rng)
        if (other == row).all():
            continue  # equal numbers show nothing
        before, after = log_prob(row), log_prob(other)
        with np.errstate(invalid="ignore"):
            is_equal = np.abs(before - after) <= _ROUNDING * (1.0 + np.abs(before))
        if not (is_equal | (before == after)).all():  # infinite ones may be equal
            return False
        count += 1
        if count == _NUM_ROWS:
            return True
    return False
