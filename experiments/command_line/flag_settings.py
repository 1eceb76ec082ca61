"""Settings as text: each field of a dataclass is also the flag of that name."""

import csv
import dataclasses
import io

from experiments.command_line.kinds import check_kinds
from experiments.command_line.usage import UsageError
from experiments.runs.atomic_write import atomic_write

__all__ = ["FlagSettings", "field"]


def field(default, text):
    """Returns a field of a `FlagSettings`, with the help of its flag."""
    return dataclasses.field(default=default, metadata={"help": text})


class FlagSettings:
    """Base of a frozen dataclass whose fields are made by `field`.

    Raises:
      UsageError: if a field holds a value of another type.
    """

    def __post_init__(self):
        check_kinds(self, UsageError)

    def write_flags(self, path):
        """Writes the settings so that `--flagfile=path` repeats the run."""
        atomic_write(path, "\n".join(self.flags()) + "\n")

    def flags(self, *, only_changed=False):
        """Returns `--name=value` for every field, or for those that are not the default."""
        return [
            f"--{field.name}={_as_text(getattr(self, field.name))}"
            for field in dataclasses.fields(self)
            if not only_changed or getattr(self, field.name) != field.default
        ]


def _as_text(value):
    if not isinstance(value, (tuple, list)):
        return str(value)
    # As flags of lists are read: an entry with a comma or a quote is quoted.
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(value)
    return text.getvalue().removesuffix("\n")
