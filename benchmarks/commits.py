"""Compares the speed of two commits, each in its own process, in turns.

    python -m benchmarks.commits BEFORE AFTER [--workloads=maf_6]

The benchmarks are from this folder; `tfp_flows` is from each commit, without uncommitted
changes, in a temporary worktree. A ratio is the median of AFTER's time over
BEFORE's for neighbouring runs. The exit status is 1 if a lower quartile of ratios is above
`--limit`, or if only AFTER fails; 2 if a commit is unknown.
"""

import contextlib
import dataclasses
import functools
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile

from absl import app, flags

from benchmarks import autoregressive_tensorflow, glow_tensorflow, runner
from benchmarks.timing import first_call, interleave
from benchmarks.worker import Worker
from benchmarks.workloads import WORKLOADS, Glow

_ROOT = pathlib.Path(__file__).parents[1]
_GIT = ["git", "-C", str(_ROOT), "-c", "core.hooksPath=/dev/null"]
_HEADER = """| work | before, ms | after, ms | after / before (quartiles) | |
|---|---|---|---|---|"""
_VECTORS = functools.partial(autoregressive_tensorflow.our, jit_compile=True)
_GLOW = Glow(True, image_size=16, num_levels=2, num_steps=4, hidden_channels=64)
OUR_WORKLOADS = {
    "real_nvp_2": (_VECTORS, WORKLOADS["real_nvp_step"]["W5b"]),
    "real_nvp_43": (_VECTORS, WORKLOADS["real_nvp_step"]["W5a"]),
    "maf_6": (_VECTORS, WORKLOADS["autoregressive"]["W1a"]),
    "maf_63_samples": (_VECTORS, WORKLOADS["autoregressive"]["W2a"]),
    "nsf_coupling_6": (_VECTORS, WORKLOADS["spline_flows"]["W8a"]),
    "glow": (glow_tensorflow.ours, _GLOW),
}


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Times of two commits for one piece of work.

    Attributes:
      name: name of the work.
      before: milliseconds per call of each run, at least two; empty after a failure.
      after: likewise, of the neighbouring runs.
      trouble: reason of a failure.
    """

    name: str
    before: tuple = ()
    after: tuple = ()
    trouble: str = ""

    @property
    def quartiles(self):
        """Three quartiles of the ratios of neighbouring runs."""
        ratios = [a / b for b, a in zip(self.before, self.after, strict=True)]
        return statistics.quantiles(ratios, method="inclusive")

    def is_worse(self, limit):
        """Whether the lower quartile is above a limit, or only AFTER fails."""
        if self.trouble:
            return self.trouble.startswith("AFTER")
        return self.quartiles[0] > limit

    def row(self, limit):
        """Returns its line of a Markdown table."""
        if self.trouble:
            return f"| {self.name} | - | - | - | {self.trouble} |"
        low, median, high = self.quartiles
        cells = [f"{statistics.median(times):.2f}" for times in (self.before, self.after)]
        cells.append(f"{median:.2f} ({low:.2f}-{high:.2f})")
        verdict = "slower" if self.is_worse(limit) else ""
        return f"| {self.name} | {' | '.join(cells)} | {verdict} |"


def compare(name, workers, build, *arguments, repetitions):
    """Returns the `Comparison` of a contender that workers of two commits `build`."""
    contenders = []
    for who, worker in zip(("BEFORE", "AFTER"), workers, strict=True):
        try:
            contenders.append(worker.build(build, *arguments))
            contenders[-1].run()
        except Exception as error:  # a commit may lack anything
            reason = str(error).split("\n")[0]
            return Comparison(name, trouble=f"{who}: {type(error).__name__}: {reason}")
    before, after = interleave(contenders, repetitions, patience=None)
    return Comparison(name, before.milliseconds, after.milliseconds)


@contextlib.contextmanager
def checked_out(commit):
    """Yields a folder with `tfp_flows` of a commit and these `benchmarks`.

    Raises:
      ValueError: if git does not know it.
    """
    try:
        sha = _git("rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}")
    except subprocess.CalledProcessError:
        raise ValueError(f"Expected a commit of {_ROOT}; got {commit!r}.") from None
    with tempfile.TemporaryDirectory() as folder:
        tree = pathlib.Path(folder) / "tree"
        try:
            _git("worktree", "add", "--quiet", "--detach", str(tree), sha)
            place = pathlib.Path(folder) / "place"
            place.mkdir()
            (place / "tfp_flows").symlink_to(tree / "tfp_flows")
            for package in ("benchmarks", "experiments"):
                (place / package).symlink_to(_ROOT / package)
            yield place
        finally:
            subprocess.run(
                [*_GIT, "worktree", "remove", "-f", "-f", str(tree)], check=False
            )


def _git(*arguments):
    done = subprocess.run([*_GIT, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def _comparisons(commits, values):
    with contextlib.ExitStack() as stack:
        folders = [stack.enter_context(checked_out(commit)) for commit in commits]
        start = functools.partial(
            Worker, sys.executable, processor_time=values.processor_time
        )
        runner.print_head()
        print(_HEADER)
        workers = [stack.enter_context(start(folder=folder)) for folder in folders]
        for name in values.workloads:
            work = OUR_WORKLOADS[name]
            yield compare(name, workers, *work, repetitions=values.repetitions)
            first = f"{name}, first call"
            yield compare(first, workers, first_call, *work, repetitions=3)


def main(argv):
    """Prints the table; returns the exit status."""
    if len(argv) != 3:
        print(f"Expected two commits; got {argv[1:]}.", file=sys.stderr)
        return 2
    # SIGTERM, like Ctrl-C, must remove the worktrees.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    values, worse = flags.FLAGS, False
    try:
        for each in _comparisons(argv[1:], values):
            print(each.row(values.limit), flush=True)
            worse |= each.is_worse(values.limit)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    return int(worse)


def _define_flags():
    names = list(OUR_WORKLOADS)
    flags.DEFINE_multi_enum("workloads", names, names, "Which workloads to time.")
    text = "Counted runs of each; for first calls, always three."
    flags.DEFINE_integer("repetitions", 9, text, lower_bound=2)
    runner.define_processor_time()
    flags.DEFINE_float("limit", 1.2, "Greatest accepted ratio.")


if __name__ == "__main__":
    _define_flags()
    app.run(main)
