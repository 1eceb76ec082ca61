"""Times contenders in turn, so that a drifting machine is fair to all."""

import dataclasses
import statistics
import time
from collections.abc import Callable

__all__ = ["Contender", "Timing", "interleave", "table"]


@dataclasses.dataclass(frozen=True)
class Contender:
    """One way to do the work that is timed.

    Attributes:
      name: what the table calls it.
      run: does the work `calls` times, waits until it is done, and returns the last loss.
      calls: how many pieces of work one `run` does.
      num_parameters: number of trainable parameters; None where there is no model.
    """

    name: str
    run: Callable[[], float]
    calls: int
    num_parameters: int | None = None


@dataclasses.dataclass(frozen=True)
class Timing:
    """Milliseconds a call of one contender, over the repetitions.

    Attributes:
      contender: who was timed.
      milliseconds: a call's time in each repetition.
      loss: what the last run returned.
    """

    contender: Contender
    milliseconds: tuple
    loss: float

    @property
    def median(self):
        """Median over the repetitions, in milliseconds."""
        return statistics.median(self.milliseconds)


def interleave(contenders, repetitions):
    """Times the contenders A B C A B C ...

    Args:
      contenders: list of `Contender`.
      repetitions: counted runs of each, after two that are not.

    Returns:
      A `Timing` for each.
    """
    losses = {}
    for contender in contenders:
        for _ in range(2):
            losses[contender.name] = contender.run()
    times = {contender.name: [] for contender in contenders}
    for _ in range(repetitions):
        for contender in contenders:
            start = time.perf_counter()
            losses[contender.name] = contender.run()
            elapsed = time.perf_counter() - start
            times[contender.name].append(1e3 * elapsed / contender.calls)
    return [Timing(c, tuple(times[c.name]), losses[c.name]) for c in contenders]


def table(timings, peers):
    """Formats timings as a Markdown table, with ratios to the best peer of the same run.

    Args:
      timings: list of `Timing`.
      peers: names of the contenders that count as peers.
    """
    best = min((t.median for t in timings if t.contender.name in peers), default=None)
    lines = [
        "| contender | ms a call, median (min-max) | x best peer | parameters | loss |",
        "|---|---|---|---|---|",
    ]
    for timing in timings:
        low, high = min(timing.milliseconds), max(timing.milliseconds)
        ratio = "-" if best is None else f"{timing.median / best:.2f}"
        lines.append(
            f"| {timing.contender.name} | {timing.median:.2f} ({low:.2f}-{high:.2f}) | "
            f"{ratio} | {timing.contender.num_parameters or '-'} | {timing.loss:.3f} |"
        )
    return "\n".join(lines)
