"""Docstrings' Markdown as what Sphinx reads: fenced blocks, and names between backticks."""

import re
from collections.abc import Iterator

from sphinx.application import Sphinx

_FENCE = re.compile(r"^(\s*)```(\w*)\s*$")
_NAME = re.compile(r"``([^`]*)``|`([^`]*)`|\|")


def setup(app: Sphinx) -> dict:
    """Translates each docstring before napoleon reads its sections."""
    app.connect("autodoc-process-docstring", _translate, priority=100)
    return {"parallel_read_safe": True}


def _translate(app, what, name, value, options, lines):
    if what == "property" and lines:  # napoleon would take words before a colon for a type
        lines[0] = lines[0].replace(": ", " – ", 1)
    lines[:] = list(_translated(lines))


def _translated(lines: list[str]) -> Iterator[str]:
    inside = False
    # A name may go on in the next line, so text is searched whole and not line by line.
    for block in re.split(r"^(\s*```\w*\s*)$", "\n".join(lines), flags=re.MULTILINE):
        fence = _FENCE.match(block.strip("\n"))
        if fence:
            inside = not inside
            if inside:
                language = "text" if fence[2] in ("none", "") else fence[2]
                yield from ("", f"{fence[1]}.. code-block:: {language}", "")
            else:
                yield ""
        elif inside:
            yield from ("    " + line for line in block.split("\n"))
        else:
            yield from _NAME.sub(_literal, block).split("\n")


def _literal(name: re.Match) -> str:
    if name[0] == "|":  # of an absolute value, not of a substitution
        return "\\|"
    return f"``{name[1] or name[2]}``\\ "
