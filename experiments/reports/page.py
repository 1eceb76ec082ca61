"""The contents of a report, and how they are written as Markdown and HTML."""

import base64
import dataclasses
import html
import json
import pathlib

from experiments.runs.atomic_write import atomic_write


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
        return "\n\n".join(part for part in (self.warning, self.table()) if part)

    def table(self):
        """Returns the table as aligned text, which is Markdown too."""
        widths = [
            max(map(len, column)) for column in zip(self.header, *self.rows, strict=True)
        ]
        first, *numbers, last = widths
        rule = ["-" * first, *("-" * (width - 1) + ":" for width in numbers), "-" * last]
        return "\n".join(_line(cells, widths) for cells in (self.header, rule, *self.rows))

    def write_markdown(self, captions, path):
        """Writes the report.

        Args:
          captions: caption of each picture, by file name beside the report.
          path: of the Markdown file.
        """
        lines = [
            f"# {self.title}",
            *([f"**{self.warning}**"] if self.warning else []),
            self.note,
            self.table(),
            _bullets(self.findings),
            *(f"{caption}\n\n![{caption}]({name})" for name, caption in captions.items()),
            "## The run",
            _bullets(self.facts),
            f"To repeat it:\n\n```\n{self.command}\n```",
        ]
        atomic_write(path, "\n\n".join(lines) + "\n")


def _bullets(facts):
    return "\n".join(f"- {name}: {value}" for name, value in facts.items())


def _line(cells, widths):
    (first, *numbers, last), (left, *middle, right) = cells, widths
    cells = [f"{first:<{left}}"]
    cells += [f"{cell:>{width}}" for cell, width in zip(numbers, middle, strict=True)]
    return f"| {' | '.join([*cells, f'{last:<{right}}'])} |"


_STYLE = """
:root { color-scheme: light dark; --line: #8886; --faint: #8881; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto;
       padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { padding: .3rem .8rem; border-bottom: 1px solid var(--line); text-align: left;
         vertical-align: top; }
th { font-weight: 600; }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
tr.run { font-weight: 600; }
pre { background: var(--faint); padding: .8rem; overflow-x: auto; border-radius: 6px; }
figure { margin: 2rem 0; }
figcaption { margin-bottom: .4rem; }
img { max-width: 100%; background: white; border-radius: 6px; }
"""


def write_report(page, captions, path):
    """Writes the report with the pictures in it.

    Args:
      page: a `Page`.
      captions: caption of each picture, by file name beside the report.
      path: of the HTML file.
    """
    path = pathlib.Path(path)
    title = html.escape(page.title)
    pictures = [_figure(path.parent / name, caption) for name, caption in captions.items()]
    parts = [
        f'<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{title}'
        '</title>\n<meta name="viewport" content="width=device-width">'
        f"<style>{_STYLE}</style></head>\n<body>\n<h1>{title}</h1>",
        *([f"<p><strong>{html.escape(page.warning)}</strong></p>"] if page.warning else []),
        f"<p>{html.escape(page.note)}</p>",
        _table(page),
        _facts(page.findings),
        *pictures,
        "<h2>The run</h2>",
        _facts(page.facts),
        f"<p>To repeat it:</p>\n<pre>{html.escape(page.command)}</pre>",
        "</body>\n</html>\n",
    ]
    atomic_write(path, "\n".join(parts))


def _table(page):
    header = "".join(f"<th>{html.escape(name)}</th>" for name in page.header)
    # The run's row is bold, unless the page has a warning.
    run = "" if page.warning else ' class="run"'
    rows = [f"<tr{'' if i else run}>{_cells(row)}</tr>" for i, row in enumerate(page.rows)]
    return "\n".join(["<table>", f"<tr>{header}</tr>", *rows, "</table>"])


def _cells(row):
    first, *numbers, last = map(html.escape, row)
    numbers = "".join(f'<td class="number">{number}</td>' for number in numbers)
    return f"<td>{first}</td>{numbers}<td>{last}</td>"


def _facts(facts):
    rows = [
        f"<tr><th>{html.escape(name)}</th><td>{html.escape(str(value))}</td></tr>"
        for name, value in facts.items()
    ]
    return "\n".join(["<table>", *rows, "</table>"])


def _figure(path, caption):
    data = base64.b64encode(path.read_bytes()).decode()
    caption = html.escape(caption)
    return (
        f"<figure><figcaption>{caption}</figcaption>"
        f'<img alt="{caption}" src="data:image/png;base64,{data}"></figure>'
    )


def write(page, captions, results, run_dir):
    """Writes the report and the results, which mark the run as finished.

    Args:
      page: a `Page`.
      captions: caption of each picture, by file name in the folder.
      results: everything measured, as plain data.
      run_dir: path of the folder.
    """
    run_dir = pathlib.Path(run_dir)
    page.write_markdown(captions, run_dir / "report.md")
    write_report(page, captions, run_dir / "report.html")
    # Last: this file marks the run as finished.
    write_results(results, run_dir / "results.json")


def write_results(results, path):
    """Writes everything measured as JSON."""
    atomic_write(path, json.dumps(results, indent=2) + "\n")
