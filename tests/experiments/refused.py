"""The one way in which every program refuses."""

from experiments.__main__ import COMMANDS
from experiments.command_line import program


def assert_refused(command, arguments, status, words, capsys, monkeypatch):
    """Checks that a command line ends with a status and one line that says why.

    Returns what it has printed before.

    Args:
      command: module with `cli`.
      arguments: of the command line.
      status: that it must end with.
      words: all of which the line must have.
      capsys: pytest's.
      monkeypatch: pytest's.
    """
    monkeypatch.setattr(program, "stop_at_once", lambda *_: None)
    capsys.readouterr()
    assert command.cli(["program", *arguments]) == status
    output, error = capsys.readouterr()
    *progress, line = error.splitlines()
    assert all(text.startswith("Downloading ") for text in progress)
    module = command.__name__.removeprefix("experiments.").removesuffix(".experiment")
    (name,) = (name for name, (found, _) in COMMANDS.items() if found == module)
    assert line.startswith(f"{name}: ")
    for part in words:
        assert part in line
    return output
