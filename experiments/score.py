"""Scores the rows of a table under a fitted model, in memory that does not grow.

    python -m experiments.score --model=RUN_DIR --csv=new.csv --out=scored.csv

Each row of the table gets a line of the file: its log-likelihood in nats, and the names of
the columns whose number is less or greater than all that the model was fitted to. The same
command goes on with what was interrupted.
"""

import dataclasses
import sys

import numpy as np

from experiments.command_line import program
from experiments.command_line.flag_settings import field
from experiments.data import DataError
from experiments.data.text_table import TextTable
from experiments.fitted.fitted_model import FittedModel
from experiments.fitted.resumable_file import ResumableFile
from experiments.fitted.row_tables import ahead
from experiments.fitted.row_tables import as_cells
from experiments.fitted.row_tables import as_text
from experiments.fitted.row_tables import bar
from experiments.fitted.row_tables import in_parts
from experiments.fitted.table_settings import TableSettings
from experiments.runs.run_directory import RunDirectoryError

_ROWS_A_CALL = 1 << 14
_HEADER = "log_likelihood,outside\n"
_START = {"end": 0, "line": 0, "rows": 0, "total": 0.0, "outside": 0}


@dataclasses.dataclass(frozen=True)
class ScoreSettings(TableSettings):
    """Which rows are scored, under which model."""

    PROGRAM = "score"
    REQUIRED = ("model", "csv", "out")
    READ = ("csv",)

    csv: str = field("", "Table of rows, with the columns of the model by name.")


@dataclasses.dataclass(frozen=True)
class Scores:
    """What was scored.

    Args:
      num_rows: how many rows.
      mean: their mean log-likelihood, in nats.
      num_outside: rows with a number less or greater than all that were fitted.
      ignored: names of columns of the table that the model does not know.
    """

    num_rows: int
    mean: float
    num_outside: int
    ignored: tuple[str, ...]


def score(settings):
    """Writes the log-likelihoods of the rows of a table and returns `Scores`.

    Args:
      settings: a `ScoreSettings`.

    Raises:
      RunDirectoryError: if there is no such model, or `settings.out` is taken.
      DataError: if there is no such table, or a row or a column is not as the model's.
    """
    model = FittedModel(settings.model)
    table = TextTable(settings.csv, decimal=settings.decimal, encoding=settings.encoding)
    names = (*model.modelled, *model.context)
    positions = model.positions(table, names)
    show = bar(table.size, settings.progress)

    def pieces(at):
        blocks = table.blocks(positions, end=at["end"], line=at["line"])
        for block in ahead(blocks):
            text, found = _scored(model, block.frame, names)
            at = {name: at[name] + found.get(name, 0) for name in _START}
            at |= {"end": block.end, "line": block.next_line}
            yield text, at
            show(block.end)
        if not at["rows"]:
            raise DataError(f"Expected rows of numbers in {settings.csv}; got none.")

    out = ResumableFile(settings.out, settings.origin(model.path))
    at = out.write((_HEADER, _START), pieces)
    ignored = set(table.names or ()) - {table.label(i) for i in positions}
    in_order = [name for name in table.names or () if name in ignored]
    return Scores(at["rows"], at["total"] / at["rows"], at["outside"], tuple(in_order))


def cli(argv):
    """Runs a command line; its exit status is 2 for wrong use, and 1 for wrong data."""
    refusals = (DataError, RunDirectoryError, OSError)
    return program.run(argv, _main, ScoreSettings, description=__doc__, refusals=refusals)


def _scored(model, frame, names):
    """Returns the lines of a block of rows, and what they add to a position."""
    rows = model.rows(frame, names)
    nats = in_parts(model.log_prob, rows, rows_a_call=_ROWS_A_CALL)
    least, greatest = model.ranges(names)
    outside = (rows < least) | (rows > greatest)
    flags = np.full(len(rows), "", object)
    for i in np.flatnonzero(outside.any(axis=1)):
        flags[i] = " ".join(names[j] for j in np.flatnonzero(outside[i]))
    found = {
        "rows": len(rows),
        "total": float(nats.sum(dtype=np.float64)),
        "outside": int(outside.any(axis=1).sum()),
    }
    return as_text(zip(as_cells(nats), flags, strict=True)), found


def _main(settings):
    scores = score(settings)
    lines = [f"{scores.num_rows:,} rows: {scores.mean:.4f} nats in the mean"]
    if scores.ignored:
        lines.append(f"columns that the model does not know: {list(scores.ignored)}")
    if scores.num_outside:
        lines.append(
            f"{scores.num_outside:,} rows have a number beyond all that were fitted; "
            f"`outside` in {settings.out} says in which columns"
        )
    print("\n".join(lines))


if __name__ == "__main__":
    sys.exit(cli(sys.argv))
