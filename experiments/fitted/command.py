"""The command line of a program that reads a fitted model and writes a table."""

import dataclasses
import hashlib
import pathlib

from experiments.command_line.flag_settings import FlagSettings, field
from experiments.command_line.training_settings import check_encoding
from experiments.data import DataError
from experiments.data.text_table import TextTable
from experiments.fitted import row_tables
from experiments.fitted.resumable_file import ResumableFile

# Endings of files that are not plain text.
_OTHER_FORMATS = (".parquet", ".feather", ".xlsx", ".xls", ".gz", ".zip", ".npz", ".npy")


@dataclasses.dataclass(frozen=True)
class TableSettings(FlagSettings):
    """A model, and the table to write."""

    model: str = field("", "Folder of a finished run, or its model.keras.")
    out: str = field("", "Table to write, or to continue.")
    decimal: str = field(".", "Decimal mark of the numbers to read.", one_of=(".", ","))
    encoding: str = field("utf-8", "Text encoding of the table to read.")
    progress: int = field(
        -1, "Progress bar; 0: none; 1: always; -1: on a terminal.", at_least=-1, at_most=1
    )

    REQUIRED = ("model", "out")
    READ = ()

    def __post_init__(self):
        super().__post_init__()
        check_encoding(self.encoding)
        if self.out == "-":
            self.refuse("out", "to name a file, since the standard output cannot go on")
        if pathlib.Path(self.out).is_dir():
            self.refuse("out", "to name a file, not a folder")
        if self.out.lower().endswith(_OTHER_FORMATS):
            self.refuse("out", "to end as a table of text does, such as in .csv")

    def open_table(self, path):
        """Returns the `TextTable` at a path."""
        return TextTable(path, decimal=self.decimal, encoding=self.encoding)

    def origin(self, model_path):
        """Returns plain data that determine the table to write; a model's file is part."""
        free = ("model", "out", "progress", *self.READ)
        plain = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        given = {name: value for name, value in plain.items() if name not in free}
        digest = digest_of(pathlib.Path(model_path).read_bytes())
        read = {name: state_of(plain[name]) for name in self.READ if plain[name]}
        return given | {"model": digest} | read


def write_rows(settings, model, table, names, header, counts, process):
    """Writes lines for the rows of a table and returns the last position.

    Args:
      settings: a `TableSettings` with `csv`.
      model: what `open_model` returns.
      table: the `TextTable` of `settings.csv`.
      names: names of the columns to read.
      header: first line of the file.
      counts: initial values of counts, by name; one is "rows".
      process: function of some rows and the number of rows before them; returns the
        lines to write, and increments of the counts.

    Raises:
      DataError: if a row or a column does not fit the model.
      RunDirectoryError: if `settings.out` is taken.
    """
    positions = model.positions(table, names)
    show = row_tables.bar(table.size, settings.progress)

    def pieces(at):
        start = {"end": at["end"], "line": at["line"]}
        blocks = table.blocks(positions, as_text=model.reads_text, **start)
        for block in row_tables.ahead(blocks):
            rows = model.rows(block, names, settings.decimal)
            text, found = process(rows, at["rows"])
            at = {name: at[name] + found[name] for name in counts}
            at |= {"end": block.end, "line": block.next_line}
            yield text, at
            show(block.end)
        if not at["rows"]:
            raise DataError(f"Expected rows of numbers in {settings.csv}; got none.")

    out = ResumableFile(settings.out, settings.origin(model.path))
    return out.write((header, {"end": 0, "line": 0, **counts}), pieces)


def digest_of(content):
    """Returns a digest of bytes, or of a list of names."""
    content = content if isinstance(content, bytes) else "\0".join(content).encode()
    return hashlib.sha256(content).hexdigest()


def state_of(path):
    """Returns size and time of change of a file."""
    status = pathlib.Path(path).stat()
    return [status.st_size, status.st_mtime_ns]
