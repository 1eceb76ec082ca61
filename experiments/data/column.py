"""What a run notes of a column of its table, and how columns of two tables differ."""

import dataclasses

import numpy as np

__all__ = ["Column", "differences", "kind_of", "without_names"]

# Each holds those before it.
_KINDS = ("constant", "binary", "integer", "real")


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of a table.

    Args:
      name: that of the file, or its position as text where the file has no names.
      role: "modelled", "context" or "dropped".
      kind: "constant", "binary" (zeros and ones), "integer" or "real".
      position: in the table, from 0.
    """

    name: str
    role: str
    kind: str
    position: int


def kind_of(values):
    """Returns the kind of the numbers in an array."""
    if np.ptp(values) == 0.0:
        return "constant"
    if np.isin(values, (0.0, 1.0)).all():
        return "binary"
    return "integer" if (values == np.round(values)).all() else "real"


def without_names(dataset):
    """Returns the `Column`s of a `Dataset` that does not know its table; None of images."""
    if dataset.image_shape is not None:
        return None
    columns = enumerate(zip(dataset.labels, dataset.train.T, strict=True))
    return tuple(Column(name, "modelled", kind_of(x), i) for i, (name, x) in columns)


def differences(before, now):
    """Returns in words how columns differ from those that a model was fitted to.

    Those that both leave out do not count, nor does a kind that is a special case of the
    one before, as the integers are of the real numbers.

    Args:
      before: the columns of the model, dicts of the fields of `Column`, in its order.
      now: those of a table, likewise.

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
