"""The command line of a program that reads a fitted model and writes a table."""

from experiments.command_line import program
from experiments.data import DataError
from experiments.runs import interruption
from experiments.runs.run_directory import RunDirectoryError

__all__ = ["run"]

_REFUSALS = (DataError, RunDirectoryError, OSError)


def run(argv, main, settings_class, description):
    """Runs a command line; its exit status is 2 for wrong use, and 1 for wrong data.

    Args:
      argv: the command line.
      main: function of the settings.
      settings_class: a `TableSettings`.
      description: what `--help` begins with.
    """

    def interruptible(settings):
        interruption.stop_at_once()
        main(settings)

    return program.run(
        argv, interruptible, settings_class, description=description, refusals=_REFUSALS
    )
