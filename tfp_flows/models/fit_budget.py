"""The budget of a fit, what it has used of it, and how that is shown."""

from __future__ import annotations

import math
import sys
import time

__all__ = ["Budget", "Progress"]


class Budget:
    """Wall time and gradients that a fit may use, and those that it has used.

    Args:
      max_minutes: of wall time; None for no bound.
      max_gradients: evaluations of the target's gradient; None for no bound.
    """

    def __init__(self, max_minutes: float | None, max_gradients: int | None) -> None:
        self._max_seconds = None if max_minutes is None else 60.0 * max_minutes
        self._max_gradients = max_gradients
        self._start = time.monotonic()
        self.num_gradients = 0
        # Seconds that training leaves for the checks.
        self.reserve = 0.0

    def go_on(self, num_gradients: int, seconds: float) -> None:
        """Counts at least what an earlier run had used, of which this one goes on."""
        self.num_gradients = max(self.num_gradients, num_gradients)
        self._start -= max(seconds - self.seconds, 0.0)

    @property
    def seconds(self) -> float:
        """Wall time used."""
        return time.monotonic() - self._start

    @property
    def seconds_left(self) -> float:
        """Wall time that is left, without what is reserved for the checks."""
        most = math.inf if self._max_seconds is None else self._max_seconds
        return most - self.seconds - self.reserve

    def has_left(self, share: float) -> bool:
        """Whether at least this share of the wall time is left."""
        return self._max_seconds is None or self.seconds_left > share * self._max_seconds

    def reserve_seconds(self, seconds: float, share: float) -> None:
        """Reserves wall time for the checks, at most this share of all."""
        most = math.inf if self._max_seconds is None else share * self._max_seconds
        self.reserve = min(seconds, most)

    def reached(self) -> str | None:
        """A sentence that says which bound has been reached, or None."""
        if self._max_gradients is not None:
            if self.num_gradients >= self._max_gradients:
                return f"The fit ended at `max_gradients`, {self._max_gradients}."
        if self._max_seconds is not None and self.seconds_left <= 0.0:
            return f"The fit ended at `max_minutes`, {self._max_seconds / 60.0:g}."
        return None


class Progress:
    """One line on the terminal that says what a fit is doing.

    Args:
      is_shown: whether it is; None where the standard error is a terminal.
    """

    def __init__(self, is_shown: bool | None) -> None:
        self._is_shown = sys.stderr.isatty() if is_shown is None else is_shown

    def show(self, text: str) -> None:
        """Replaces the line."""
        if self._is_shown:
            print(f"\r{text:<78}", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Ends the line."""
        if self._is_shown:
            print(file=sys.stderr, flush=True)
