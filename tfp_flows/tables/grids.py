"""Grids: numbers that are recorded to a step, as consecutive integers, and back."""

from __future__ import annotations

import fractions
import math
from collections.abc import Sequence

import numpy as np

# Relative rounding errors of numbers on the grid, in float64 and in float32. Files may hold
# float32 numbers with eight digits, such as 0.30000001, or quotients with seven, 20.16667.
_ROUNDING, _SINGLE_ROUNDING = 1e-12, 4 * 1.2e-7
_MOST_ERROR = 0.01  # maximum rounding error of numbers with few digits, in steps
_MOST_OFF = 0.25  # the same for numbers that float32 or float64 holds exactly
_DIFFERENCE_ROUNDING = 0.01  # rounding error of a difference of two numbers, in steps
_MOST_DENOMINATOR = 10**9
_MOST_DECIMALS = 6
_DIVISORS = (1, 6)  # parts of a decimal unit; 6 for means of two or three numbers
_LEAST_ODDS = 100.0  # minimum odds that a coarser step is not chance
_LEAST_DISTINCT = 11  # fewer different numbers may be on a coarser grid by chance
FIRST_INEXACT = 2.0**53  # float64 does not hold every integer from here on
_MOST_CELLS = 10**6  # numbers on a finer grid are continuous


class Grid:
    """The multiples of a step, without spikes, as consecutive integers (places).

    ```none
    place = m - number of spikes below m * step,     y = m * step
    ```

    Numbers that are modelled otherwise (spikes) have no place, so the places of the others
    leave no gaps.

    >>> import numpy as np
    >>> from tfp_flows.tables.grids import Grid
    >>> grid = Grid(0.1, spikes=[0.2])
    >>> grid.places(np.array([0.1, 0.3, 0.4])), grid.at(np.array([1, 2, 3]))
    (array([1., 2., 3.]), array([0.1, 0.3, 0.4]))

    Args:
      step: distance of neighbouring numbers.
      spikes: numbers without a place.
    """

    def __init__(self, step: float, spikes: Sequence[float] = ()) -> None:
        # A power of ten makes steps below 1 as precise as others.
        power = 10 ** max(-math.floor(math.log10(step)), 0)
        ratio = fractions.Fraction(step) * power
        ratio = ratio.limit_denominator(_MOST_DENOMINATOR) / power
        self._numerator, self._denominator = ratio.numerator, ratio.denominator
        self.step = self._numerator / self._denominator
        multiples = self.multiples(np.asarray(spikes, np.float64))
        on_grid = multiples == np.floor(multiples)
        self._spikes = np.unique(multiples[on_grid])

    def multiples(self, y: np.ndarray) -> np.ndarray:
        """Returns y in steps, `[...]`; integers if y is on the grid up to rounding."""
        steps = y * self._denominator / self._numerator
        nearest = np.round(steps)
        with np.errstate(over="ignore"):
            is_single = y == np.asarray(y, np.float32)
        most = np.where(is_single, _MOST_OFF, _MOST_ERROR)
        error = np.minimum(_SINGLE_ROUNDING * np.abs(steps), most)
        error = np.maximum(error, np.minimum(_ROUNDING * np.abs(steps), _MOST_OFF))
        return np.where(np.abs(steps - nearest) <= error, nearest, steps)

    def round(self, y: np.ndarray) -> np.ndarray:
        """Returns the nearest numbers of the grid, `[...]`, spikes included."""
        return self._in_units(np.round(y * self._denominator / self._numerator))

    def round_if_near(self, y: np.ndarray) -> np.ndarray:
        """Returns differences of numbers of the grid without their rounding errors."""
        nearest = self.round(y)
        is_near = np.abs(y - nearest) <= _DIFFERENCE_ROUNDING * self.step
        return np.where(is_near, nearest, y)

    def places(self, y: np.ndarray) -> np.ndarray:
        """Returns the places of y, `[...]`; fractions for numbers that have none."""
        steps = self.multiples(y)
        return steps - np.searchsorted(self._spikes, steps)

    def places_up_to(self, y: np.ndarray) -> np.ndarray:
        """Returns the place of the last number up to y, `[...]`; NaN for NaN."""
        return self._up_to(np.floor(self.multiples(y)))

    def places_below(self, y: np.ndarray) -> np.ndarray:
        """Returns the place of the last number below y, `[...]`; NaN for NaN."""
        return self._up_to(np.ceil(self.multiples(y)) - 1.0)

    def at(self, places: np.ndarray) -> np.ndarray:
        """Returns the numbers at places, `[...]`; infinite ones at infinite places."""
        before = self._spikes - np.arange(len(self._spikes))
        return self._in_units(places + np.searchsorted(before, places, side="right"))

    def ends(self, low: float | None, high: float | None) -> tuple:
        """Returns the first and last place from `low` to `high`, None for None."""
        first, last = None, None
        if low is not None:
            first = float(self.places_below(np.array(float(low)))) + 1.0
        if high is not None:
            last = float(self.places_up_to(np.array(float(high))))
        return first, last

    def _up_to(self, steps):
        return steps - np.searchsorted(self._spikes, steps, side="right")

    def _in_units(self, steps):
        # A quotient of integers is the float that is nearest to the decimal number.
        return steps * self._numerator / self._denominator


def find_step(distinct: np.ndarray, resolution: float) -> float | None:
    """Returns the coarsest step of which all numbers are multiples; None without one.

    They may have been rounded to float32 before.

    >>> import numpy as np
    >>> from tfp_flows.tables.grids import find_step
    >>> find_step(np.arange(40) / 4.0, resolution=2.0**-52)
    0.25

    Args:
      distinct: different finite numbers, increasing.
      resolution: relative resolution of their dtype.
    """
    roundings = sorted({4.0 * resolution, _SINGLE_ROUNDING})
    steps = (_find_step(distinct, rounding) for rounding in roundings)
    return next((step for step in steps if step is not None), None)


def _find_step(distinct, rounding):
    """The coarsest step, up to a relative rounding error; None without one."""
    are_few = len(distinct) < _LEAST_DISTINCT
    for decimals in range(_MOST_DECIMALS + 1):
        for divisor in _DIVISORS[:1] if are_few else _DIVISORS:
            unit = divisor * 10.0**decimals
            steps = distinct * unit
            nearest = np.round(steps)
            error = rounding * np.abs(steps)
            if error.max() > _MOST_ERROR:
                return None
            if len(distinct) > 1 and np.ptp(nearest) == 0.0:
                continue  # numbers that only rounding tells apart are on no grid
            if (np.abs(steps - nearest) <= error).all():
                multiple = int(np.gcd.reduce(nearest.astype(np.int64)))
                multiple = 1 if are_few else _shown_multiple(multiple, nearest)
                is_coarse = np.ptp(nearest) <= _MOST_CELLS * multiple
                return max(multiple, 1) / unit if is_coarse else None
    return None


def _shown_multiple(multiple, nearest):
    """A multiple of all of `nearest`, or its largest power of ten if that may be chance.

    56.2 and 78.4 among whole numbers do not show that 78.3 cannot occur.
    """
    decimal = 10 ** (len(str(multiple)) - len(str(multiple).rstrip("0")))
    num_between = np.sum(nearest % (10 * decimal) != 0.0)
    is_shown = num_between * np.log(max(multiple / decimal, 1.0)) > np.log(_LEAST_ODDS)
    return multiple if is_shown else decimal
