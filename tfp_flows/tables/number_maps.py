"""Maps of a table's numbers to the standardised line, each by the kind of its column."""

from __future__ import annotations

import dataclasses
import functools
import math
import typing
from collections.abc import Iterable, Sequence

import numpy as np
import tensorflow as tf

FORMS = ("line", "log", "softplus", "logit", "asinh", "circle")
_FAR = 1e12  # bound on u, which keeps later values finite
_MOST = 700.0  # its exponential is finite in float64
_NOWHERE = 1e300  # no number is as far


@dataclasses.dataclass(frozen=True)
class NumberSpec:
    """The map of one number of a row: plain values, measured in training rows.

    ```none
    line:      t = y
    log:       t = log(y - low)
    softplus:  t = log(exp((y - low) / (high - low)) - 1),  a logarithm, far from low a line
    logit:     t = log((y - low) / (high - low)) - log((high - y) / (high - low))
    asinh:     t = asinh((y - low) / (high - low)),  low the median, high - low the spread
    beyond far, log and asinh are their tangents:  t(d) = t(far) + t'(far) (d - far),
               d = y - low, or (y - low) / (high - low),  and at -far likewise
    circle:    u = 2 pi (y - low) / (high - low) - pi
    u = (t - mean) / scale, but on circles
    integers with positions:  u = the line through (position, level), beyond the last ones
                              parallel to (t - mean) / scale
    ```

    Args:
      form: one of `FORMS`.
      low: lower end of the support, or the median; see above.
      high: upper end of the support, or a scale above `low`; see above.
      mean: mean of t in the training rows.
      scale: standard deviation of t in the training rows.
      is_integer: whether y is an integer, with the bin from y to y + 1.
      code: index of the code that is 0 where the number is present; -1: it always is.
      positions: ends of bins of integers, increasing.
      levels: their u, increasing.
      far: where tangents replace log and asinh. Else, a draw some deviations beyond the
        training rows is millions of times as large as they are.
    """

    form: str
    low: float = 0.0
    high: float = 1.0
    mean: float = 0.0
    scale: float = 1.0
    is_integer: bool = False
    code: int = -1
    positions: Sequence[float] = ()
    levels: Sequence[float] = ()
    far: float = _NOWHERE

    def __post_init__(self) -> None:
        for name in ("positions", "levels"):  # lists in files
            object.__setattr__(self, name, tuple(getattr(self, name)))


class Mapped(typing.NamedTuple):
    """Numbers on the standardised line, `[..., D]`."""

    u: tf.Tensor  # numbers on the line; or t (`NumberSpec`), which is not standardised
    log_slope: tf.Tensor  # `log du/dy`, or `log dt/dy`
    is_inside: tf.Tensor  # whether y is in the support


class NumberMaps:
    """The maps of D numbers of a row, in float64.

    Args:
      specs: a `NumberSpec` for each number.

    Attributes:
      is_integer: which numbers are integers, booleans `[D]`.
      is_circle: which numbers are on circles, `[D]`.
      is_logarithmic: which numbers have logarithmic tails, `[D]`.
    """

    def __init__(self, specs: Sequence[NumberSpec]) -> None:
        self.specs = list(specs)
        self._is = {f: np.array([s.form == f for s in specs], bool) for f in FORMS}
        self._low, self._high, self._mean, self._scale, self._far = (
            np.array([getattr(spec, name) for spec in specs], np.float64)
            for name in ("low", "high", "mean", "scale", "far")
        )
        self._width = np.where(self._is["log"], 1.0, self._high - self._low)
        self.is_integer = np.array([spec.is_integer for spec in specs], bool)
        self.is_circle = self._is["circle"]
        self.is_logarithmic = self._is["log"] | self._is["asinh"]
        self._tables = {
            j: _table_from_spec(spec) for j, spec in enumerate(specs) if spec.positions
        }

    @property
    def ends(self) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper ends of the supports, `[D]`; for integers, ends of bins."""
        has_low = self._is["log"] | self._is["softplus"] | self._is["logit"]
        has_low = has_low | self.is_circle
        has_high = self._is["logit"] | self.is_circle
        return np.where(has_low, self._low, -np.inf), np.where(has_high, self._high, np.inf)

    @property
    def centers(self) -> np.ndarray:
        """A number inside of each support, `[D]`."""
        y = self.backward(tf.zeros([1, len(self.specs)], tf.float64)).numpy()[0]
        return np.where(self.is_integer, np.floor(y), y)

    def from_columns(self, columns: Iterable[int]) -> NumberMaps:
        """Returns the maps of some of the numbers."""
        return NumberMaps([self.specs[column] for column in columns])

    def middle(self, y: tf.Tensor) -> tf.Tensor:
        """Returns `y`; for integers, the middle of their bins."""
        return y + 0.5 * self.is_integer

    def forward(self, y: tf.Tensor) -> Mapped:
        """Maps `y`, `[..., D]`, to the standardised line."""
        t, log_slope, is_inside = self.unscaled(y)
        mean = np.where(self.is_circle, 0.0, self._mean)
        scale = np.where(self.is_circle, 1.0, self._scale)
        u = tf.clip_by_value((t - mean) / scale, -_FAR, _FAR)
        log_slope -= np.log(scale)
        if self._tables:
            each = [tf.unstack(part, axis=-1) for part in (y, u, log_slope)]
            for j, table in self._tables.items():
                each[1][j], each[2][j] = table.forward(*(part[j] for part in each))
            u, log_slope = (tf.stack(part, axis=-1) for part in each[1:])
        return Mapped(u, log_slope, is_inside)

    def unscaled(self, y: tf.Tensor) -> Mapped:
        """Maps `y`, `[..., D]`, to t, which is not standardised."""
        from_low = (y - self._low) / self._width
        is_above = self._is["line"] | self._is["asinh"] | (from_low > 0.0)
        has_end = self._is["logit"] | self._is["circle"]
        is_inside = is_above & (~has_end | (from_low < 1.0))
        # The start of a circle belongs to it.
        is_inside |= self._is["circle"] & tf.equal(from_low, 0.0)
        # Numbers outside are replaced by a point where all maps are finite, so that their
        # gradients are finite too.
        unit = tf.where(is_inside, from_low, tf.constant(0.5, tf.float64))
        log_width = np.log(self._width)

        def log():
            above = tf.where(self._is["log"], unit, 1.0)
            log_unit = tf.math.log(tf.minimum(above, self._far))
            return log_unit + tf.maximum(above - self._far, 0.0) / self._far, -log_unit

        def softplus():
            soft = tf.where(self._is["softplus"], unit, 1.0)
            log_rest = tf.math.log(-tf.math.expm1(-soft))
            return soft + log_rest, -log_rest - log_width

        def logit():
            log_below = tf.math.log(tf.where(self._is["logit"], unit, 0.5))
            log_rest = tf.math.log(tf.where(self._is["logit"], 1.0 - unit, 0.5))
            return log_below - log_rest, -log_below - log_rest - log_width

        def asinh():
            near = tf.clip_by_value(unit, -self._far, self._far)
            t = tf.asinh(near)
            log_cosh = tf.abs(t) + tf.math.log1p(tf.exp(-2.0 * tf.abs(t))) - math.log(2.0)
            beyond = (unit - near) / np.hypot(1.0, self._far)
            return t + beyond, -log_cosh - log_width

        def circle():
            is_turn = self._is["circle"] & tf.math.is_finite(from_low)
            turn = tf.where(is_turn, from_low - tf.floor(from_low), unit)
            log_slope = tf.zeros_like(y) + np.log(2.0 * math.pi / self._width)
            return 2.0 * math.pi * turn - math.pi, log_slope

        t, log_slope = self._choose(
            line=lambda: (tf.where(is_inside, y, 0.0), tf.zeros_like(y)),
            log=log,
            softplus=softplus,
            logit=logit,
            asinh=asinh,
            circle=circle,
        )
        return Mapped(t, log_slope, is_inside & tf.math.is_finite(y))

    def edge(self, y: tf.Tensor) -> tf.Tensor:
        """Maps ends of bins to the line; ends of the support to infinity."""
        u = self.forward(y).u
        low, high = self.ends
        u = tf.where(y <= low, tf.constant(-math.inf, tf.float64), u)
        return tf.where(y >= high, tf.constant(math.inf, tf.float64), u)

    def backward(self, u: tf.Tensor) -> tf.Tensor:
        """Maps `u`, `[..., D]`, back to units of y; integers to a point in their bin."""
        columns = tf.unstack(u, axis=-1) if self._tables else []
        given = list(columns)
        for j, table in self._tables.items():
            columns[j] = table.before(columns[j])
        u = tf.stack(columns, axis=-1) if columns else u
        t = tf.where(self.is_circle, u, self._mean + self._scale * u)
        is_linear = self._is["line"] | self._is["softplus"]
        t = tf.where(is_linear, t, tf.clip_by_value(t, -_MOST, _MOST))

        def log():
            log_far = np.log(self._far)
            beyond = tf.maximum(t - log_far, 0.0) * self._far
            return self._low + tf.exp(tf.minimum(t, log_far)) + beyond

        def asinh():
            far = np.arcsinh(self._far)
            near = tf.clip_by_value(t, -far, far)
            beyond = np.hypot(1.0, self._far) * (t - near)
            return self._low + self._width * (tf.sinh(near) + beyond)

        y = self._choose(
            line=lambda: t,
            log=log,
            softplus=lambda: self._low + self._width * tf.math.softplus(t),
            logit=lambda: self._low + self._width * tf.sigmoid(t),
            asinh=asinh,
            circle=lambda: self._low + self._width * (t + math.pi) / (2.0 * math.pi),
        )
        if self._tables:
            columns = tf.unstack(y, axis=-1)
            for j, table in self._tables.items():
                columns[j] = table.backward(given[j], columns[j])
            y = tf.stack(columns, axis=-1)
        # Rounding must not move a number to an end, where the density is zero.
        low, high = self.ends
        y = tf.maximum(y, np.nextafter(low, np.where(np.isfinite(low), np.inf, low)))
        return tf.minimum(y, np.nextafter(high, np.where(np.isfinite(high), -np.inf, high)))

    def _choose(self, **functions):
        """What the function of each number's form returns; others are not called."""
        forms = [form for form in FORMS if self._is[form].any()] or ["line"]
        chosen = functions[forms[0]]()
        for form in forms[1:]:
            where = functools.partial(tf.where, self._is[form])
            chosen = tf.nest.map_structure(where, functions[form](), chosen)
        return chosen


class _Table(typing.NamedTuple):
    """A piecewise linear map in place of another map, which is shifted beyond its ends.

    By the two shifts, below the first and above the last position, both maps meet.
    """

    positions: np.ndarray  # `[T]`, increasing
    levels: np.ndarray  # their u, `[T]`, increasing
    shifts: np.ndarray

    def forward(self, y, u, log_slope):
        """Returns u and log-slopes of y, `[...]`, given `u, log_slope` of the other map."""
        level, slope = _interpolated(y, self.positions, self.levels)
        is_below, is_above = y < self.positions[0], y > self.positions[-1]
        outside = u + tf.where(is_below, self.shifts[0], self.shifts[1])
        is_outside = is_below | is_above
        return tf.where(is_outside, outside, level), tf.where(
            is_outside, log_slope, tf.math.log(slope)
        )

    def before(self, u):
        """Returns u of the other map beyond the ends; zero elsewhere."""
        below, above = u - self.shifts[0], u - self.shifts[1]
        return tf.where(
            u < self.levels[0], below, tf.where(u > self.levels[-1], above, 0.0)
        )

    def backward(self, u, y):
        """Returns y of u, `[...]`; beyond the ends, y of the other map."""
        inside, _ = _interpolated(u, self.levels, self.positions)
        y = tf.where(u < self.levels[0], tf.minimum(y, self.positions[0]), y)
        y = tf.where(u > self.levels[-1], tf.maximum(y, self.positions[-1]), y)
        is_inside = (u >= self.levels[0]) & (u <= self.levels[-1])
        return tf.where(is_inside, inside, y)


@functools.lru_cache(maxsize=256)  # maps of some columns are made again and again
def _table_from_spec(spec):
    """The table of a `NumberSpec`."""
    positions, levels = (np.asarray(p, float) for p in (spec.positions, spec.levels))
    before = NumberMaps([dataclasses.replace(spec, positions=(), levels=())])
    with tf.init_scope():  # a constant, also while a function is traced
        u = before.forward(tf.constant(positions[[0, -1], None])).u.numpy()[:, 0]
    return _Table(positions, levels, levels[[0, -1]] - u)


def _interpolated(x, knots, values):
    """Values and slopes at x, `[...]`, of the line through knots; x is moved inside."""
    near = tf.clip_by_value(x, knots[0], knots[-1])
    near = tf.where(tf.math.is_nan(x), tf.constant(knots[0], x.dtype), near)
    index = tf.searchsorted(knots, tf.reshape(near, [-1]), side="right") - 1
    index = tf.reshape(tf.clip_by_value(index, 0, len(knots) - 2), tf.shape(near))
    slope = tf.gather(np.diff(values) / np.diff(knots), index)
    return tf.gather(values, index) + (near - tf.gather(knots, index)) * slope, slope
