"""Files and copies of fitted tables, read without running code of theirs."""

from __future__ import annotations

import os
from typing import Any

from tfp_flows.models.density_estimator import DensityEstimator
from tfp_flows.models.loading import load
from tfp_flows.tables.mixed_rows import MixedRows
from tfp_flows.tables.table_columns import TableColumns

__all__ = ["model_of_state", "model_state", "read_table"]


def read_table(path: str | os.PathLike) -> tuple[DensityEstimator, dict[str, Any]]:
    """Returns the model of a file, and the arguments of the table that it was saved by.

    Raises:
      ValueError: if the file holds something else.
    """
    model = load(path)
    rows = getattr(model, "distribution", None)
    description: Any = rows.parameters["description"] if isinstance(rows, MixedRows) else {}
    try:
        columns = TableColumns.from_plain(description["columns"])
    except (TypeError, KeyError) as error:
        raise ValueError(f"Expected the file of a `TableDensity`; got {path}.") from error
    return model, {**description, "columns": columns}


def model_state(model: DensityEstimator | None) -> tuple | None:
    """Returns configuration and weights of a table's model, as plain values and arrays."""
    if model is None:
        return None
    rows: Any = model.distribution
    return rows.get_config(), [variable.numpy() for variable in rows.variables]


def model_of_state(state: tuple | None) -> DensityEstimator | None:
    """Rebuilds what `model_state` has described, with weights of its own."""
    if state is None:
        return None
    config, values = state
    rows: Any = MixedRows.from_config(config)
    for variable, value in zip(rows.variables, values, strict=True):
        variable.assign(value)
    return DensityEstimator(rows)
