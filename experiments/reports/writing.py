"""The files of a report: Markdown, HTML, and everything measured as JSON."""

import json
import pathlib

from experiments.reports import html_report
from experiments.runs.atomic_write import atomic_write

__all__ = ["write", "write_results"]


def write(page, captions, results, run_dir):
    """Writes the report into the folder of a run, which is finished with that.

    Args:
      page: a `Page`.
      captions: caption of each picture, by file name in the folder.
      results: everything measured, as plain data.
      run_dir: path of the folder.
    """
    run_dir = pathlib.Path(run_dir)
    page.write_markdown(captions, run_dir / "report.md")
    html_report.write_report(page, captions, run_dir / "report.html")
    # Last, since it is what marks a run as finished.
    write_results(results, run_dir / "results.json")


def write_results(results, path):
    """Writes everything measured as JSON."""
    atomic_write(path, json.dumps(results, indent=2) + "\n")
