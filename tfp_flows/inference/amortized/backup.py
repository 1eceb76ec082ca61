"""The file that keeps simulations, so that an interrupted call goes on from it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tfp_flows.core.arguments import check_instance, require
from tfp_flows.core.array_files import read_arrays, write_arrays
from tfp_flows.inference.amortized.pairs import Pairs, fields


class Backup:
    """A `.npz` file of simulations, with marks that tell which call they belong to.

    The marks are a few simulations, the result of `draw_few()`. They differ for another
    model, seed or prior, a `TruncatedPrior` or None. The path is None if nothing is kept.

    Raises:
      ValueError: if the path is no such file's, there is no seed to repeat draws by, or a
        simulator that does not take one returns other data each time.
    """

    def __init__(
        self,
        path: Any,
        seed: int | None,
        draw_few: Callable[[], Pairs],
        *,
        takes_seed: bool,
        prior: Any,
    ) -> None:
        self._path = path
        if path is not None:
            words = "the path of a .npz file"
            check_instance("backup", path, (str, os.PathLike), words)
            require(os.fspath(path).endswith(".npz"), f"`backup`, {words}", path)
            require(seed is not None, "`seed` with `backup`, which repeats draws", None)
            os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        u, x = draw_few()
        if prior is not None:  # another truncation may have the same first draws
            u = np.column_stack([u, np.asarray(prior.posterior.log_density(u))])
        self._marks = Pairs(u, x)
        # The prior of a later round depends on the fits of the rounds before it.
        self._of = "model and seed" if prior is None else "model, seed and earlier rounds"
        if path is not None and not os.path.exists(path) and not takes_seed:
            words = "a `simulator` that repeats its data, with `backup`"
            hint = " Give it an argument `seed`, an integer, for its random numbers."
            require(_are_equal(draw_few().x, x), words, "other data each time", hint)

    def read(self) -> list[Pairs]:
        """Returns the simulations of the file as one part; no part if there are none."""
        if self._path is None or not os.path.exists(self._path):
            return []
        names = "marks_u", "marks_x", "u", "x"
        expected = "`backup` that keeps simulations"
        there = [*read_arrays(self._path, expected, names).values()]
        same = all(map(_are_equal, there[:2], self._marks))
        words = f"`backup` of the same {self._of}, {self._path}"
        require(same, words, "other simulations")
        return [Pairs(*there[2:])]

    def write(self, parts: Sequence[Pairs]) -> None:
        """Writes the marks and the simulations of all parts."""
        if self._path is not None:
            marks_u, marks_x = self._marks
            u, x = Pairs.joined(parts)
            arrays = {"marks_u": marks_u, "marks_x": marks_x, "u": u, "x": x}
            write_arrays(self._path, arrays)


def _are_equal(a, b):
    """Whether two arrays, structured or not, are equal up to rounding."""
    if a.shape != b.shape or a.dtype.names != b.dtype.names:
        return False
    return all(
        np.allclose(one, other, equal_nan=True)
        if one.dtype.kind == other.dtype.kind == "f"
        else np.array_equal(one, other)
        for one, other in zip(fields(a), fields(b), strict=True)
    )
