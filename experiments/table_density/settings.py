"""Everything that determines the density of a table, with its defaults."""

import dataclasses

from experiments.command_line import training_settings
from experiments.command_line.flag_settings import FlagSettings, field

DROPPED = "drop"


@dataclasses.dataclass(frozen=True)
class TableFitSettings(FlagSettings):
    """A table and a fit; each field is also the flag of that name, its text the help."""

    REQUIRED = ("csv_path",)

    csv_path: str = field("", "Text table with a header, or a .parquet file.")
    decimal: str = field(".", "Decimal mark of the numbers.", one_of=(".", ","))
    encoding: str = field("utf-8", "Text encoding.")
    kinds: tuple[str, ...] = field(
        (),
        "Kinds of columns, in place of the detected ones: hour=periodic:0:24, "
        "quality=categorical, size=ordered:low:mid:high, id=drop.",
    )
    context_columns: tuple[str, ...] = field((), "Columns that condition the others.")
    missing: str = field(
        "refuse",
        "What to do with missing cells: refuse them, drop their rows, or model them "
        "(indicator).",
        one_of=("refuse", DROPPED, "indicator"),
    )
    validation_share: float = field(
        0.1,
        "Share of the rows for early stopping; each member has its own validation rows.",
        above=0,
        below=1,
    )
    test_share: float = field(0.1, "Share of the rows for tests.", above=0, below=1)
    run_dir: str = field("runs/table_density", "Folder that the run writes into.")
    num_members: int = field(
        0, "Networks of the ensemble; 0: chosen by the number of rows.", at_least=0
    )
    num_bins: int = field(
        0, "Bins of each spline; 0: chosen by the number of rows.", at_least=0
    )
    hidden_units: tuple[int, ...] = field(
        (),
        "Widths of the hidden layers of each network, all equal; by default, chosen by the "
        "number of rows.",
    )
    dropout: float = field(
        -1.0,
        "Dropout rate of hidden units; -1: chosen by the number of rows.",
        at_least=-1,
        below=1,
    )
    epochs: int = field(500, "Passes over the training rows, at most.", at_least=1)
    batch_size: int = field(
        0, "Rows per step; 0: chosen by the number of rows.", at_least=0, at_most=2**20
    )
    learning_rate: float = field(2e-3, "Adam's step size.", above=0)
    patience: int = field(
        0,
        "Epochs without a better validation log-likelihood before training stops; 0: "
        "chosen by the number of rows.",
        at_least=0,
    )
    seed: int = field(0, "Seed of weights, order of rows and samples.", at_least=0)
    data_seed: int = field(0, "Seed of the choice of test rows.", at_least=0)
    progress: int = field(
        -1, "0, -1: silent; 1: a bar; 2: a line per epoch.", at_least=-1, at_most=2
    )

    def __post_init__(self):
        super().__post_init__()
        training_settings.check_shares(self)
        training_settings.check_encoding(self.encoding)
        training_settings.check_run_dir(self)
        parsed_kinds(self)
        if len(set(self.context_columns)) < len(self.context_columns):
            self.refuse("context_columns", "to name different columns")


@dataclasses.dataclass(frozen=True)
class TableDensitySettings(TableFitSettings):
    """One run of `table`: a fit, and what is reported."""

    PROGRAM = "table"

    report: str = field(
        "density",
        "What is reported: the density of the test rows, or also synthetic rows beside "
        "them.",
        one_of=("density", "synthetic"),
    )
    target: str = field(
        "", "Column that models trained on synthetic rows predict, with --report=synthetic."
    )
    exclude_copies: bool = field(
        False, "Draw synthetic rows that equal a training row again. No promise of privacy."
    )

    def __post_init__(self):
        super().__post_init__()
        if self.report == "synthetic" and self.context_columns:
            self.refuse("context_columns", "to be empty with --report=synthetic")
        if self.report != "synthetic" and (self.target or self.exclude_copies):
            self.refuse("report", "'synthetic' with --target and --exclude_copies")


def parsed_kinds(settings):
    """Returns the entries of `--kinds` by column: kind, and ends or values if given.

    Raises:
      UsageError: if an entry is not `name=kind`, `name=kind:low:high` or, for texts in
        their order, `name=ordered:first:second:third`; or if a column has two.
    """
    entries = [_parsed(settings, text) for text in settings.kinds]
    if len(dict(entries)) < len(entries):
        settings.refuse("kinds", "with one kind for each column")
    return dict(entries)


def _parsed(settings, text):
    name, equals, rest = text.rpartition("=")
    kind, *ends = rest.split(":")
    if name and kind == "ordered" and ends:
        return name, {"kind": kind, "values": ends}
    try:
        ends = [float(end) if end else None for end in ends]
    except ValueError:
        ends = [None] * 3
    if not (name and equals and kind) or len(ends) > 2:
        settings.refuse("kinds", "as name=kind or name=kind:low:high")
    return name, {"kind": kind, **dict(zip(("low", "high"), ends, strict=False))}
