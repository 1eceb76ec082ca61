"""Columns of a table: their roles and kinds, and the differences between tables."""

import dataclasses
import warnings

import numpy as np

import tfp_flows
from experiments.data.files import DataError

# Each kind includes the kinds before it.
_KINDS = ("constant", "binary", "integer", "real")
# Least number of float32 steps in the spread of a column. With four of them, rounding
# changes an entropy by less than 0.003 nats.
_LEAST_STEPS = 4.0
# Rounding error of calculations in float64, relative to a column's size.
_ROUNDING = 1e-12
# Least ratio to the smallest and the largest float32 numbers; flows keep the same.
_SPARE = 100.0
# Limits of the search for a linear function, which takes less than a second.
_LEAST_ROWS, _ROWS_OF_DEPENDENCE, _MOST_COLUMNS = 20, 2000, 200


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of a table.

    Args:
      name: name in the file, or the position as text if the file has no names.
      role: "modelled", "context" or "dropped".
      kind: "constant", "binary" (zeros and ones), "integer" or "real".
      position: position in the table, from 0.
      least: least value of the training rows; None if unknown.
      greatest: greatest value of the training rows; None if unknown.
    """

    name: str
    role: str
    kind: str
    position: int
    least: float | None = None
    greatest: float | None = None


def columns_from_dataset(dataset):
    """Returns the `Column`s of a `Dataset` that is no user's table; None for images."""
    if dataset.image_shape is not None:
        return None
    columns = enumerate(zip(dataset.labels, dataset.train.T, strict=True))
    return tuple(
        Column(name, "modelled", _kind_of(x), i, *_range(x)) for i, (name, x) in columns
    )


def split_columns(sets, names, request, path):
    """Returns the `Column`s, the sets of modelled columns, and the sets of the context.

    Args:
      sets: train, validation and test, `[N, D]`, float64.
      names: D column names, or None.
      request: a `Request`: `context_columns`, `drop_constant_columns`.
      path: path of the file, for errors.

    Returns:
      D `Column`s: first the modelled ones, then the context, then the dropped ones;
      three arrays `[N, D']`, and three arrays `[N, C]` or None without context columns,
      all float32, in the file's units and in the order of the `Column`s.

    Warns if a modelled column is a linear function of others and the context.

    Raises:
      DataError: if a column is unknown, twice in the context, constant, or not
        representable in float32, or if no column is left to model. In a table of zeros and
        ones constant columns are allowed, since they have a probability.
    """
    num_columns = sets[0].shape[1]
    labels = names or tuple(map(str, range(num_columns)))
    context = [_index(label, labels, path) for label in request.context_columns]
    if len(set(context)) < len(context):
        raise DataError(
            f"Expected `context_columns` of different columns of {path}; got "
            f"{list(request.context_columns)}."
        )
    kept = _varying(sets, labels, context, request, path)
    context = [index for index in context if index in kept]
    modelled = [index for index in kept if index not in context]
    if not modelled:
        raise DataError(
            f"Expected a column to model in {path}; got {len(context)} of context."
        )
    _warn_of_dependence(sets[0], modelled, context, labels, path)
    dropped = [index for index in range(num_columns) if index not in kept]
    roles = {"modelled": modelled, "context": context, "dropped": dropped}
    rows = np.concatenate(sets)
    columns = tuple(
        Column(
            *(labels[index], role, _kind_of(rows[:, index], role), index),
            *_range(sets[0][:, index]),
        )
        for role, indices in roles.items()
        for index in indices
    )
    return columns, _select(sets, modelled), _select(sets, context) if context else None


def _index(label, labels, path):
    """Returns the index of a column by its name, or by its index as text."""
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

    If all modelled columns hold zeros and ones, constant columns are included.
    """
    train = sets[0].T
    _refuse(
        [_exceeds_float32(values) for values in np.concatenate(sets).T],
        labels,
        f"Expected numbers that float32 holds in {path}",
        "; change their unit",
    )
    _refuse(
        [_is_coarse(column) for column in train],
        labels,
        f"Expected columns of {path} that differ by more than float32 resolves at their "
        "size",
        "; subtract a number from them in the file, or change their unit",
    )
    constant = np.array([_is_constant(column) for column in train])
    if not request.drop_constant_columns:
        modelled = ~np.isin(np.arange(len(constant)), context)
        if all(np.isin(values[:, modelled], (0.0, 1.0)).all() for values in sets):
            constant &= ~modelled
        wanted = f"Expected columns that vary among the training rows of {path}"
        _refuse(constant, labels, wanted, "; --drop_constant_columns leaves them out")
    return np.flatnonzero(~constant).tolist()


def _warn_of_dependence(train, modelled, context, labels, path):
    """Warns of a modelled column that is a linear function of others and the context.

    It reads at most `_ROWS_OF_DEPENDENCE` rows.
    """
    places = np.linspace(0, len(train) - 1, min(len(train), _ROWS_OF_DEPENDENCE))
    some = train[places.astype(int)]
    modelled = [index for index in modelled if np.ptp(some[:, index]) > 0.0]
    x = some[:, modelled]
    is_binary = np.isin(x, (0.0, 1.0)).all()  # rows then have probabilities
    if is_binary or len(some) < _LEAST_ROWS or len(modelled) > _MOST_COLUMNS:
        return
    column = tfp_flows.density.linear_column(x, some[:, context] if context else None)
    if column is not None:
        warnings.warn(
            f"column {labels[modelled[column]]!r} of {path} is a linear function of "
            "others: such rows have no density, and their likelihoods tell nothing; leave "
            "it out",
            stacklevel=5,
        )


def _refuse(columns, labels, wanted, advice=""):
    if np.any(columns):
        named = [labels[index] for index in np.flatnonzero(columns)]
        raise DataError(f"{wanted}; got others in columns {named}{advice}.")


def _select(sets, columns):
    return [values[:, columns].astype(np.float32) for values in sets]


def _kind_of(values, role="modelled"):
    """Returns the kind of a column with these values and this role."""
    is_binary = np.isin(values, (0.0, 1.0)).all()
    if is_binary and role != "dropped":  # also if it holds only zeros, or only ones
        return "binary"
    if np.ptp(values) == 0.0:
        return "constant"
    if is_binary:
        return "binary"
    return "integer" if (values == np.round(values)).all() else "real"


def _range(values):
    return float(values.min()), float(values.max())


def _is_constant(column):
    """Whether `column`, `[N]`, float64, is constant up to rounding."""
    return bool(np.ptp(column) <= _ROUNDING * np.abs(column).max())


def _exceeds_float32(column):
    """Whether numbers, or their differences, are too near the limits of float32."""
    limits = np.finfo(np.float32)
    is_tiny = 0.0 < np.ptp(column) < _SPARE * limits.tiny
    return is_tiny or np.abs(column).max() > limits.max / _SPARE


def _is_coarse(column):
    """Whether most of `column`, `[N]`, float64, would become few distinct float32 numbers.

    An example are times in seconds near 1.7e9, where float32 numbers are 128 apart. The
    test uses the standard deviation and the interquartile range, robust to outliers.
    """
    quarters = np.percentile(column, [25.0, 50.0, 75.0])
    spreads_and_sizes = [
        (column.std(), np.abs(column).max()),
        (quarters[2] - quarters[0], np.abs(quarters[1])),
    ]
    return any(
        _ROUNDING * size < spread < _LEAST_STEPS * np.spacing(np.float32(size))
        for spread, size in spreads_and_sizes
    )


def differences(before, now):
    """Returns in words how columns, as dicts, differ from those of a fitted model.

    Columns that both drop do not count. A new kind that the old kind includes, such as
    integer in real, is no difference.

    Returns:
      Text; empty if the table fits the model.
    """
    known, given = ({c["name"]: c for c in columns} for columns in (before, now))
    missing = [name for name in _used(before) if name not in given]
    unknown = [name for name in _used(now) if name not in known]
    found = [f"columns {missing} are missing"] if missing else []
    found += [f"columns {unknown} are unknown to it"] if unknown else []
    for name in known.keys() & given.keys():
        found += _changes(known[name], given[name])
    return "; ".join(sorted(found) or _orders(before, now))


def _used(columns, roles=("modelled", "context")):
    return [column["name"] for column in columns if column["role"] in roles]


def _changes(before, now):
    name, role = repr(before["name"]), before["role"]
    if now["role"] != role:
        return [f"column {name} was {role} and is {now['role']}"]
    is_special = _KINDS.index(now["kind"]) <= _KINDS.index(before["kind"])
    if role == "dropped" or is_special:
        return []
    return [f"column {name} was {before['kind']} and is {now['kind']}"]


def _orders(before, now):
    return [
        f"the {role} columns were in the order {first} and are in the order {second}"
        for role in ("modelled", "context")
        if (first := _used(before, (role,))) != (second := _used(now, (role,)))
    ]
