"""Which columns of a table are modelled, which condition them, and which are of no use."""

import numpy as np

from experiments.data.data_error import DataError

__all__ = ["split_columns"]


def split_columns(sets, names, request, path):
    """Returns the names of the modelled columns, their sets, and the sets of the context.

    Args:
      sets: train, validation and test, `[N, D]`, float64.
      names: D column names, or None.
      request: a `Request`: `context_columns`, `drop_constant_columns`.
      path: of the file, for errors.

    Returns:
      Names, or None; three arrays `[N, D']`, float32, in the file's units; and three
      arrays `[N, C]`, float32, standardised by train, or None without context columns.

    Raises:
      DataError: if a column is unknown, constant, or beyond float32, or none is left. One
        of a table of zeros and ones may be constant: it has a probability all the same.
    """
    num_columns = sets[0].shape[1]
    labels = names or tuple(map(str, range(num_columns)))
    context = [_index(label, labels, path) for label in request.context_columns]
    kept = _varying(sets, labels, context, request, path)
    context = [index for index in dict.fromkeys(context) if index in kept]
    modelled = [index for index in kept if index not in context]
    if not modelled:
        raise DataError(
            f"Expected a column to model in {path}; got {len(context)} of context."
        )
    arrays = [values[:, modelled].astype(np.float32) for values in sets]
    return (
        tuple(labels[index] for index in modelled) if names else None,
        arrays,
        _standardized([values[:, context] for values in sets]) if context else None,
    )


def _index(label, labels, path):
    """Returns the index that a name, or an index as text, stands for; names come first."""
    if label in labels:
        return labels.index(label)
    if label.isdecimal() and int(label) < len(labels):
        return int(label)
    raise DataError(
        f"Expected `context_columns` among {list(labels)} of {path}, or their indices; got "
        f"{label!r}."
    )


def _varying(sets, labels, context, request, path):
    """Returns the indices of the columns that vary among the training rows in float32.

    And of constant ones where all that are modelled hold zeros and ones.
    """
    with np.errstate(over="ignore"):
        rounded = [values.astype(np.float32) for values in sets]
    beyond = [~np.isfinite(values).all(axis=0) for values in rounded]
    _refuse(
        np.any(beyond, axis=0), labels, f"Expected numbers that float32 holds in {path}"
    )
    constant = np.ptp(rounded[0], axis=0) == 0.0
    if not request.drop_constant_columns:
        modelled = ~np.isin(np.arange(len(constant)), context)
        if all(np.isin(values[:, modelled], (0.0, 1.0)).all() for values in sets):
            constant &= ~modelled
        wanted = f"Expected columns that vary among the training rows of {path}"
        _refuse(constant, labels, wanted, "; --drop_constant_columns leaves them out")
    return np.flatnonzero(~constant).tolist()


def _refuse(columns, labels, wanted, advice=""):
    if columns.any():
        named = [labels[index] for index in np.flatnonzero(columns)]
        raise DataError(f"{wanted}; got others in columns {named}{advice}.")


def _standardized(sets):
    mean, deviation = sets[0].mean(axis=0), sets[0].std(axis=0)
    return [((values - mean) / deviation).astype(np.float32) for values in sets]
