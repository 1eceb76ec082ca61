"""Which columns of a table are modelled, which condition them, and which are of no use."""

import numpy as np

from experiments.data.column import Column
from experiments.data.column import kind_of
from experiments.data.data_error import DataError
from experiments.data.resolution import is_coarse
from experiments.data.resolution import is_constant

__all__ = ["split_columns"]


def split_columns(sets, names, request, path):
    """Returns what is known of each column, the sets of the modelled ones, and the context.

    Args:
      sets: train, validation and test, `[N, D]`, float64.
      names: D column names, or None.
      request: a `Request`: `context_columns`, `drop_constant_columns`.
      path: of the file, for errors.

    Returns:
      D `Column`s: those that are modelled, those of the context, those that are dropped;
      three arrays `[N, D']`, and three arrays `[N, C]` or None without context columns,
      all float32, in the file's units and in the order of the `Column`s.

    Raises:
      DataError: if a column is unknown, constant, beyond float32 or too fine for it, or
        none is left to model.
    """
    num_columns = sets[0].shape[1]
    labels = names or tuple(map(str, range(num_columns)))
    context = [_index(label, labels, path) for label in request.context_columns]
    kept = _varying(sets, labels, request, path)
    context = [index for index in dict.fromkeys(context) if index in kept]
    modelled = [index for index in kept if index not in context]
    if not modelled:
        raise DataError(
            f"Expected a column to model in {path}; got {len(context)} of context."
        )
    dropped = [index for index in range(num_columns) if index not in kept]
    roles = {"modelled": modelled, "context": context, "dropped": dropped}
    rows = np.concatenate(sets)
    columns = tuple(
        Column(labels[index], role, kind_of(rows[:, index]), index)
        for role, indices in roles.items()
        for index in indices
    )
    return columns, _taken(sets, modelled), _taken(sets, context) if context else None


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


def _varying(sets, labels, request, path):
    """Returns the indices of the columns that vary among the training rows in float32."""
    with np.errstate(over="ignore"):
        beyond = [~np.isfinite(values.astype(np.float32)).all(axis=0) for values in sets]
    _refuse(
        np.any(beyond, axis=0), labels, f"Expected numbers that float32 holds in {path}"
    )
    train = sets[0].T
    _refuse(
        [is_coarse(column) for column in train],
        labels,
        f"Expected columns of {path} that differ by more than float32 resolves at their "
        "size",
        "; subtract a number from them in the file, or change their unit",
    )
    constant = np.array([is_constant(column) for column in train])
    if not request.drop_constant_columns:
        wanted = f"Expected columns that vary among the training rows of {path}"
        _refuse(constant, labels, wanted, "; --drop_constant_columns leaves them out")
    return np.flatnonzero(~constant).tolist()


def _refuse(columns, labels, wanted, advice=""):
    if np.any(columns):
        named = [labels[index] for index in np.flatnonzero(columns)]
        raise DataError(f"{wanted}; got others in columns {named}{advice}.")


def _taken(sets, columns):
    return [values[:, columns].astype(np.float32) for values in sets]
