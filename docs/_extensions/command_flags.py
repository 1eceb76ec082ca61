"""Tables of the flags of commands, written from their settings when the site is built.

In a page, the line "<!-- flags of NAME -->" becomes the table of `tfp-flows
NAME`; where nothing is built, as in a browser of the repository, it does not
show.
"""

import dataclasses
import importlib
import re
import sys
from pathlib import Path

_MARK = re.compile(r"^<!-- flags of ([\w.]+) -->$", re.MULTILINE)
_WORDS = {"at_least": "≥", "at_most": "≤", "above": "above", "below": "below"}


def setup(app: object) -> dict:
    """Replaces the marks of each page when it is read."""
    sys.path.insert(0, str(Path(__file__).parents[2]))
    app.connect("source-read", _replace)
    return {"parallel_read_safe": True}


def _replace(app, name, source):
    source[0] = _MARK.sub(lambda mark: table(mark[1]), source[0])


def settings_of(command: str) -> type:
    """Returns the class of settings of `tfp-flows <command>`, or of another program.

    Raises:
      ValueError: if there is none, or more than one.
    """
    commands = importlib.import_module("experiments.__main__").COMMANDS
    program, _ = commands.get(command, (command, ""))
    try:
        module = importlib.import_module(f"experiments.{program}.settings")
    except ModuleNotFoundError:  # a program of one file
        module = importlib.import_module(f"experiments.{program}")
    (found,) = (
        value
        for value in vars(module).values()
        if isinstance(value, type) and vars(value).get("PROGRAM") == command
    )
    return found


def table(command: str) -> str:
    """Returns the flags of a command as a table of Markdown, sorted by name."""
    settings = settings_of(command)
    fields = sorted(dataclasses.fields(settings), key=lambda field: field.name)
    lines = ["| flag and its default | |", "|---|---|"]
    for field in fields:
        is_flag = field.name != settings.POSITIONAL
        name = (
            f"--{field.name}={_default(field)}" if is_flag else f"{field.name.upper()} ..."
        )
        lines.append(f"| `{name}` | {_escaped(field.metadata['help'])}{_values(field)} |")
    return "\n".join(lines)


def _default(field):
    if isinstance(field.default, tuple):
        return ",".join(map(str, field.default))
    return str(field.default)


def _values(field):
    one_of, bounds = field.metadata["one_of"], field.metadata["bounds"]
    if one_of is not None:
        return " One of " + ", ".join(f"`{value}`" for value in sorted(one_of)) + "."
    words = " and ".join(f"{_WORDS[name]} {bound}" for name, bound in bounds.items())
    return f" ({words})" if words else ""


def _escaped(text):
    parts = text.split("`")  # every other one is code
    parts[::2] = [re.sub(r"([|<>*_])", r"\\\1", part) for part in parts[::2]]
    return "`".join(parts)
