"""Puts finished runs side by side: a Markdown table, and a picture.

python -m experiments.compare RUN_DIR [RUN_DIR ...] [--picture=PATH]
"""

import json
import pathlib
import sys

import matplotlib
from absl import app
from absl import flags

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402

from experiments import report  # noqa: E402
from experiments import run_directory  # noqa: E402

_HEADER = ("data set", "run", "flow", "test log-likelihood (nats, ± 2 s.e.)")
_HEADER += ("baseline", "two-sample accuracy", "parameters", "epochs", "seconds")
_TEXT_COLUMNS = 3


def load(folders):
    """Returns the results of finished runs by folder, and (folder, why not) of others."""
    finished, others = {}, []
    for folder in folders:
        try:
            results = run_directory.finished_results(folder)
        except (OSError, json.JSONDecodeError) as error:
            others.append((folder, f"results.json cannot be read: {error}"))
            continue
        if results is None:
            others.append((folder, "no finished run"))
        elif "test_log_likelihood" not in results:
            others.append((folder, "results of something else"))
        else:
            finished[str(folder)] = results
    return finished, others


def table(finished):
    """Returns a Markdown table, the best run of each data set first."""
    rows = [_row(folder, results) for folder, results in _sorted(finished)]
    rule = ["---" if i < _TEXT_COLUMNS else "--:" for i in range(len(_HEADER))]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (_HEADER, rule, *rows))


def draw(finished, path):
    """Draws a panel a data set, with a bar a run and the Gaussian as a line.

    Args:
      finished: results by folder.
      path: of the picture.
    """
    by_dataset = {}
    for folder, results in _sorted(finished):
        by_dataset.setdefault(results["dataset"], []).append((folder, results))
    heights = [len(runs) + 1.5 for runs in by_dataset.values()]
    figure, axes = plt.subplots(
        len(by_dataset),
        1,
        figsize=(8, 0.45 * sum(heights) + 0.6),
        height_ratios=heights,
        squeeze=False,
        layout="constrained",
    )
    for axis, (dataset, runs) in zip(axes[:, 0], by_dataset.items(), strict=True):
        _bars(axis, runs)
        name, _ = report.baseline(runs[0][1])
        axis.set_title(f"{dataset}: from the {name} to the flow")
    axes[-1, 0].set_xlabel("test log-likelihood (nats, ± two standard errors)")
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _sorted(finished):
    return sorted(
        finished.items(),
        key=lambda item: (item[1]["dataset"], -item[1]["test_log_likelihood"]["nats"]),
    )


def _row(folder, results):
    log_likelihood, test = results["test_log_likelihood"], results.get("two_sample_test")
    return (
        results["dataset"],
        folder,
        results["flow"],
        f"{log_likelihood['nats']:.3f} ± {log_likelihood['two_standard_errors']:.3f}",
        f"{report.baseline(results)[1]['nats']:.3f}",
        f"{test['accuracy']:.3f}" if test else "",
        f"{results['num_parameters']:,}",
        str(results["num_epochs"]),
        f"{results['training_seconds']:.0f}",
    )


def _bars(axis, runs):
    """Draws points with bars of error: a log-likelihood has no zero to stand on."""
    place = -np.arange(len(runs))
    values = [results["test_log_likelihood"]["nats"] for _, results in runs]
    errors = [results["test_log_likelihood"]["two_standard_errors"] for _, results in runs]
    baseline = report.baseline(runs[0][1])[1]["nats"]
    axis.barh(place, np.subtract(values, baseline), left=baseline, color="#9db3c8")
    axis.errorbar(values, place, xerr=errors, fmt="o", color="#33608c", capsize=3)
    axis.axvline(baseline, color="#d1603d", linewidth=2)
    for x, y in zip(values, place, strict=True):
        axis.annotate(f"{x:.3f}", (x, y), (0, 6), textcoords="offset points", ha="center")
    axis.set_yticks(place, [f"{folder} ({r['flow']})" for folder, r in runs])
    axis.set_ylim(place[-1] - 0.6, 0.6)
    axis.use_sticky_edges = False
    axis.margins(x=0.06)


def main(argv):
    """Prints the table and draws the picture of the folders in `argv`."""
    finished, others = load([pathlib.Path(folder) for folder in argv[1:]])
    for folder, why in others:
        print(f"{folder}: {why}", file=sys.stderr)
    if not finished:
        sys.exit("Expected at least one folder of a finished run; got none.")
    print(table(finished))
    draw(finished, flags.FLAGS.picture)
    print(f"Picture: {flags.FLAGS.picture}", file=sys.stderr)


if __name__ == "__main__":
    flags.DEFINE_string("picture", "comparison.png", "Path of the picture.")
    app.run(main)
