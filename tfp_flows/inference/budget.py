"""The budget of a fit, and the line that shows its progress."""

from __future__ import annotations

import math
import shutil
import sys
import threading
import time

from tfp_flows.core.arguments import require

_SECONDS_BETWEEN_LINES = 20.0  # in logs and notebooks, not on a terminal
_SECONDS_BETWEEN_LOOKS = 1.0  # period of the thread that shows the line anew
_MARKS = 10  # length of a bar


class Budget:
    """The wall time and gradients that a fit has used, and their bounds, if not None."""

    def __init__(self, max_minutes: float | None, max_gradients: int | None) -> None:
        self._max_seconds = math.inf if max_minutes is None else 60.0 * max_minutes
        self._max_minutes = max_minutes
        self._max_gradients = max_gradients
        self._start = time.monotonic()
        self.num_gradients = self.skipped_steps = 0
        self.reserve = 0.0  # seconds that training leaves for the checks
        self.ended: str | None = None  # says which bound cut the fit short, if one did

    @property
    def used(self) -> tuple[int, int, float]:
        """Gradients, steps that were not finite, and seconds of wall time so far."""
        return self.num_gradients, self.skipped_steps, self.seconds

    def resume(self, num_gradients: float, skipped_steps: float, seconds: float) -> None:
        """Counts at least what an interrupted run had `used`."""
        self.num_gradients = max(self.num_gradients, int(num_gradients))
        self.skipped_steps = max(self.skipped_steps, int(skipped_steps))
        self._start -= max(seconds - self.seconds, 0.0)

    @property
    def seconds(self) -> float:
        """Wall time used."""
        return time.monotonic() - self._start

    @property
    def seconds_left(self) -> float:
        """Wall time that is left, less the time reserved for the checks."""
        return self._max_seconds - self.seconds - self.reserve

    def has_left(self, share: float) -> bool:
        """Whether more than this share of the wall time is left."""
        return self._max_minutes is None or self.seconds_left > share * self._max_seconds

    def reserve_seconds(self, seconds: float, share: float) -> None:
        """Reserves wall time for the checks, but at most `share` (above 0) of all."""
        self.reserve = min(seconds, share * self._max_seconds)

    def reached(self) -> str | None:
        """A sentence that says which bound has been reached, or None."""
        most = self._max_gradients
        if most is not None and self.num_gradients >= most:
            return f"The fit ended at `max_gradients`, {most}."
        return self._out_of_time() if self.seconds_left <= 0.0 else None

    def end(self) -> None:
        """Notes that a bound cuts the fit short, even if some time is left in the end."""
        self.ended = self.reached() or self._out_of_time()

    def _out_of_time(self):
        return f"The fit ended at `max_minutes`, {self._max_minutes:g}."


class Progress:
    """A line that says how long a fit has taken, what it is doing, and how much is left.

    ```none
    fit_posterior 0:12, round 1 of at most 3 [####......] training, ELBO -1906.734
    ```

    Inside of `with`, a thread shows the line anew, so the time goes on during a stage that
    shows nothing, such as the search for the maxima of a slow density.

    Args:
      verbose: 1 for a bar that is written over, 0 for nothing. With "auto", a terminal
        shows the bar, and logs and notebooks get a line every 20 seconds.

    Raises:
      ValueError: if `verbose` is something else.
    """

    def __init__(self, verbose: int | str) -> None:
        require(verbose in ("auto", 0, 1), "`verbose` of 'auto', 0 or 1", repr(verbose))
        self._is_live = sys.stderr.isatty() if verbose == "auto" else bool(verbose)
        self._is_silent = verbose == 0
        self._start = self._last = time.monotonic()
        self._text = "starting"
        self._lock, self._ended = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._show_anew, daemon=True)

    def __enter__(self) -> Progress:
        if not self._is_silent:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread.is_alive():
            self._ended.set()
            self._thread.join()
        if self._is_live:
            print(file=sys.stderr, flush=True)

    def show(self, text: str) -> None:
        """Replaces the line."""
        with self._lock:
            self._text = text
            self._print()

    def _show_anew(self):
        while not self._ended.wait(_SECONDS_BETWEEN_LOOKS):
            with self._lock:
                self._print()

    def _print(self):
        now = time.monotonic()
        minutes, seconds = divmod(int(now - self._start), 60)
        line = f"fit_posterior {minutes}:{seconds:02d}, {self._text}"
        if self._is_live:
            # A longer line would wrap, and the next would not be written over it.
            width = shutil.get_terminal_size().columns - 1
            print(f"\r{line[:width]:<{width}}", end="", file=sys.stderr, flush=True)
        elif not self._is_silent and now - self._last >= _SECONDS_BETWEEN_LINES:
            self._last = now
            print(line, file=sys.stderr, flush=True)


def bar(share: float) -> str:
    """Returns a bar for the share that is done, from 0 to 1: "[####......]" for 0.4."""
    count = int(_MARKS * share)
    return f"[{'#' * count}{'.' * (_MARKS - count)}]"
