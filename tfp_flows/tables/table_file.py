"""Files of fitted tables, read without running code of theirs."""

from __future__ import annotations

import os
from typing import Any

import keras

from tfp_flows.models.density_estimator import DensityEstimator
from tfp_flows.tables.mixed_rows import MixedRows
from tfp_flows.tables.table_columns import TableColumns

__all__ = ["read_table"]


def read_table(path: str | os.PathLike) -> tuple[DensityEstimator, dict[str, Any]]:
    """Returns the model of a file, and the arguments of the table that it was saved by.

    Raises:
      ValueError: if the file holds something else.
    """
    model = keras.saving.load_model(path)
    rows = getattr(model, "distribution", None)
    description = rows.parameters["description"] if isinstance(rows, MixedRows) else None
    if not description:
        raise ValueError(f"Expected the file of a `TableDensity`; got {path}.")
    columns = TableColumns.from_plain(description["columns"])
    return model, {**description, "columns": columns}
