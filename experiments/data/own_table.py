"""A user's own table, as a text file or as NumPy arrays."""

import numpy as np

from experiments.data.columns import split_columns
from experiments.data.dataset import SETS, Dataset, Entry, context_fields
from experiments.data.files import DataError, load_array, load_arrays
from experiments.data.text_table import read_csv

_MIN_ROWS = 2  # fewest rows of a set that give a standard error of the mean


def load_csv(request):
    """Returns the table in `request.csv_path`, split at random by `request.seed`."""
    values, names = read_csv(
        request.path("csv_path"),
        decimal=request.decimal,
        encoding=request.encoding,
        hint=" Texts, dates, booleans and missing cells need `tfp-flows table`.",
    )
    return _dataset("csv", _divided(values, request), names, request, request.csv_path)


def load_npz(request):
    """Returns the array in `request.npz_path`, or its train, validation and test arrays.

    One array is split at random by `request.seed`; three arrays keep their rows and order.
    """
    path = request.path("npz_path")
    arrays = {k: _numbers(path, k, v) for k, v in _arrays(request).items()}
    if len(arrays) == 1:
        sets = _divided(*arrays.values(), request)
    else:
        request.refuse_shares(("validation_share", "test_share"), SETS, path)
        sets = [arrays[name] for name in SETS]
        widths = [values.shape[1] for values in sets]
        if len(set(widths)) > 1:
            raise DataError(
                f"Expected equally many columns in each set of {path}; got {widths}."
            )
    return _dataset("npz", sets, None, request, path)


def _arrays(request):
    path, key = request.npz_path, request.npz_key
    if not key and str(path).lower().endswith(".npy"):
        return {"the array": load_array(path)}
    arrays = load_arrays(path, [key] if key else None)
    if set(SETS) <= set(arrays):
        return {name: arrays[name] for name in SETS}
    if len(arrays) != 1:
        raise DataError(
            f"Expected one array, or arrays {list(SETS)}, in {path}; got {list(arrays)}: "
            "choose one with --npz_key."
        )
    return arrays


def _numbers(path, key, array):
    where = f"{key!r} of {path}"
    if array.ndim != 2 or array.shape[1] == 0:
        raise DataError(f"Expected {where} of shape [N, D]; got {list(array.shape)}.")
    if array.dtype.kind not in "biuf":
        raise DataError(f"Expected real numbers in {where}; got dtype {array.dtype}.")
    values = array.astype(np.float64)
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        row, column = bad[0]
        raise DataError(
            f"Expected a finite number in row {row}, column {column} of {where}; got "
            f"{values[row, column]}."
        )
    return values


def _divided(values, request):
    """Returns train, validation and test rows, a random split by `request.seed`."""
    count = len(values)
    num_test = round(request.test_share * count)
    num_validation = round(request.validation_share * count)
    values = np.random.default_rng(request.seed).permutation(values)
    first, second = count - num_test - num_validation, count - num_test
    return np.split(values, [max(first, 0), max(second, 0)])


def _dataset(name, sets, names, request, path):
    sizes = {key: len(values) for key, values in zip(SETS, sets, strict=True)}
    if min(sizes.values()) < _MIN_ROWS:
        sizes = ", ".join(f"{count} {key}" for key, count in sizes.items())
        raise DataError(
            f"Expected rows for at least {_MIN_ROWS} of train, validation and test each in "
            f"{path}; got {sizes}."
        )
    columns, arrays, context = split_columns(sets, names, request, path)
    modelled = tuple(column.name for column in columns if column.role == "modelled")
    return Dataset(
        name,
        *arrays,
        column_names=modelled if names else None,
        columns=columns,
        is_binary=all(np.isin(rows, (0.0, 1.0)).all() for rows in arrays),
        **(context_fields(context) if context else {}),
    )


ENTRIES = {
    "csv": Entry(load_csv, "your own table: --csv_path"),
    "npz": Entry(load_npz, "your own arrays: --npz_path"),
}
