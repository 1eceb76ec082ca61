"""Predicts the columns of a model, given their context, by quantiles for each row.

    tfp-flows predict --model=RUN_DIR --csv=new.csv --out=predicted.csv

The table needs only the columns of the context. The file has quantiles of each modelled
column: the median and the ends of an interval of 90 %, or the levels of `--levels`. For one
modelled column they are exact; for several they are quantiles of `--draws` draws. The same
command continues an interrupted file.
"""

import dataclasses

from experiments.command_line import program
from experiments.command_line.flag_settings import field
from experiments.fitted import command
from experiments.fitted.command import TableSettings
from experiments.fitted.open_model import open_model
from experiments.fitted.row_tables import as_text
from experiments.runs.run_directory import RunDirectoryError


@dataclasses.dataclass(frozen=True)
class PredictSettings(TableSettings):
    """The model, the rows, and the predictions to make."""

    PROGRAM = "predict"
    REQUIRED = ("model", "csv", "out")
    READ = ("csv",)

    csv: str = field("", "Table of rows, with the columns of the context by name.")
    levels: tuple[str, ...] = field(
        ("0.05", "0.5", "0.95"), "Levels of the quantiles, between 0 and 1."
    )
    draws: int = field(1000, "Draws per row for a model of several columns.", at_least=2)
    seed: int = field(0, "Seed of the draws.", at_least=0)
    clip_context: bool = field(
        False, "Whether impossible numbers of the context are clipped, not refused."
    )

    def __post_init__(self):
        super().__post_init__()
        if not self.levels or not all(map(_is_level, self.levels)):
            self.refuse("levels", "to hold numbers between 0 and 1")
        if len(set(map(float, self.levels))) < len(self.levels):
            self.refuse("levels", "to hold different numbers")


def predict(settings):
    """Writes quantiles for the rows of a table and returns how many rows there are.

    Raises:
      RunDirectoryError: if there is no such model, it has no context, or `settings.out` is
        taken.
      DataError: if a row or a column does not fit the model's context.
    """
    model = open_model(settings.model)
    if not model.context:
        raise RunDirectoryError(
            f"Expected a conditional model in {model.path}; got one without a context."
        )
    levels = [float(level) for level in settings.levels]

    def process(context, rows_before):
        columns = model.predict(context, levels, settings, rows_before)
        return as_text(zip(*columns, strict=True)), {"rows": len(context)}

    table = settings.open_table(settings.csv)
    header = as_text([model.predicted_names(settings.levels)])
    arguments = table, model.context, header, {"rows": 0}, process
    return command.write_rows(settings, model, *arguments)["rows"]


def _is_level(text):
    try:
        return 0.0 < float(text) < 1.0
    except ValueError:
        return False


@program.command(PredictSettings, description=__doc__)
def cli(settings):
    """Predicts, and prints the number of rows."""
    program.stop_at_once()
    print(f"{predict(settings):,} rows in {settings.out}")
