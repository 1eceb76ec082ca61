"""The refusal of a table whose columns are not those of a run."""

from experiments.data.columns import differences
from experiments.runs.run_directory import RunDirectoryError

__all__ = ["refuse_other_columns"]


def refuse_other_columns(run_dir, before, now):
    """Raises `RunDirectoryError`, which names them, if columns differ.

    Args:
      run_dir: folder of the run.
      before: its columns, as of `Dataset.described_columns`; None where nothing is known.
      now: those of a table, likewise.
    """
    found = differences(before, now) if before and now else ""
    if found:
        raise RunDirectoryError(
            f"Expected a table with the columns of the run in {run_dir}; got others: "
            f"{found}. Choose another --run_dir, or the same table."
        )
