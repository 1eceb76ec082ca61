"""Columns of a model, found by name in a table."""

from experiments.data import DataError

__all__ = ["positions_of"]


def positions_of(names, table, path):
    """Returns the positions of named columns in a `TextTable`.

    Args:
      names: of the columns.
      table: a `TextTable`.
      path: of the model, for errors.

    Raises:
      DataError: if the table lacks some.
    """
    labels = [table.label(i) for i in range(table.num_columns)]
    missing = [name for name in names if name not in labels]
    if missing:
        raise DataError(
            f"Expected the columns of the model in {path}; got {labels}, which lack "
            f"{missing}."
        )
    return [labels.index(name) for name in names]
