"""Functions of columns: numbers that are computed from another column of their row."""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Callable, Mapping

import numpy as np

from tfp_flows.core.arguments import require
from tfp_flows.tables.cells import cells_of
from tfp_flows.tables.column import Column
from tfp_flows.tables.rules.rule import Computed

# Relative accuracy of numbers of six or seven digits, of float32, and of float64 after some
# operations. Integers and decimals on a line must be as exact as float64, since differences
# of large numbers count, such as times in seconds since 1970.
_DIGITS, _SINGLE, _DOUBLE = 2e-6, 2.0**-22, 2.0**-44
# Above this log-probability, a function may be chance: that independent numbers are as near
# to it, or that shuffled numbers are in the order of another column.
_MOST_CHANCE = -25.0
_LEAST_ROWS, _LEAST_DISTINCT = 20, 8  # minimum numbers of rows and of different numbers
# Least ratio of different values to different numbers of the source. Fewer values are
# steps, such as the year of a date, which no formula has.
_LEAST_SHARE_OF_VALUES = 0.5
# Least share of rows with exactly the computed decimals. By chance it is a half: both x and
# x - 1 are within the rounding error of x - 0.5.
_LEAST_SHARE_OF_SAME = 0.6
_MOST_COLUMNS = 100  # among more columns of numbers, none is compared
_SAMPLE = 64  # rows that rule out most functions
_MOST_DECIMALS, _MOST_DIGITS = 8, 10  # numbers with more are not rounded
_MOST_DIGITS_OF_SCALE = 4  # significant digits of factors of logarithms and powers
# Relative difference of equal numbers, of float64 and of float32 that was read from text.
_SAME, _SAME_SINGLE = 4.0 * np.finfo(np.float64).eps, 5e-14


class Formula(typing.NamedTuple):
    """An increasing or decreasing function of positive or all numbers."""

    apply: Callable[[np.ndarray], np.ndarray]  # not finite outside of the domain
    inverse: Callable[[np.ndarray], np.ndarray]
    words: str  # the function of "{}"


def _if_positive(power: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda x: np.where(x >= 0.0, np.power(np.maximum(x, 0.0), power), np.nan)


FORMULAS = {
    "linear": Formula(np.positive, np.positive, "{}"),
    "square": Formula(_if_positive(2.0), _if_positive(0.5), "{}^2"),
    "cube": Formula(_if_positive(3.0), _if_positive(1.0 / 3.0), "{}^3"),
    "square root": Formula(_if_positive(0.5), _if_positive(2.0), "sqrt({})"),
    "reciprocal": Formula(np.reciprocal, np.reciprocal, "1 / {}"),
    "log": Formula(np.log, np.exp, "log({})"),
    "log1p": Formula(np.log1p, np.expm1, "log(1 + {})"),
    "log10": Formula(np.log10, lambda y: np.power(10.0, y), "log10({})"),
    "log2": Formula(np.log2, np.exp2, "log2({})"),
    "exp": Formula(np.exp, np.log, "exp({})"),
}


@dataclasses.dataclass
class Function(Computed):
    """A column of numbers that is computed from another column.

    ```none
    name = round(scale * formula(source) + shift)
    ```

    The column is not modelled but computed, so it is kept exactly. Rows that contradict it
    cannot occur, and the density of the others is that of their other columns. It is
    missing where the source is missing, or where the formula is not finite; with
    `has_gaps` it may also be missing elsewhere, and known where the source is missing. A
    column of a context has no function.

    Args:
      name: name of the column.
      source: name of the other column.
      formula: one of `FORMULAS`.
      scale: factor.
      shift: summand.
      rounding: how the column is rounded: to `places` "decimals" or significant "digits",
        to "float32", or "none".
      places: number of decimals or digits.
      reason: why there is the function.
      has_gaps: whether cells of either column may be missing alone.

    Raises:
      ValueError: if `formula` or `rounding` is unknown, `scale` is 0 or not finite, or a
        column is its own source.

    >>> import numpy as np
    >>> from tfp_flows.tables import Function
    >>> function = Function("lwage", "wage", "log", rounding="decimals", places=3)
    >>> function.label, function(np.array([1.0, 2.0]))
    ('lwage = log(wage)', array([0.   , 0.693]))
    """

    name: str
    source: str
    formula: str = "linear"
    scale: float = 1.0
    shift: float = 0.0
    rounding: str = "none"
    places: int = 0
    reason: str = ""
    has_gaps: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        known, roundings = list(FORMULAS), ["decimals", "digits", "float32", "none"]
        words = f"`formula` of the function {self.name!r} of {known}"
        require(self.formula in known, words, repr(self.formula))
        words = f"`rounding` of the function {self.name!r} of {roundings}"
        require(self.rounding in roundings, words, repr(self.rounding))
        fits = self.scale != 0.0 and np.isfinite([self.scale, self.shift]).all()
        words = f"a finite `scale` other than 0 and a finite `shift` of {self.name!r}"
        require(fits, words, f"{self.scale} and {self.shift}")

    @property
    def label(self) -> str:
        """The name under which `TableColumns` lists it."""
        words = FORMULAS[self.formula].words.format(self.source)
        factor = "" if self.scale == 1.0 else f"{self.scale:g} * "
        sign = "-" if self.shift < 0.0 else "+"
        shift = "" if self.shift == 0.0 else f" {sign} {abs(self.shift):g}"
        return f"{self.name} = {factor}{words}{shift}"

    def __call__(self, source: np.ndarray) -> np.ndarray:
        """Returns the column's cells, `[N]`, for numbers; NaN where there is none."""
        exact = self._exact(self._numbers(self.source, source))
        return _rounded(exact, self.rounding, self.places)

    def inverse(self, values: np.ndarray) -> np.ndarray:
        """Returns numbers of the source, `[N]`, up to rounding; NaN where there is none."""
        values = self._numbers(self.name, values)
        with np.errstate(all="ignore"):
            source = FORMULAS[self.formula].inverse((values - self.shift) / self.scale)
        return np.where(np.isfinite(source), source, np.nan)

    def holds(self, source: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Returns where cells of both columns agree or are missing, booleans `[N]`."""
        source = self._numbers(self.source, source)
        values = self._numbers(self.name, values)
        exact = self._exact(source)
        with np.errstate(invalid="ignore"):
            is_near = np.abs(values - exact) <= self._tolerance(source, exact)
        return np.where(np.isnan(exact), np.isnan(values), is_near)

    def is_finite(self, source: Column) -> bool:
        """Returns whether it has a value for each number that a column may have."""
        if self.formula == "linear":
            return True
        numbers = [*source.values, *source.spikes]
        if source.is_number and source.grid is not None:
            numbers.append(source.low)
        is_positive = source.has_values or (source.lowest or -1.0) >= 0.0
        exact = self._exact(np.array(numbers, np.float64))
        return is_positive and bool(np.isfinite(exact).all())

    def _numbers(self, name, column):
        """Cells of one of both columns, `[N]`; NaN where missing."""
        cells = cells_of(name, column)
        words = f"numbers in column {name!r} of {self.label!r}"
        require(cells.type in ("number", "boolean"), words, f"a {cells.type}")
        return cells.numbers()

    def _exact(self, source):
        with np.errstate(all="ignore"):
            exact = self.scale * FORMULAS[self.formula].apply(source) + self.shift
        return np.where(np.isfinite(exact), exact, np.nan)

    def _tolerance(self, source, exact):
        """Rounding errors of the column and of its source, `[N]`."""
        is_single = _has_rounding(source, "float32") & (source != np.floor(source))
        source_error = np.where(is_single, _SINGLE, _DOUBLE)
        moved = np.nan_to_num(np.abs(self._exact(source * (1.0 + source_error)) - exact))
        # The rounding error of decimals, and a little more.
        has_decimals = self.rounding == "decimals"
        half_unit = 0.5 * (1.0 + _DIGITS) * 10.0**-self.places if has_decimals else 0.0
        return half_unit + self._accuracy() * np.abs(exact) + moved

    def _accuracy(self):
        """The relative rounding error of the column, except for that of decimals."""
        if self.rounding == "none":
            return _DOUBLE
        is_line = self.formula == "linear"
        if self.rounding == "decimals" and (is_line or self.places == 0):
            return _DOUBLE
        return _SINGLE if is_line else _DIGITS


def find_functions(cells: Mapping[str, np.ndarray]) -> list[Function]:
    """Returns the columns that are functions of another one in all rows.

    Rows where either column is missing count only if the other one always is, too. The
    source is the column with fewer possible numbers up to its largest: the wage in
    cents, not its logarithm; the age, not its square. No source is itself a function.

    >>> import numpy as np
    >>> from tfp_flows.tables.rules.functions import find_functions
    >>> age = np.arange(20.0, 60.0)
    >>> [f.label for f in find_functions({"age": age, "squared": age**2 / 100.0})]
    ['squared = 0.01 * age^2']
    """
    if len(cells) > _MOST_COLUMNS:
        return []
    some = {name: _some_rows(values) for name, values in cells.items()}
    functions: dict[str, Function] = {}
    sources: set[str] = set()
    for source in sorted(cells, key=lambda name: _num_possible(cells[name])):
        for name in cells:
            if name == source or name in sources or functions.keys() & {name, source}:
                continue
            rows = np.concatenate([some[source], some[name]])
            if not _is_monotone(cells[source][rows], cells[name][rows]):
                continue
            function = _function(name, source, cells[name], cells[source])
            if function is not None:
                functions[name] = function
                sources.add(source)
    return [functions[name] for name in cells if name in functions]


def _function(name, source, values, numbers):
    """The function of the source that the column is; None if it is none."""
    is_there = ~np.isnan(values) & ~np.isnan(numbers)
    x, y = numbers[is_there], values[is_there]
    if np.array_equal(x, y):
        # The logarithm of the probability that shuffled values are in the same order.
        counts = np.unique(y, return_counts=True)[1].tolist()
        chance = sum(math.lgamma(n + 1) for n in counts) - math.lgamma(len(y) + 1)
        is_chance = chance >= _MOST_CHANCE
        equal = Function(name, source, reason="in all rows")
        return None if is_chance else _with_gaps(equal, numbers, values)
    # It has about as many different numbers as the source, and not few.
    num_numbers, num_values = len(np.unique(x)), len(np.unique(y))
    are_alike = num_values >= _LEAST_SHARE_OF_VALUES * num_numbers
    are_many = len(y) >= _LEAST_ROWS and min(num_numbers, num_values) >= _LEAST_DISTINCT
    if not (are_alike and are_many):
        return None
    order = np.lexsort([y, x])
    is_repeated = np.diff(x[order]) == 0.0
    if not _are_same(y[order][1:], y[order][:-1])[is_repeated].all():
        return None
    candidates = (_fitted(name, source, formula, x, y) for formula in FORMULAS)
    found = [_with_gaps(f, numbers, values) for f in candidates if f]
    return min(found, key=lambda function: function.has_gaps, default=None)


def _with_gaps(function, numbers, values):
    """A function that holds where both are known; says so if it does not elsewhere."""
    if function.holds(numbers, values).all():
        return function
    reason = f"in all {np.sum(~np.isnan(values + numbers))} rows where both are known"
    return dataclasses.replace(function, reason=reason, has_gaps=True)


def _some_rows(values):
    """Some rows of different values, evenly spaced among these."""
    rows = np.unique(values, return_index=True)[1]
    ranks = np.linspace(0, len(rows) - 1, min(len(rows), _SAMPLE))
    return rows[ranks.astype(int)]


def _is_monotone(x, y):
    """Whether y increases or decreases with x; rows where one is NaN do not count."""
    is_there = ~np.isnan(x) & ~np.isnan(y)
    x, y = x[is_there], y[is_there]
    rise = np.diff(y[np.argsort(x, kind="stable")])
    return not ((rise < 0.0).any() and (rise > 0.0).any())


def _fitted(name, source, formula, x, y):
    """The function of the formula that may be y, with its rounding; None if none may be."""
    rounding, places = next(_roundings(y))
    values = Function(name, source, formula, rounding=rounding)._exact(x)
    if not np.isfinite(values).all():
        return None
    first, last = np.argmin(x), np.argmax(x)
    with np.errstate(all="ignore"):
        scale = float((y[last] - y[first]) / (values[last] - values[first]))
        shift = float(y[first] - scale * values[first])
    if scale == 0.0 or not np.isfinite([scale, shift]).all():
        return None
    near = Function(name, source, formula, scale, shift, rounding, places)
    error = near._tolerance(x, near._exact(x))
    size = np.abs(y).max()  # so that squares neither overflow nor underflow
    deviation = size * (y / size).std()
    chance = len(np.unique(x)) * np.log(error.mean() / deviation)
    fit = _line if formula == "linear" else _factor
    fitted = fit(values, y, error) if chance < _MOST_CHANCE else None
    if fitted is None:
        return None
    best, most = None, -1.0
    scale, shift = fitted
    for rounding, places in _roundings(y):
        candidate = Function(
            name, source, formula, scale, shift, rounding, places, "in all rows"
        )
        share = float(np.mean(_are_same(candidate(x), y)))
        is_chance = formula == "linear" and share < _LEAST_SHARE_OF_SAME
        is_chance &= rounding == "decimals"
        if share > most and not is_chance and candidate.holds(x, y).all():
            best, most = candidate, share
        if most == 1.0:
            break
    return best


def _factor(values, y, error):
    """The simplest factor of values that are y up to errors, and 0; None without one."""
    is_zero = values == 0.0
    if (np.abs(y[is_zero]) > error[is_zero]).any():
        return None
    values, y, error = values[~is_zero], y[~is_zero], error[~is_zero]
    ends = np.sort([(y - error) / values, (y + error) / values], axis=0)
    scale = _simplest(ends[0].max(), ends[1].min())
    if scale is None or scale != float(f"{scale:.{_MOST_DIGITS_OF_SCALE}g}"):
        return None
    return scale, 0.0


def _line(x, y, error):
    """The simplest slope and intercept of a line to y up to errors; None without one."""
    first, last = np.argmin(x), np.argmax(x)
    width, rise = x[last] - x[first], y[last] - y[first]
    most = error[first] + error[last]
    low, high = (rise - most) / width, (rise + most) / width
    for digits in range(1, 16):
        slope = float(f"{0.5 * (low + high):.{digits}g}")
        if low <= slope <= high and slope != 0.0:
            rest = y - slope * x
            shift = _simplest((rest - error).max(), (rest + error).min())
            if shift is not None:
                return slope, shift
    return None


def _simplest(low, high):
    """The number of fewest digits from low to high; None if there is none."""
    if low <= 0.0 <= high:
        return 0.0
    candidates = (float(f"{0.5 * (low + high):.{digits}g}") for digits in range(1, 17))
    return next((number for number in candidates if low <= number <= high), None)


def _roundings(y):
    """Yields roundings that leave y as it is: with the fewest decimals, with digits, ..."""
    candidates = {
        "decimals": range(_MOST_DECIMALS + 1),
        "digits": range(1, _MOST_DIGITS + 1),
        "float32": [0],
        "none": [0],
    }
    for rounding, choices in candidates.items():
        for places in choices:
            if all(_has_rounding(z, rounding, places).all() for z in (y[:_SAMPLE], y)):
                yield rounding, places
                break


def _has_rounding(values, rounding, places=0):
    """Which values are rounded in this way, `[N]`."""
    rounded = _rounded(values, rounding, places)
    return _are_same(rounded, values, _SAME_SINGLE if rounding == "float32" else _SAME)


def _rounded(values, rounding, places):
    if rounding == "decimals":
        return np.round(values, places)
    if rounding == "digits":
        return np.array([float(f"{value:.{places}g}") for value in values])
    if rounding == "float32":
        with np.errstate(over="ignore"):
            rounded = values.astype(np.float32).astype(np.float64)
        return np.where(np.isinf(rounded), values, rounded)
    return values


def _are_same(first, second, error=_SAME):
    return np.abs(first - second) <= error * np.abs(second)


def _num_possible(values):
    """The largest number in units of the last decimal; infinity if it is not rounded."""
    present = values[~np.isnan(values)]
    if not len(present):
        return 0.0
    rounding, places = next(_roundings(present))
    largest = float(np.abs(present).max())
    return largest * 10.0**places if rounding == "decimals" else np.inf
