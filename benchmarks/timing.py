"""Timing of contenders in turns, so that a change of the machine affects all equally."""

import dataclasses
import math
import statistics
import time
from collections.abc import Callable


@dataclasses.dataclass(frozen=True)
class Contender:
    """One way to do the work.

    Attributes:
      name: name in the table.
      run: does the work `calls` times, waits until it is done, and returns the last result,
        one number.
      calls: number of pieces of work in one `run`.
      num_parameters: number of trainable parameters; None where there is no model.
      clock: function that returns seconds; None: `time.perf_counter`.
    """

    name: str
    run: Callable[[], float] | None
    calls: int
    num_parameters: int | None = None
    clock: Callable[[], float] | None = None


@dataclasses.dataclass(frozen=True)
class Timing:
    """Milliseconds per call of one contender, for each repetition.

    Attributes:
      contender: the `Contender`.
      milliseconds: time of a call in each repetition.
      result: result of the last run.
    """

    contender: Contender
    milliseconds: tuple
    result: float

    @property
    def median(self):
        """Median over the repetitions, in milliseconds."""
        return statistics.median(self.milliseconds)


def first_call(build, workload):
    """Returns a `Contender` that in each run builds a new contender and calls it once."""
    once = dataclasses.replace(workload, calls=1)
    return Contender("first call", lambda: build(once).run(), calls=1)


def installed(builders):
    """Returns the contenders of functions whose packages are installed.

    Prints which packages are missing.
    """
    contenders = []
    for build in builders:
        try:
            contenders.append(build())
        except ImportError as error:
            print(f"Left out, since `{error.name}` is not installed.")
    return contenders


def interleave(contenders, repetitions, patience=30.0):
    """Times the contenders A B C A B C ...

    Each first runs twice uncounted, or once if that takes longer than `patience`. Then it
    runs in `repetitions` rounds, or in fewer that fit into `patience`, but at least in one.

    Args:
      contenders: list of `Contender`.
      repetitions: counted runs of each.
      patience: seconds to spend on the counted runs of each; None: all repetitions, and
        nothing is run before.

    Returns:
      A `Timing` for each.

    Raises:
      FloatingPointError: if a result is not finite: what computes NaN proves nothing.
    """
    rounds = [repetitions] * len(contenders)
    if patience is not None:
        rounds = [_rounds(contender, repetitions, patience) for contender in contenders]
    runs = [[] for _ in contenders]
    for i in range(repetitions):
        for contender, last, timed in zip(contenders, rounds, runs, strict=True):
            if i < last:
                timed.append(_timed(contender))
    return [_timing(*pair) for pair in zip(contenders, runs, strict=True)]


def table(timings, peers, references=()):
    """Formats timings as a Markdown table, with ratios to other contenders.

    One column is the ratio to the best of `peers`, and one each that to a contender in
    `references`; both are names.
    """
    medians = {timing.contender.name: timing.median for timing in timings}
    ratios = {"best peer": min((medians[name] for name in peers), default=math.nan)}
    ratios |= {name: medians[name] for name in references}
    header = ["contender", "ms a call, median (min-max)", "runs"]
    header += [*(f"x {name}" for name in ratios), "parameters", "result"]
    return markdown(header, [_row(timing, ratios.values()) for timing in timings])


def markdown(header, rows):
    """Returns a Markdown table of texts."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _rounds(contender, repetitions, patience):
    seconds, _ = _timed(contender)
    if seconds < patience:  # the first run may have compiled something
        seconds, _ = _timed(contender)
    return max(1, min(repetitions, int(patience / seconds)))


def _timed(contender):
    clock = contender.clock or time.perf_counter
    start = clock()
    result = contender.run()
    return clock() - start, result


def _timing(contender, runs):
    results = [result for _, result in runs]
    if not all(map(math.isfinite, results)):
        raise FloatingPointError(
            f"Expected finite results of {contender.name}; got {results}."
        )
    milliseconds = tuple(1e3 * seconds / contender.calls for seconds, _ in runs)
    return Timing(contender, milliseconds, results[-1])


def _row(timing, others):
    low, high = min(timing.milliseconds), max(timing.milliseconds)
    return [
        timing.contender.name,
        f"{timing.median:.2f} ({low:.2f}-{high:.2f})",
        str(len(timing.milliseconds)),
        *("-" if math.isnan(other) else f"{timing.median / other:.2f}" for other in others),
        str(timing.contender.num_parameters or "-"),
        f"{timing.result:.3f}",
    ]
