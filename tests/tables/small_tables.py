"""Small tables that were fitted for an epoch."""

import numpy as np
from derivatives import op_by_op

import tfp_flows as tff

TINY = {"num_members": 1, "num_bins": 4, "hidden_units": (8,), "seed": 0}


def column(name, kind="real", **entries):
    return tff.tables.Column(name, kind, **entries)


def fitted(columns, rows, epochs=1, **options):
    """A `TableDensity` of `columns`, a list or as described, that was fitted to `rows`.

    Args:
      columns: list of `Column`, or what `describe_columns` returns.
      rows: frame to fit.
      epochs: number of passes over it.
      **options: arguments of `TableDensity`; by default, missing cells are allowed.
    """
    if isinstance(columns, list):
        columns = tff.tables.TableColumns(columns)
    table = tff.TableDensity(columns, **{"missing": "indicator", **TINY, **options})
    with op_by_op():  # the few steps take less than tracing them
        table.fit(rows, epochs=epochs, batch_size=512)
    return table


def labels_of(rows):
    """Labels of the functions and lookups that are found in rows."""
    return [function.label for function in tff.describe_columns(rows).functions]


def saved_and_loaded(table, path):
    """Saves the table, and returns it together with the one that is loaded."""
    table.save(path)
    return table, tff.TableDensity.load(path)


def check_equal(frame, other):
    """Two frames have equal cells; missing cells are equal."""
    assert list(frame) == list(other)
    for name in frame:
        first, second = (np.asarray(f[name]).astype(str) for f in (frame, other))
        np.testing.assert_array_equal(first, second, err_msg=str(name))
