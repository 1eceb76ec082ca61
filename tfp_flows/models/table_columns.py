"""What a model knows of the columns of the table that it was fitted to."""

import json

__all__ = ["plain_columns", "refuse_other_columns"]


def plain_columns(columns):
    """Returns `columns` as plain data that nobody else holds.

    Args:
      columns: a sequence of names, or of dicts of plain values; or None.

    Raises:
      ValueError: if they are something else.
    """
    if columns is None:
        return None
    try:
        plain = json.loads(json.dumps(columns))
    except TypeError:  # of what no file can hold
        plain = None
    if not isinstance(plain, list) or not all(isinstance(c, (str, dict)) for c in plain):
        raise ValueError(
            "Expected `columns`, a sequence of names or of dicts of plain values; got "
            f"{columns!r}."
        )
    return plain


def refuse_other_columns(columns, rows):
    """Raises `ValueError` if a table among `rows` has named columns, and they are others.

    Args:
      columns: what `plain_columns` has returned. Dicts have a "name" and a "role", which is
        "modelled" or "context"; names alone are of modelled columns.
      rows: `Rows`; a table is what has `columns`, as a frame of pandas.
    """
    tables = {"x": ("modelled", rows.x), "context": ("context", rows.context)}
    for argument, (role, table) in tables.items():
        expected = _names(columns or (), role)
        if not expected or not hasattr(table, "columns"):
            continue
        names = [str(name) for name in table.columns]
        if names != expected:
            raise ValueError(
                f"Expected `{argument}` of the columns {expected}, in this order; got "
                f"{names}."
            )


def _names(columns, role):
    named = (
        {"name": column, "role": "modelled"} if isinstance(column, str) else column
        for column in columns
    )
    return [c["name"] for c in named if c.get("role") == role and "name" in c]
