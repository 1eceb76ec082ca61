"""Maps of a table's numbers to the standardised line, each by the kind of its column."""

from __future__ import annotations

import copy
import dataclasses
import functools
import math
import typing
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import tensorflow as tf

U_BOUND = 1e12  # bound on u, which keeps later values finite
_T_BOUND = 700.0  # bound on t, whose exponential is finite in float64
_ROUNDING = 2.0**-53  # of float64
_NO_TANGENTS = 1e300  # a value of `far` beyond any number


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
    u = (t - mean) / scale,  not on circles
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
      far: where tangents replace log and asinh. Without them, a draw some deviations
        beyond the training rows would be millions of times as large as these.
      common: numbers of the context that many rows have, the most common first. The map
        does not depend on them; networks see which of them a number is.
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
    far: float = _NO_TANGENTS
    common: Sequence[float] = ()

    def __post_init__(self) -> None:
        for name in ("positions", "levels", "common"):  # lists in files
            object.__setattr__(self, name, tuple(getattr(self, name)))

    def without_frequencies(self) -> NumberSpec:
        """Returns the map without `positions` and `levels`."""
        return dataclasses.replace(self, positions=(), levels=())


class MapForm(typing.NamedTuple):
    """A form of maps: t of `unit = (y - low) / width`, and y of t.

    The width is `high - low`, but 1 for "line" and "log".
    """

    forward: Callable  # (unit, width, far) -> t, log dt/dy
    backward: Callable  # (t, low, width, far) -> y
    inner: float = 0.5  # a value of `unit` at which t is finite
    has_low: bool = False  # whether `low` is an end of the support
    has_high: bool = False
    is_logarithmic: bool = False  # whether t is a logarithm of y, far out
    is_linear: bool = False  # whether y grows like t, far out


def _log(unit, width, far):
    log_unit = tf.math.log(tf.minimum(unit, far))
    return log_unit + tf.maximum(unit - far, 0.0) / far, -log_unit


def _exp(t, low, width, far):
    log_far = np.log(far)
    beyond = tf.maximum(t - log_far, 0.0) * far
    return low + tf.exp(tf.minimum(t, log_far)) + beyond


def _softplus(unit, width, far):
    log_rest = tf.math.log(-tf.math.expm1(-unit))
    return unit + log_rest, -log_rest - np.log(width)


def _logit(unit, width, far):
    log_below, log_rest = tf.math.log(unit), tf.math.log(1.0 - unit)
    return log_below - log_rest, -log_below - log_rest - np.log(width)


def _asinh(unit, width, far):
    near = tf.clip_by_value(unit, -far, far)
    t = tf.asinh(near)
    log_cosh = tf.abs(t) + tf.math.log1p(tf.exp(-2.0 * tf.abs(t))) - math.log(2.0)
    beyond = (unit - near) / np.hypot(1.0, far)
    return t + beyond, -log_cosh - np.log(width)


def _sinh(t, low, width, far):
    near = tf.clip_by_value(t, -np.arcsinh(far), np.arcsinh(far))
    beyond = np.hypot(1.0, far) * (t - near)
    return low + width * (tf.sinh(near) + beyond)


def _angle(unit, width, far):
    log_slope = tf.zeros_like(unit) + np.log(2.0 * math.pi / width)
    return 2.0 * math.pi * unit - math.pi, log_slope


FORMS = {
    "line": MapForm(
        lambda unit, width, far: (unit, tf.zeros_like(unit)),
        lambda t, low, width, far: t,
        is_linear=True,
    ),
    "log": MapForm(_log, _exp, inner=1.0, has_low=True, is_logarithmic=True),
    "softplus": MapForm(
        _softplus,
        lambda t, low, width, far: low + width * tf.math.softplus(t),
        inner=1.0,
        has_low=True,
        is_linear=True,
    ),
    "logit": MapForm(
        _logit,
        lambda t, low, width, far: low + width * tf.sigmoid(t),
        has_low=True,
        has_high=True,
    ),
    "asinh": MapForm(_asinh, _sinh, is_logarithmic=True),
    "circle": MapForm(
        _angle,
        lambda t, low, width, far: low + width * (t + math.pi) / (2.0 * math.pi),
        has_low=True,
        has_high=True,
    ),
}


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
        self._low = np.where(self._is["line"], 0.0, self._low)
        has_width = ~(self._is["line"] | self._is["log"])
        self._width = np.where(has_width, self._high - self._low, 1.0)
        self._has_low, self._has_high, self.is_logarithmic, self._is_linear = (
            np.array([getattr(FORMS[spec.form], name) for spec in specs], bool)
            for name in ("has_low", "has_high", "is_logarithmic", "is_linear")
        )
        self.is_integer = np.array([spec.is_integer for spec in specs], bool)
        self.is_circle = self._is["circle"]
        self._room: tf.Tensor | None = None
        self._tables = {
            j: _table_from_spec(spec) for j, spec in enumerate(specs) if spec.positions
        }

    @property
    def ends(self) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper ends of the supports, `[D]`; for integers, ends of bins."""
        low = np.where(self._has_low, self._low, -np.inf)
        return low, np.where(self._has_high, self._high, np.inf)

    @property
    def centers(self) -> np.ndarray:
        """A number inside of each support, `[D]`."""
        y = self.backward(tf.zeros([1, len(self.specs)], tf.float64)).numpy()[0]
        return np.where(self.is_integer, np.floor(y), y)

    def from_columns(self, columns: Iterable[int]) -> NumberMaps:
        """Returns the maps of some of the numbers."""
        columns = list(columns)
        maps = NumberMaps([self.specs[column] for column in columns])
        return maps if self._room is None else maps.within(self._room, columns)

    def within(self, room: tf.Tensor | None, columns: Sequence[int]) -> NumberMaps:
        """Returns the maps of numbers in a room that depends on the row.

        In place of y, they map `y / room`. Without a room above 0, no y is inside.

        Args:
          room: `[N, R]`; 1 for numbers that have none of their own. None: no number has.
          columns: which of the R are the numbers of these maps.
        """
        maps = copy.copy(self)
        maps._room = None if room is None else tf.gather(room, columns, axis=-1)
        return maps

    def share(self, y: tf.Tensor) -> tf.Tensor:
        """Returns `y / room`, `[..., D]`; y itself where there is no room."""
        if self._room is None:
            return y
        return tf.math.divide_no_nan(y, tf.maximum(self._room, 0.0))

    def middle(self, y: tf.Tensor) -> tf.Tensor:
        """Returns `y`, `[..., D]`; for integers, the middle of their bins."""
        return y + 0.5 * self.is_integer

    def forward(self, y: tf.Tensor) -> Mapped:
        """Maps `y`, `[..., D]`, to the standardised line."""
        y = self.share(y)
        t, log_slope, is_inside = self.unscaled(y)
        if self._room is not None:
            is_inside &= self._room > 0.0
            log_slope -= tf.math.log(tf.where(self._room > 0.0, self._room, 1.0))
        mean = np.where(self.is_circle, 0.0, self._mean)
        scale = np.where(self.is_circle, 1.0, self._scale)
        u = tf.clip_by_value((t - mean) / scale, -U_BOUND, U_BOUND)
        log_slope -= np.log(scale)
        if self._tables:
            ys, us, slopes = (tf.unstack(part, axis=-1) for part in (y, u, log_slope))
            for j, table in self._tables.items():
                us[j], slopes[j] = table.forward(ys[j], us[j], slopes[j])
            u, log_slope = tf.stack(us, axis=-1), tf.stack(slopes, axis=-1)
        return Mapped(u, log_slope, is_inside)

    def unscaled(self, y: tf.Tensor) -> Mapped:
        """Maps `y`, `[..., D]`, which is a share of any room, to t, not standardised."""
        from_low = (y - self._low) / self._width
        is_inside = ~self._has_low | (from_low > 0.0)
        is_inside &= ~self._has_high | (from_low < 1.0)
        # Numbers outside are replaced by a point where all maps are finite, so that their
        # gradients are finite too.
        unit = tf.where(is_inside, from_low, tf.constant(0.5, tf.float64))
        if self.is_circle.any():
            # The start of a circle belongs to it; turns do not matter.
            is_inside |= self.is_circle & tf.equal(from_low, 0.0)
            is_turn = self.is_circle & tf.math.is_finite(from_low)
            unit = tf.where(is_turn, from_low - tf.floor(from_low), unit)

        def forward(form):
            inner = tf.constant(FORMS[form].inner, tf.float64)
            only = tf.where(self._is[form], unit, inner)
            return FORMS[form].forward(only, self._width, self._far)

        t, log_slope = self._choose(forward)
        return Mapped(t, log_slope, is_inside & tf.math.is_finite(y))

    def edge(self, y: tf.Tensor) -> tf.Tensor:
        """Maps ends of bins, `[..., D]`, to the line; ends of the support to infinity."""
        u, y = self.forward(y).u, self.share(y)
        low, high = self.ends
        u = tf.where(y <= low, tf.constant(-math.inf, tf.float64), u)
        return tf.where(y >= high, tf.constant(math.inf, tf.float64), u)

    def backward(self, u: tf.Tensor) -> tf.Tensor:
        """Maps `u`, `[..., D]`, back to units of y; integers to a point in their bin."""
        columns = tf.unstack(u, axis=-1) if self._tables else []
        u_columns = list(columns)
        for j, table in self._tables.items():
            columns[j] = table.other_u(columns[j])
        u = tf.stack(columns, axis=-1) if columns else u
        t = tf.where(self.is_circle, u, self._mean + self._scale * u)
        t = tf.where(self._is_linear, t, tf.clip_by_value(t, -_T_BOUND, _T_BOUND))
        y = self._choose(
            lambda form: FORMS[form].backward(t, self._low, self._width, self._far)
        )
        if self._tables:
            columns = tf.unstack(y, axis=-1)
            for j, table in self._tables.items():
                columns[j] = table.backward(u_columns[j], columns[j])
            y = tf.stack(columns, axis=-1)
        # Rounding must not move a number to an end, where the density is zero.
        low, high = self.ends
        y = tf.maximum(y, np.nextafter(low, np.where(np.isfinite(low), np.inf, low)))
        y = tf.minimum(y, np.nextafter(high, np.where(np.isfinite(high), -np.inf, high)))
        if self._room is None:
            return y
        return tf.minimum(y, high * (1.0 - 2.0 * _ROUNDING)) * self._room

    def _choose(self, function):
        """Calls `function(form)` for forms that occur; returns each number's result."""
        forms = [form for form in FORMS if self._is[form].any()] or ["line"]
        chosen = function(forms[0])
        for form in forms[1:]:
            where = functools.partial(tf.where, self._is[form])
            chosen = tf.nest.map_structure(where, function(form), chosen)
        return chosen


class _Table(typing.NamedTuple):
    """A piecewise linear map in place of another map, which is shifted beyond its ends.

    The shifts make both maps meet at the first and at the last position.
    """

    positions: np.ndarray  # `[T]`, increasing
    levels: np.ndarray  # their u, `[T]`, increasing
    shifts: np.ndarray  # added to u of the other map below and above the ends, `[2]`

    def forward(self, y, u, log_slope):
        """Returns u and log-slopes of y, `[...]`, given `u, log_slope` of the other map."""
        level, slope = _interpolated(y, self.positions, self.levels)
        is_below, is_above = y < self.positions[0], y > self.positions[-1]
        outside = u + tf.where(is_below, self.shifts[0], self.shifts[1])
        is_outside = is_below | is_above
        return tf.where(is_outside, outside, level), tf.where(
            is_outside, log_slope, tf.math.log(slope)
        )

    def other_u(self, u):
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
    before = NumberMaps([spec.without_frequencies()])
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
