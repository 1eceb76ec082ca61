"""One table over many runs: what was right, what said so, and what it took."""

from experiments.posterior_inference import report
from experiments.runs.atomic_write import atomic_write

__all__ = ["summary", "write"]

_HEADER = ("method", "right", "wrong", "wrong yet called reliable", "failed")
_HEADER += ("fewer gradients than NUTS", "quicker than NUTS")


def write(runs, path):
    """Writes a row for each run, and the `summary`."""
    rows = "\n".join([report.HEADER, *map(report.row, runs)])
    atomic_write(path, f"{rows}\n\n{summary(runs)}\n")


def summary(runs):
    """Returns a row for each method: over how many targets it was right, and ahead.

    Fewer gradients, and quicker, are counted over the targets where both are right.

    Args:
      runs: what `posterior_inference.run_all` yields.
    """
    methods = dict.fromkeys(found["posterior"] for found in runs)
    by_nuts = {f["target"]: f for f in runs if f["posterior"] == "nuts"}
    rows = [_HEADER, *(_row(m, runs, by_nuts) for m in methods)]
    lines = [f"| {' | '.join(map(str, cells))} |" for cells in rows]
    return "\n".join([lines[0], "|---" * len(_HEADER) + "|", *lines[1:]])


def _row(method, runs, by_nuts):
    own = [found for found in runs if found["posterior"] == method]
    judged = [found for found in own if "is_right" in found]
    wrong = [found for found in judged if not found["is_right"]]
    called = [found for found in wrong if found["says"].startswith("reliable")]
    pairs = [
        (found, by_nuts[found["target"]])
        for found in judged
        if found["is_right"] and by_nuts.get(found["target"], {}).get("is_right")
    ]
    ahead = (
        sum(ours[name] < theirs[name] for ours, theirs in pairs)
        for name in ("num_gradients", "seconds")
    )
    cells = "-", "-"
    if method != "nuts" and by_nuts:
        cells = tuple(f"{count} of {len(pairs)}" for count in ahead)
    failed = sum("failure" in found for found in own)
    right = f"{len(judged) - len(wrong)} of {len(judged)}"
    return method, right, len(wrong), len(called), failed, *cells
