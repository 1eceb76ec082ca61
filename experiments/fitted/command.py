"""The command line of a program that reads a fitted model and writes a table."""

import dataclasses
import hashlib
import pathlib

from experiments.command_line import program
from experiments.command_line.flag_settings import FlagSettings
from experiments.command_line.flag_settings import field
from experiments.command_line.training_settings import check_encoding
from experiments.data import DataError
from experiments.runs.run_directory import RunDirectoryError

_REFUSALS = (DataError, RunDirectoryError, OSError)


def run(argv, main, settings_class, description):
    """Runs a command line; its exit status is 2 for wrong use, and 1 for wrong data.

    Args:
      argv: the command line.
      main: function of the settings.
      settings_class: a `TableSettings`.
      description: the first text of `--help`.
    """

    def interruptible(settings):
        program.stop_at_once()
        main(settings)

    return program.run(
        argv, interruptible, settings_class, description=description, refusals=_REFUSALS
    )


@dataclasses.dataclass(frozen=True)
class TableSettings(FlagSettings):
    """A model, and the table that is written."""

    model: str = field("", "Folder of a finished run, or its model.keras.")
    out: str = field("", "Table to write; what was interrupted goes on there.")
    decimal: str = field(".", "Decimal mark of the numbers that are read.", one_of=".,")
    encoding: str = field("utf-8", "Encoding of the text that is read.")
    progress: int = field(
        -1, "0: no progress bar; 1: one; -1: one on a terminal.", at_least=-1, at_most=1
    )

    REQUIRED = ("model", "out")
    READ = ()

    def __post_init__(self):
        super().__post_init__()
        for name in self.REQUIRED:
            if not getattr(self, name):
                self.refuse(name, "to name a file")
        check_encoding(self.encoding)

    def origin(self, model_path):
        """Returns what determines the table that is written, as plain data.

        Args:
          model_path: of the model's file.
        """
        free = ("model", "out", "progress", *self.READ)
        plain = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        given = {name: value for name, value in plain.items() if name not in free}
        digest = digest_of(pathlib.Path(model_path).read_bytes())
        read = {name: _state(plain[name]) for name in self.READ if plain[name]}
        return given | {"model": digest} | read


def digest_of(content):
    """Returns a digest of bytes, or of names."""
    content = content if isinstance(content, bytes) else "\0".join(content).encode()
    return hashlib.sha256(content).hexdigest()


def _state(path):
    """Returns what changes when a file does."""
    status = pathlib.Path(path).stat()
    return [status.st_size, status.st_mtime_ns]
