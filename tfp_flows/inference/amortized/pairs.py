"""Simulated pairs of parameters and data, as rows of numbers."""

from __future__ import annotations

import typing
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.core.arguments import require
from tfp_flows.core.rows import as_array, take_rows
from tfp_flows.inference.default_supports import MOST_MISSED, share_missed
from tfp_flows.inference.parts import check_parts
from tfp_flows.inference.support import JointSupport

LEAST_SIMULATIONS = 100  # least number to which a density is fitted


class Pairs(typing.NamedTuple):
    """Parameters and data of N simulations."""

    u: np.ndarray  # unconstrained parameters, `[N, D]` in float64
    x: np.ndarray  # data, `[N, K]` in float64, or a structured array `[N]`

    @classmethod
    def joined(cls, parts: Sequence[Pairs]) -> Pairs:
        """Returns the simulations of all parts, one after another."""
        return cls(*map(np.concatenate, zip(*parts, strict=True)))

    def take(self, index: Any) -> Pairs:
        """Returns some of the simulations."""
        return take_rows(self, index)

    def ranges(self, support: JointSupport) -> np.ndarray:
        """Returns least and greatest numbers of parameters and data, `[2, M + K]`.

        They are NaN for a cell that all simulations lack.
        """
        rows = np.concatenate([support.entries(self.u), self.x], axis=1)
        return np.stack([np.fmin.reduce(rows), np.fmax.reduce(rows)])

    def usable(self, allows_missing: bool) -> Pairs:
        """Returns 100 or more finite simulations; NaN in data may be a missing cell."""
        is_finite = np.all([_is_finite(part) for part in fields(self.x)], axis=0)
        if allows_missing:
            is_finite |= np.isnan(self.x)
        is_finite = is_finite.reshape(len(self.u), -1)
        usable = self.take(np.isfinite(self.u).all(axis=1) & is_finite.all(axis=1))
        words = f"{LEAST_SIMULATIONS} finite simulations, at least"
        got = f"{len(usable.u)} of {len(self.u)}"
        require(len(usable.u) >= LEAST_SIMULATIONS, words, got)
        return usable


class GivenPairs:
    """Parameters and data that were simulated elsewhere, in the place of a `Simulator`."""

    pin = None  # their density is not known

    def __init__(self, theta: Any, x: Any, support: JointSupport, form: Any) -> None:
        self.support, self.form = support, form
        check_parts("theta", theta, support.event_shapes)
        dtype = support.dtype.as_numpy_dtype
        arrays = _as_arrays(theta)
        theta = tf.nest.map_structure(lambda part: part.astype(dtype), arrays)
        u = support.unconstrained(theta)
        _check_reached(theta, support, u)
        self._pairs = Pairs(u, form.simulated_rows(x, len(u)))

    def pairs(self, *_: Any, **__: Any) -> Pairs:
        """Returns all of them."""
        return self._pairs

    def exchangeable_summary(self, pairs: Pairs) -> None:
        """Returns None: whether the order of data matters is not known."""


def support_of_pairs(theta: Any, support: Any) -> JointSupport:
    """Returns the support of parameters that were drawn elsewhere.

    They are `[N, D]`, or a structure of arrays `[N, *event]`; `support` is as in
    `fit_posterior`.
    """
    arrays = _as_arrays(theta)
    are_arrays = all(part.ndim for part in tf.nest.flatten(arrays))
    words = "parameters as an array `[N, D]`, or a structure of arrays `[N, *event]`"
    require(are_arrays, words, "nested lists of numbers")
    dtypes = {part.dtype for part in tf.nest.flatten(arrays)}
    is_float = all(dtype.kind == "f" for dtype in dtypes)
    require(is_float, "parameters of floating-point numbers", sorted(map(str, dtypes)))
    dtype = tf.float32 if all(dtype.itemsize <= 4 for dtype in dtypes) else tf.float64
    shapes = tf.nest.map_structure(lambda part: tf.TensorShape(part.shape[1:]), arrays)
    return JointSupport.from_shape(shapes, support, dtype).softly_clipped()


def _as_arrays(theta):
    return tf.nest.map_structure(lambda part: as_array(part, "theta"), theta)


def _check_reached(theta, support, u):
    """Refuses parameters that are not finite, or outside the support."""
    arrays = tf.nest.flatten(theta)
    count = sum(int((~np.isfinite(array)).sum()) for array in arrays)
    require(not count, "finite parameters", f"{count} numbers that are not")
    found = support.bijector.forward(tf.constant(u, support.dtype))
    pairs = zip(arrays, tf.nest.flatten(found), strict=True)
    missed = max(share_missed(array, np.asarray(part)) for array, part in pairs)
    words = "parameters within their `support`"
    require(missed <= MOST_MISSED, words, f"{missed:.0%} of them outside")


def fields(x: np.ndarray) -> list[np.ndarray]:
    """Returns the fields of a structured array, or the array."""
    return [x[name] for name in x.dtype.names] if x.dtype.names else [x]


def _is_finite(part):
    is_text = part.dtype.kind == "U"
    return np.ones(part.shape, bool) if is_text else np.isfinite(part)
