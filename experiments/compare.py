"""Compares finished runs in a Markdown table and a picture.

tfp-flows compare RUN_DIR [RUN_DIR ...] [--picture=PATH]
"""

import dataclasses
import pathlib
import shlex
import sys
import textwrap

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.backend_bases import FigureCanvasBase

from experiments.command_line import program
from experiments.command_line.flag_settings import FlagSettings, UsageError, field
from experiments.data import Request
from experiments.density_estimation import report
from experiments.reports import page, plots
from experiments.reports.estimate import plus_minus
from experiments.runs import run_directory
from experiments.runs.run_directory import RunDirectoryError

_HEADER = ("data set", "run", "flow", "test log-likelihood (nats, ± 2 s.e.)")
_HEADER += ("baseline", "two-sample accuracy", "parameters", "epochs", "seconds")
_NEEDED = {"dataset", "test_log_likelihood"}  # keys of the results
_TITLE_WIDTH = 80  # letters

# The flags that choose the rows; the folder of a file does not matter.
_DATA_FLAGS = {f.name for f in dataclasses.fields(Request)} - {"data_dir", "seed"}
_DATA_FLAGS |= {"data_seed"}


@dataclasses.dataclass(frozen=True)
class CompareSettings(FlagSettings):
    """The runs to compare, and the path of the picture."""

    PROGRAM = "compare"
    POSITIONAL = "folders"
    REQUIRED = ("folders",)

    picture: str = field("comparison.png", "Path of the picture; its suffix is the format.")
    folders: tuple[str, ...] = field((), "Folders of runs.")

    def __post_init__(self):
        super().__post_init__()
        known = sorted(FigureCanvasBase.filetypes)
        if pathlib.Path(self.picture).suffix[1:].lower() not in known:
            raise UsageError(
                f"Expected `picture` to end in one of {known}; got {self.picture!r}."
            )


def load(folders):
    """Returns results of finished runs by folder, and (folder, reason) of the others."""
    finished, others = {}, []
    for folder in folders:
        try:
            results = run_directory.finished_results(folder)
        except (OSError, ValueError) as error:
            others.append((folder, f"results.json cannot be read: {error}"))
            continue
        if results is None:
            others.append((folder, "no finished run"))
        elif not (isinstance(results, dict) and _NEEDED <= results.keys()):
            others.append((folder, "no results of `tfp-flows density`"))
        else:
            finished[str(folder)] = results
    return finished, others


def table(finished):
    """Returns a Markdown table of groups of runs, in each group the best run first."""
    rows = [
        _row(heading, folder, results)
        for heading, runs in _groups(finished).items()
        for folder, results in runs
    ]
    return page.table(_HEADER, rows)


def draw(finished, path):
    """Draws a panel per group, with a bar per run and the baseline as a line.

    The folder of `path` is made if it is missing.
    """
    if not finished:
        raise ValueError("Expected `finished` runs to draw; got none.")
    pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
    groups = _groups(finished)
    heights = [len(runs) + 1.5 for runs in groups.values()]
    figure, axes = plt.subplots(
        len(groups),
        1,
        figsize=(8, 0.45 * sum(heights) + 0.6),
        height_ratios=heights,
        squeeze=False,
        layout="constrained",
    )
    for axis, (heading, runs) in zip(axes[:, 0], groups.items(), strict=True):
        _bars(axis, runs)
        name, _ = report.baseline(runs[0][1])
        title = f"{heading}: from the {name} to the flow"
        # Aligned right, so that a long title can extend over the labels.
        axis.set_title(textwrap.fill(title, _TITLE_WIDTH), loc="right", fontsize=10)
    axes[-1, 0].set_xlabel("test log-likelihood (nats, ± two standard errors)")
    plots.save(figure, path)


def _groups(finished):
    """Returns lists of (folder, results), the best first, by the heading of the group."""
    groups = {}
    by_data_set = sorted(
        finished.items(),
        key=lambda item: (item[1]["dataset"], -item[1]["test_log_likelihood"]["nats"]),
    )
    for folder, results in by_data_set:
        groups.setdefault(_facts(results), []).append((folder, results))
    described = [_data_flags(runs[0][1]) | dict(facts) for facts, runs in groups.items()]
    headings = [_heading(description, described) for description in described]
    return dict(zip(headings, groups.values(), strict=True))


def _facts(results):
    """Returns the facts that comparable runs share, as (name, text)."""
    given, (_, baseline) = results["context_size"], report.baseline(results)
    return (
        ("dataset", results["dataset"]),
        ("event_size", f"{results['event_size']} variables"),
        ("context_size", f"given {given}" if given else ""),
        ("num_rows", f"{results['num_rows']['test']:,} test rows"),
        # Six digits: machines differ in the last digits of the baseline.
        ("baseline", f"baseline {baseline['nats']:.6g} nats"),
    )


def _data_flags(results):
    """Returns the flags that chose the data, by name."""
    flags = [f for f in shlex.split(results["command"]) if f.startswith("--")]
    by_name = {flag[2:].partition("=")[0]: flag for flag in flags}
    return {name: flag for name, flag in by_name.items() if name in _DATA_FLAGS}


def _heading(description, described):
    """Returns the data set, and its differences from others of the same name."""
    name = description["dataset"]
    namesakes = [other for other in described if other["dataset"] == name]
    differing = [
        text
        for key, text in description.items()
        if text and any(other.get(key) != text for other in namesakes)
    ]
    return f"{name} ({', '.join(differing)})" if differing else name


def _row(heading, folder, results):
    log_likelihood = results["test_log_likelihood"]
    return (
        heading,
        folder,
        results["flow"],
        plus_minus(log_likelihood),
        f"{report.baseline(results)[1]['nats']:.3f}",
        f"{results['two_sample_test']['accuracy']:.3f}",
        f"{results['num_parameters']:,}",
        str(results.get("num_epochs", "")),  # --flow=auto has none
        f"{results['training_seconds']:.0f}",
    )


def _bars(axis, runs):
    """Draws bars from the baseline, since a log-likelihood has no natural zero."""
    place = -np.arange(len(runs))
    values = [results["test_log_likelihood"]["nats"] for _, results in runs]
    errors = [results["test_log_likelihood"]["two_standard_errors"] for _, results in runs]
    baseline = report.baseline(runs[0][1])[1]["nats"]
    axis.barh(place, np.subtract(values, baseline), left=baseline, color="#9db3c8")
    axis.errorbar(values, place, xerr=errors, fmt="o", color=plots.DATA, capsize=3)
    axis.axvline(baseline, color=plots.FLOW, linewidth=2)
    for x, y in zip(values, place, strict=True):
        axis.annotate(f"{x:.3f}", (x, y), (0, 6), textcoords="offset points", ha="center")
    axis.set_yticks(place, [f"{folder} ({r['flow']})" for folder, r in runs])
    axis.set_ylim(place[-1] - 0.6, 0.6)
    axis.use_sticky_edges = False
    axis.margins(x=0.06)


@program.command(CompareSettings, description=__doc__)
def cli(settings):
    """Prints the table of the runs, and draws their picture."""
    finished, others = load([pathlib.Path(folder) for folder in settings.folders])
    reasons = [f"{folder}: {why}" for folder, why in others]
    if not finished:
        raise RunDirectoryError(
            f"Expected at least one folder of a finished run; got {'; '.join(reasons)}."
        )
    for reason in reasons:
        print(reason, file=sys.stderr)
    print(table(finished))
    draw(finished, settings.picture)
    print(f"Picture: {settings.picture}", file=sys.stderr)
