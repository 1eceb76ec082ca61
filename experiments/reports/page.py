"""What the report of any experiment says, before it is Markdown or HTML."""

import dataclasses

from experiments.runs.atomic_write import atomic_write

__all__ = ["Page"]


@dataclasses.dataclass(frozen=True)
class Page:
    """The contents of a report, whose pictures lie beside it.

    Args:
      title: headline.
      note: one paragraph on units.
      header: names of the table's columns: the model, numbers, the source.
      rows: of the table, as texts; the first is the run itself.
      findings: what was found beside the table, by name.
      facts: what the run was, by name.
      command: the shell command that repeats the run.
      warning: what has to be known before anything else; empty if nothing.
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
