"""Draws rows of a fitted model into a table, in constant memory.

    tfp-flows sample --model=RUN_DIR --rows=1000 --out=samples.csv
    tfp-flows sample --model=RUN_DIR --given=conditions.csv --out=samples.csv

A conditional model needs `--given`, a table with the columns of its context. For each row
of it the new table has `--rows` rows, with the context after the sample. The same command
continues an interrupted file with the same draws.
"""

import dataclasses

import numpy as np

from experiments.command_line import program
from experiments.command_line.flag_settings import field
from experiments.data import DataError
from experiments.fitted.command import TableSettings
from experiments.fitted.open_model import open_model
from experiments.fitted.resumable_file import ResumableFile
from experiments.fitted.row_tables import as_text, bar

_ROWS_A_CALL = 1 << 14
# `within` counts the rows drawn so far in the present block of conditions.
_START = {"end": 0, "line": 0, "within": 0, "rows": 0, "calls": 0}


@dataclasses.dataclass(frozen=True)
class SampleSettings(TableSettings):
    """The model, and the rows to draw from it."""

    PROGRAM = "sample"
    READ = ("given",)

    rows: int = field(1, "Rows to draw; with --given, per row of it.", at_least=1)
    given: str = field("", "Table of conditions, with the columns of the context by name.")
    seed: int = field(0, "Seed of the draws.", at_least=0)


def sample(settings):
    """Writes rows drawn from a model and returns their number.

    Raises:
      UsageError: if a conditional model has no `given`, or another model has one.
      RunDirectoryError: if the model is missing, or `settings.out` is taken.
      DataError: if the conditions do not fit the model's context.
    """
    model = open_model(settings.model)
    if bool(settings.given) != bool(model.context):
        needs = f"a table with columns {list(model.context)}" if model.context else "none"
        settings.refuse("given", f"to be {needs}, for the model in {model.path}")
    names = (*model.modelled, *model.context)

    def pieces(at):
        for position, context in _contexts(model, settings, at):
            drawn = model.sample([settings.seed, at["calls"]], context)
            counts = {"rows": at["rows"] + len(context), "calls": at["calls"] + 1}
            at = {**position, **counts}
            yield as_text(zip(*drawn, strict=True)), at
        if not at["rows"]:
            raise DataError(f"Expected rows of conditions in {settings.given}; got none.")

    out = ResumableFile(settings.out, settings.origin(model.path))
    return out.write((as_text([names]), _START), pieces)["rows"]


def _contexts(model, settings, at):
    """Yields positions, and contexts `[n, C]`, one for each row to draw."""
    for end, line, next_position, conditions in _blocks(model, settings, at):
        count = len(conditions) * settings.rows
        for start in range(at["within"], count, _ROWS_A_CALL):
            stop = min(start + _ROWS_A_CALL, count)
            position = {"end": end, "line": line, "within": stop}
            rows = np.arange(start, stop) // settings.rows
            context = conditions.take(rows, axis=0)  # an array or a data frame
            yield next_position if stop == count else position, context
        at = at | {"within": 0}


def _blocks(model, settings, at):
    """Yields the start of a block of conditions, the position after it, and its rows."""
    if not model.context:
        if not at["calls"] or at["within"]:
            yield 0, 0, at | {"within": 0}, model.no_conditions()
        return
    table = settings.open_table(settings.given)
    positions = model.positions(table, model.context)
    show = bar(table.size, settings.progress)
    end, line = at["end"], at["line"]
    as_text = model.reads_text
    for block in table.blocks(positions, as_text=as_text, end=end, line=line):
        after = {"end": block.end, "line": block.next_line, "within": 0}
        yield end, line, after, model.rows(block, model.context, settings.decimal)
        end, line = block.end, block.next_line
        show(end)


@program.command(SampleSettings, description=__doc__)
def cli(settings):
    """Draws, and prints the number of rows."""
    program.stop_at_once()
    print(f"{sample(settings):,} rows in {settings.out}")
