"""A contender that a worker can import quickly."""

from experiments.benchmarks.timing import Contender


def build(*, calls, missing=None):
    """Returns a contender that counts its runs, or fails for lack of `missing`."""
    if missing:
        raise ImportError(f"No module named {missing!r}", name=missing)
    print("a library that says something")
    runs = []
    return Contender("there", lambda: runs.append(1) or float(len(runs)), calls, 7)
