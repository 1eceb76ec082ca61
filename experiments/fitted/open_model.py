"""Opens what was fitted to a table, for scores, samples and predictions."""

import pathlib

import tfp_flows
from experiments.data.data_error import reading
from experiments.fitted.fitted_model import FittedModel
from experiments.fitted.fitted_table import FittedTable
from experiments.runs.run_directory import RunDirectoryError

__all__ = ["open_model"]

_FILE = "model.keras"


def open_model(path):
    """Returns a `FittedTable`, or a `FittedModel` of rows of numbers.

    Args:
      path: folder of a finished run, or a `.keras` file.

    Raises:
      RunDirectoryError: if there is no such model, or its rows are of no table.
    """
    path = pathlib.Path(path)
    path = path / _FILE if path.is_dir() else path
    model = _load(path)
    if getattr(model.distribution, "parameters", {}).get("description"):
        return FittedTable(path)
    return FittedModel(path, model)


def _load(path):
    if not path.is_file():
        raise RunDirectoryError(
            f"Expected the folder of a finished run, or a saved model; got {path}."
        )
    with reading("a saved model", path, refusal=RunDirectoryError):
        model = tfp_flows.load(path, compile=False)
    if not isinstance(model, tfp_flows.DensityEstimator):
        raise RunDirectoryError(
            f"Expected a saved DensityEstimator in {path}; got a {type(model).__name__}."
        )
    return model
