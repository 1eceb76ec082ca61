"""Predicts what a model was fitted to, given its context, as quantiles a row.

    python -m experiments.predict --model=RUN_DIR --csv=new.csv --out=predicted.csv

For each row of the table, which needs the columns of the context only, the file has
quantiles of each modelled column: the median, and the ends of an interval of 90 %, unless
`--levels` says otherwise. Of one modelled column they are exact; of several, each column's
are those of `--draws` draws. The same command goes on with what was interrupted.
"""

import dataclasses
import sys

import numpy as np

from experiments.command_line.flag_settings import field
from experiments.data import DataError
from experiments.data.text_table import TextTable
from experiments.fitted import command
from experiments.fitted.fitted_model import FittedModel
from experiments.fitted.resumable_file import ResumableFile
from experiments.fitted.row_tables import ahead
from experiments.fitted.row_tables import as_cells
from experiments.fitted.row_tables import as_text
from experiments.fitted.row_tables import bar
from experiments.fitted.row_tables import in_parts
from experiments.fitted.table_settings import TableSettings
from experiments.runs.run_directory import RunDirectoryError

_VALUES_A_CALL = 1 << 20
_START = {"end": 0, "line": 0, "rows": 0}


@dataclasses.dataclass(frozen=True)
class PredictSettings(TableSettings):
    """What is predicted, for which rows, by which model."""

    PROGRAM = "predict"
    REQUIRED = ("model", "csv", "out")
    READ = ("csv",)

    csv: str = field("", "Table of rows, with the columns of the context by name.")
    levels: tuple[str, ...] = field(
        ("0.05", "0.5", "0.95"), "Levels of the quantiles, between 0 and 1."
    )
    draws: int = field(
        1000, "Draws for each row, where several columns are modelled.", at_least=2
    )
    seed: int = field(0, "Integer that determines the draws.", at_least=0)

    def __post_init__(self):
        super().__post_init__()
        if not self.levels or not all(map(_is_level, self.levels)):
            self.refuse("levels", "to hold numbers between 0 and 1")


def predict(settings):
    """Writes quantiles for the rows of a table and returns how many rows there are.

    Args:
      settings: a `PredictSettings`.

    Raises:
      RunDirectoryError: if there is no such model, it has no context, or `settings.out` is
        taken.
      DataError: if a row or a column is not as the model's context.
    """
    model = FittedModel(settings.model)
    if not model.context:
        raise RunDirectoryError(
            f"Expected a conditional model in {model.path}; got one without a context, "
            "whose columns no others predict."
        )
    table = TextTable(settings.csv, decimal=settings.decimal, encoding=settings.encoding)
    positions = model.positions(table, model.context)
    show = bar(table.size, settings.progress)

    def pieces(at):
        blocks = table.blocks(positions, end=at["end"], line=at["line"])
        for block in ahead(blocks):
            context = model.rows(block.frame, model.context)
            text = _predicted(model, context, settings, at["rows"])
            rows = at["rows"] + len(context)
            at = {"end": block.end, "line": block.next_line, "rows": rows}
            yield text, at
            show(block.end)
        if not at["rows"]:
            raise DataError(f"Expected rows of numbers in {settings.csv}; got none.")

    names = [f"{name} {level}" for name in model.modelled for level in settings.levels]
    out = ResumableFile(settings.out, settings.origin(model.path))
    return out.write((as_text([names]), _START), pieces)["rows"]


def cli(argv):
    """Runs a command line; its exit status is 2 for wrong use, and 1 for wrong data."""
    return command.run(argv, _main, PredictSettings, __doc__)


def _predicted(model, context, settings, rows_before):
    """Returns the lines of contexts `[N, C]`."""
    levels = np.array(settings.levels, np.float64)
    is_exact = len(model.modelled) == 1
    values_a_row = len(levels) if is_exact else settings.draws * len(model.modelled)
    numbered = np.arange(rows_before, rows_before + len(context))

    def quantiles(context, rows):
        seed = (settings.seed, int(rows[0] % 2**31))
        return model.quantiles(levels, context, draws=settings.draws, seed=seed)

    found = in_parts(
        *(quantiles, context, numbered),
        rows_a_call=max(1, _VALUES_A_CALL // values_a_row),
    )
    columns = found.astype(model.dtype).reshape(len(context), -1).T
    return as_text(zip(*map(as_cells, columns), strict=True))


def _is_level(text):
    try:
        return 0.0 < float(text) < 1.0
    except ValueError:
        return False


def _main(settings):
    print(f"{predict(settings):,} rows in {settings.out}")


if __name__ == "__main__":
    sys.exit(cli(sys.argv))
