"""Simulated pairs of parameters and data, and the file that keeps them."""

from __future__ import annotations

import os
import typing
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.core.arguments import check_instance, require
from tfp_flows.core.array_files import read_arrays, write_arrays
from tfp_flows.inference.support import JointSupport

LEAST_SIMULATIONS = 100  # least number to which a density is fitted


class Pairs(typing.NamedTuple):
    """Parameters and data of N simulations.

    Attributes:
      u: unconstrained parameters, `[N, D]` in float64.
      x: data, `[N, K]` in float64; or a structured array `[N]`, with fields of any kinds.
    """

    u: np.ndarray
    x: np.ndarray

    @classmethod
    def given(cls, theta: Any, x: Any, support: JointSupport, form: Any) -> Pairs:
        """Returns parameters and data that were simulated elsewhere."""
        u = support.unconstrained(theta)
        return cls(u, form.rows_of(x, len(u)))

    @classmethod
    def joined(cls, parts: Sequence[Pairs]) -> Pairs:
        """Returns the simulations of all parts, one after another."""
        return cls(*map(np.concatenate, zip(*parts, strict=True)))

    def take(self, index: Any) -> Pairs:
        """Returns some of the simulations."""
        return Pairs(self.u[index], self.x[index])

    def split(self, share: float, seed: int | None) -> tuple[Pairs, Pairs]:
        """Returns random simulations, and the others, which are a share of all."""
        order = np.random.default_rng(seed).permutation(len(self.u))
        count = max(1, round(share * len(order)))
        return self.take(order[count:]), self.take(order[:count])

    def ranges(self, support: JointSupport) -> np.ndarray:
        """Returns least and greatest numbers of parameters and data, `[2, M + K]`.

        They are NaN for a cell that all simulations lack.
        """
        parts = support.bijector.forward(tf.constant(self.u, support.dtype))
        theta = [np.reshape(part, [len(self.u), -1]) for part in tf.nest.flatten(parts)]
        rows = np.concatenate([*theta, self.x], axis=1)
        return np.stack([np.fmin.reduce(rows), np.fmax.reduce(rows)])

    def usable(self, allows_missing: bool) -> Pairs:
        """Returns the simulations of finite numbers; NaN in data may be a missing cell.

        Raises:
          ValueError: if there are fewer than 100.
        """
        is_finite = np.all([_is_finite(part) for part in _fields(self.x)], axis=0)
        if allows_missing:
            is_finite |= np.isnan(self.x)
        is_finite = is_finite.reshape(len(self.u), -1)
        found = self.take(np.isfinite(self.u).all(axis=1) & is_finite.all(axis=1))
        words = f"{LEAST_SIMULATIONS} finite simulations, at least"
        got = f"{len(found.u)} of {len(self.u)}"
        require(len(found.u) >= LEAST_SIMULATIONS, words, got)
        return found


class Backup:
    """A `.npz` file that keeps simulations, so that an interrupted call goes on from it.

    Its marks are few simulations, which are others for another model, seed or prior. The
    path of the file is None if nothing is kept.

    Raises:
      ValueError: if the path is no such file's, or there is no seed to repeat draws by.
    """

    def __init__(self, path: Any, seed: int | None) -> None:
        self._path = path
        if path is None:
            return
        words = "the path of a .npz file"
        check_instance("backup", path, (str, os.PathLike), words)
        require(os.fspath(path).endswith(".npz"), f"`backup`, {words}", path)
        require(seed is not None, "`seed` with `backup`, which repeats draws", None)
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)

    @property
    def is_new(self) -> bool:
        """Whether simulations are to be kept, of which the file has none yet."""
        return self._path is not None and not os.path.exists(self._path)

    def read(self, marks: Pairs) -> list[Pairs]:
        """Returns the simulations of the file as one part; no part if there are none.

        Raises:
          ValueError: if it has other marks.
        """
        if self._path is None or self.is_new:
            return []
        names = "marks_u", "marks_x", "u", "x"
        expected = "`backup` that keeps simulations"
        there = [*read_arrays(self._path, expected, names).values()]
        same = all(map(are_equal, there[:2], marks))
        words = f"`backup` of this model and seed, {self._path}"
        require(same, words, "other simulations")
        return [Pairs(*there[2:])]

    def write(self, marks: Pairs, parts: Sequence[Pairs]) -> None:
        """Writes the marks and the simulations of all parts."""
        if self._path is not None:
            u, x = Pairs.joined(parts)
            arrays = {"marks_u": marks.u, "marks_x": marks.x, "u": u, "x": x}
            write_arrays(self._path, arrays)


def are_equal(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two arrays, structured or not, are equal up to rounding."""
    if a.shape != b.shape or a.dtype.names != b.dtype.names:
        return False
    return all(
        np.allclose(one, other, equal_nan=True)
        if one.dtype.kind == other.dtype.kind == "f"
        else np.array_equal(one, other)
        for one, other in zip(_fields(a), _fields(b), strict=True)
    )


def _fields(x):
    """The fields of a structured array, or the array."""
    return [x[name] for name in x.dtype.names] if x.dtype.names else [x]


def _is_finite(part):
    is_text = part.dtype.kind == "U"
    return np.ones(part.shape, bool) if is_text else np.isfinite(part)
