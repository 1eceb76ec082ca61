"""Fits the density of a table with columns of any kind, and judges it on test rows."""

import pathlib
import time

import tfp_flows
from experiments.command_line import program
from experiments.command_line.flag_settings import UsageError
from experiments.command_line.flag_settings import check_kind
from experiments.data import DataError
from experiments.reports import facts
from experiments.reports import page
from experiments.runs import run_directory
from experiments.runs.run_directory import RunDirectoryError
from experiments.table_density import evaluation
from experiments.table_density import pictures
from experiments.table_density import report
from experiments.table_density.data import divided
from experiments.table_density.data import read_table
from experiments.table_density.settings import TableDensitySettings

_BACKUP = "fit.npz"  # of a run that has not ended
_SETS = ("train", "test")


def run(settings):
    """Fits, evaluates and writes everything into `settings.run_dir`.

    A finished run is only read; one that was interrupted goes on from its last epochs.

    Args:
      settings: a `TableDensitySettings`.

    Returns:
      What `results.json` holds.

    Raises:
      DataError: if the table is of no use; says all that is wrong. Nothing is written.
      UsageError: if an option is of no use with its columns.
      RunDirectoryError: if the folder belongs to another process or another run.
    """
    check_kind("settings", settings, TableDensitySettings)
    if not settings.csv_path:
        settings.refuse("csv_path", "to name a file")
    results = run_directory.finished_results(settings.run_dir)
    table = None if results else _prepared(settings)
    with run_directory.claim(settings) as run_dir:
        if results is not None:
            (run_dir / _BACKUP).unlink(missing_ok=True)
            print(f"{run_dir} holds this run, finished; to repeat it, delete the folder.")
            return results
        return _fit(*table, settings, run_dir)


def cli(argv):
    """Runs a command line; its exit status is 2 for wrong use, and 1 for wrong data."""
    refusals = (DataError, RunDirectoryError, OSError)
    return program.run(
        argv, _main, TableDensitySettings, description=__doc__, refusals=refusals
    )


def _main(settings):
    program.stop_at_once()
    print(report.table(run(settings)))
    print(f"Written to {settings.run_dir}: report.html, report.md, results.json.")


def _prepared(settings):
    """Returns the sets of rows, and the `TableDensity` that is to be fitted."""
    frame, columns = read_table(settings)
    print(columns, flush=True)
    try:
        table = tfp_flows.TableDensity(
            columns,
            context=settings.context_columns,
            missing="refuse" if settings.missing == "drop" else settings.missing,
            num_members=settings.num_members,
            num_bins=settings.num_bins,
            hidden_units=settings.hidden_units,
            dropout=settings.dropout,
            seed=settings.seed,
        )
    except ValueError as error:
        raise UsageError(str(error)) from error
    return divided(frame, settings), table


def _fit(sets, table, settings, run_dir):
    start, backup = time.perf_counter(), run_dir / _BACKUP
    try:
        history = table.fit(
            sets[0],
            validation_split=settings.validation_share / (1.0 - settings.test_share),
            epochs=settings.epochs,
            batch_size=settings.batch_size or None,
            learning_rate=settings.learning_rate,
            patience=settings.patience,
            verbose=max(settings.progress, 0),
            backup=backup,
        ).history
    except ValueError as error:  # of cells that cannot occur, or the backup of other rows
        raise DataError(str(error)) from error
    seconds = time.perf_counter() - start
    table.save(run_dir / "model.keras")
    results = {
        "columns": table.columns.to_plain(),
        "described": str(table.columns),
        "context": table.context,
        "table": pathlib.Path(settings.csv_path).name,
        "num_rows": {k: len(rows) for k, rows in zip(_SETS, sets, strict=True)},
        "num_epochs": len(history["loss"]),
        "training_seconds": seconds,
        **evaluation.measure(table, sets, settings.seed),
        **facts.provenance(settings),
    }
    captions = pictures.draw(table, sets, results, history, settings)
    page.write(report.page(results), captions, results, run_dir)
    backup.unlink(missing_ok=True)
    return results
