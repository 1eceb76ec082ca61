"""The contents of a report, and how they are written as Markdown and HTML."""

import base64
import dataclasses
import html
import json
import pathlib

from markdown_it import MarkdownIt

from experiments.runs.atomic_write import atomic_write

_HTML = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width"><style>
:root {{ color-scheme: light dark; --line: #8886; --faint: #8881; }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto;
       padding: 0 1rem; }}
table {{ border-collapse: collapse; margin: 1rem 0; }}
th, td {{ padding: .3rem .8rem; border-bottom: 1px solid var(--line); text-align: left;
         vertical-align: top; }}
td[style] {{ font-variant-numeric: tabular-nums; white-space: nowrap; }}
th, tbody tr:first-child {{ font-weight: 600; }}
pre {{ background: var(--faint); padding: .8rem; overflow-x: auto; border-radius: 6px; }}
img {{ max-width: 100%; background: white; border-radius: 6px; }}
</style></head>
<body>
{body}</body>
</html>
"""


# Characters that would end a cell; names of the user's columns may have them.
_ESCAPES = str.maketrans({"\n": r"\n", "\r": r"\r", "|": r"\|"})


def table(header, rows):
    """Returns a table of texts as aligned text, which is Markdown too.

    All columns but the first and the last are numbers.
    """
    rows = [[cell.translate(_ESCAPES) for cell in row] for row in rows]
    widths = [max(2, *map(len, column)) for column in zip(header, *rows, strict=True)]
    first, *numbers, last = widths
    rule = ["-" * first, *("-" * (width - 1) + ":" for width in numbers), "-" * last]
    return "\n".join(_line(cells, widths) for cells in (header, rule, *rows))


def _line(cells, widths):
    sides = ["<", *(">" for _ in widths[2:]), "<"]
    padded = map("{:{}{}}".format, cells, sides, widths)
    return f"| {' | '.join(padded)} |"


@dataclasses.dataclass(frozen=True)
class Page:
    """The contents of a report; its pictures are in the same folder.

    Args:
      title: headline.
      note: one paragraph on units.
      header: names of the table's columns: the model, numbers, the source.
      rows: rows of the table, as texts; the first row is the run itself.
      findings: sentences about the results, by name.
      facts: sentences about the run, by name.
      command: the shell command that repeats the run.
      warning: the first sentence of the report; or empty.
    """

    title: str
    note: str
    header: tuple[str, ...]
    rows: list[tuple[str, ...]]
    findings: dict[str, str]
    facts: dict[str, str]
    command: str
    warning: str = ""

    def text(self):
        """Returns the warning, if any, and the table, as Markdown."""
        return "\n\n".join(filter(None, (self.warning, table(self.header, self.rows))))

    def markdown(self, captions):
        """Returns the report as Markdown."""
        lines = [
            f"# {self.title}",
            *([f"**{self.warning}**"] if self.warning else []),
            self.note,
            table(self.header, self.rows),
            _bullets(self.findings),
            *(f"{caption}\n\n![{caption}]({name})" for name, caption in captions.items()),
            "## The run",
            _bullets(self.facts),
            f"To repeat it:\n\n```\n{self.command}\n```",
        ]
        return "\n\n".join(lines) + "\n"

    def html(self, captions, folder):
        """Returns the report as HTML, with the pictures of a folder in it."""
        body = MarkdownIt("commonmark", {"html": False}).enable("table")
        body = body.render(self.markdown(captions))
        for name in captions:
            data = base64.b64encode(pathlib.Path(folder, name).read_bytes()).decode()
            body = body.replace(f'src="{name}"', f'src="data:image/png;base64,{data}"')
        return _HTML.format(title=html.escape(self.title), body=body)


def _bullets(facts):
    return "\n".join(f"- {name}: {value}" for name, value in facts.items())


def write(page, captions, results, run_dir):
    """Writes the report and the results, which mark the run as finished."""
    run_dir = pathlib.Path(run_dir)
    atomic_write(run_dir / "report.md", page.markdown(captions))
    atomic_write(run_dir / "report.html", page.html(captions, run_dir))
    # Last: this file marks the run as finished.
    atomic_write(run_dir / "results.json", json.dumps(results, indent=2) + "\n")
