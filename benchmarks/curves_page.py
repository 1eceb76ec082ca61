"""The page of the curves of cost, with tables and pictures of all measurements."""

import pathlib
import textwrap

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.ticker import LogLocator

from benchmarks.timing import markdown
from experiments.reports import facts, plots
from experiments.runs.atomic_write import atomic_write

_PLACE = ["flow", "axis", "task", "value", "contender"]
COLUMNS = [*_PLACE, "median", "least", "greatest", "note"]
_AXES = {
    "event_size": "variables, D",
    "num_steps": "steps",
    "batch_size": "rows",
    "num_bins": "bins",
    "num_cpus": "processors",
}
_TASKS = {
    "train": "training step, ms",
    "score": "scoring, ms",
    "sample": "sampling, ms",
    "memory": "memory of training, MiB",
}
_COLORS = {"tfp_flows": "C3", "nflows": "C0", "zuko": "C2", "TFP": "C1", "flowjax": "C4"}
_ORDER = {name: place for place, name in enumerate([*_AXES, *_TASKS, *_COLORS])}
_HOW = """`python -m benchmarks.curves` wrote this page: medians of turns
(least-greatest), float32. Sizes are the flows' defaults, 16 variables, 512 rows and all
processors, except for the one that varies. Ours and TFP's flows use XLA; for PyTorch's
peers it is the faster of one and two threads. Memory is the peak of a training step beyond
that of one row. A cell is empty if the cell before took too long or nothing was
measured."""


def keep(new, folder):
    """Adds a table of `COLUMNS` to a folder, and updates its page and pictures."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "curves.csv"
    rows = merged(pd.read_csv(file), new) if file.exists() else new
    atomic_write(file, rows.to_csv(index=False, float_format="%.4g"))
    made = {"versions": facts.versions(), "machine": facts.machine()}
    where = "; ".join(facts.describe_provenance(made).values())
    parts = [f"# Cost against size\n\n{_HOW}\n\n{where}."]
    for flow, part in rows.groupby("flow"):
        picture = f"curves_{flow.lower()}.png"
        draw(part, folder / picture)
        parts += [f"## {flow}", f"![Time and memory of {flow}]({picture})", table(part)]
    atomic_write(folder / "curves.md", "\n\n".join(parts) + "\n")


def merged(old, new):
    """Returns the rows of both tables in order; `new` replaces equal points."""
    rows = pd.concat([old, new]).drop_duplicates(_PLACE, keep="last")
    return rows.sort_values(
        _PLACE, key=lambda column: column.map(_ORDER).fillna(column), ignore_index=True
    )


def table(rows):
    """Returns a Markdown table for each axis in the rows of a flow."""
    return "\n\n".join(
        _table(axis, part) for axis, part in rows.groupby("axis", sort=False)
    )


def _table(axis, rows):
    values = sorted(rows["value"].unique())
    header = ["what", "contender", *(f"{_AXES[axis]} = {value}" for value in values)]
    lines = []
    for (task, contender), part in rows.groupby(["task", "contender"], sort=False):
        cells = {row.value: _cell(row) for row in part.itertuples()}
        lines.append([_TASKS[task], contender, *(cells.get(v, "") for v in values)])
    return f"Measured {_notes(rows)}:\n\n{markdown(header, lines)}"


def _notes(rows):
    """The notes about times, or about memory if there are no times."""
    times = rows[rows["task"] != "memory"]
    return "; ".join((rows if times.empty else times)["note"].unique())


def _cell(row):
    spread = f" ({row.least:.3g}-{row.greatest:.3g})" if row.least < row.greatest else ""
    return f"{row.median:.3g}{spread}"


def draw(rows, path):
    """Draws the rows of a flow in logarithms: a panel per sweep, a column per task."""
    axes, tasks = rows["axis"].unique(), rows["task"].unique()
    figure, panels = plt.subplots(
        len(axes),
        len(tasks),
        figsize=(3.3 * len(tasks), 2.7 * len(axes) + 0.5),
        squeeze=False,
        layout="constrained",
    )
    for line, axis in zip(panels, axes, strict=True):
        for panel, task in zip(line, tasks, strict=True):
            _panel(panel, axis, task, rows[(rows["axis"] == axis) & (rows["task"] == task)])
    lines = {line.get_label(): line for panel in panels.flat for line in panel.lines}
    figure.legend(
        lines.values(), lines, loc="outside upper center", ncols=len(lines), frameon=False
    )
    plots.save(figure, path)


def _panel(panel, axis, task, rows):
    rows = rows[rows["median"] > 0]
    panel.set_visible(len(rows) > 0)
    for contender, part in rows.groupby("contender", sort=False):
        color = _COLORS.get(contender)
        panel.plot(part["value"], part["median"], "o-", ms=3, color=color, label=contender)
        panel.fill_between(
            part["value"], part["least"], part["greatest"], color=color, alpha=0.2, lw=0
        )
    panel.set(xscale="log", yscale="log", title=_TASKS[task])
    panel.set_xlabel(f"{_AXES[axis]}\n{textwrap.fill(_notes(rows), 36)}")
    values = sorted(rows["value"].unique())
    panel.set_xticks(values, [f"{value:,}" for value in values])
    panel.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    panel.yaxis.set_major_formatter("{x:g}")
    panel.minorticks_off()
    panel.grid(alpha=0.3)
