"""Fits the density of a table with columns of any kind, and evaluates test rows."""

import pathlib
import time

from experiments.command_line import program
from experiments.command_line.flag_settings import check_kind
from experiments.data import DataError
from experiments.reports import facts, page
from experiments.runs import resuming, run_directory
from experiments.table_density import evaluation, pictures, report, training
from experiments.table_density.data import divided, read_table
from experiments.table_density.settings import TableDensitySettings

_SETS = ("train", "test")


def run(settings):
    """Fits, evaluates and writes everything into `settings.run_dir`.

    The results of a finished run are read; an interrupted run goes on from its last epochs.
    An unusable table leaves the folder untouched.

    Returns:
      What `results.json` holds.
    """
    check_kind("settings", settings, TableDensitySettings)
    if resuming.is_finished(settings):
        return resuming.finished(settings, refuse=_refuse_other_table)
    frame, columns = read_table(settings)
    if settings.target and settings.target not in columns.names:
        raise DataError(f"Expected `target` of {columns.names}; got {settings.target!r}.")
    if settings.target and columns[settings.target].kind == "constant":
        raise DataError(f"Expected a `target` that varies; got {settings.target!r}.")
    print(columns, flush=True)
    density = training.make_density(columns, settings.context_columns, settings)
    sets = divided(frame, settings)
    evaluation.check_synthesis(sets, settings)
    with resuming.unfinished(settings) as run_dir:
        run_directory.refuse_other_file(run_dir, settings.csv_path, "table")
        start = time.perf_counter()
        split = settings.validation_share / (1.0 - settings.test_share)
        history = training.train(
            density, sets[0], settings, run_dir, validation_split=split
        )
        seconds = time.perf_counter() - start
        density.save(run_dir / "model.keras")
        results = {
            "columns": density.columns.to_plain(),
            "described": str(density.columns),
            "context": density.context,
            "table": pathlib.Path(settings.csv_path).name,
            "num_rows": {k: len(rows) for k, rows in zip(_SETS, sets, strict=True)},
            "num_epochs": len(history["loss"]),
            "training_seconds": seconds,
            **evaluation.measure(density, sets, settings.seed),
            "synthesis": evaluation.synthesis(density, sets, settings),
            **facts.provenance(settings),
        }
        captions = pictures.draw(density, sets, results, history, settings)
        page.write(report.page(results), captions, results, run_dir)
        return results


def _refuse_other_table(settings, results):
    run_directory.refuse_other_file(settings.run_dir, settings.csv_path, "table")


@program.command(TableDensitySettings, description=__doc__)
def cli(settings):
    """Fits, and prints the report."""
    program.stop_at_once()
    resuming.tell_written(settings, report.table(run(settings)))
