"""Rows of a table of any length, through a fitted model, into another table."""

import concurrent.futures
import csv
import io
import sys

import keras
import numpy as np


def in_parts(function, *arrays, rows_a_call):
    """Returns `function` of N rows, computed in calls of fewer rows.

    Args:
      function: function from arrays, `[n, ...]`, to an array, `[n, ...]`.
      *arrays: `[N, ...]` each; None is passed on.
      rows_a_call: maximum of n.
    """
    starts = range(0, len(arrays[0]), rows_a_call)
    parts = (slice(start, start + rows_a_call) for start in starts)
    calls = ([x if x is None else x[part] for x in arrays] for part in parts)
    return np.concatenate([np.asarray(function(*call)) for call in calls])


def taken(rows, index):
    """Returns some rows of an array or of a data frame."""
    return rows.iloc[index] if hasattr(rows, "iloc") else rows[index]


def ahead(iterator):
    """Yields the items of an iterator; another thread computes the next one meanwhile."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        end = object()
        item = pool.submit(next, iterator, end)
        while (found := item.result()) is not end:
            item = pool.submit(next, iterator, end)
            yield found


def as_cells(values):
    """Returns numbers, `[N]`, as text with all significant digits of their dtype."""
    digits = np.finfo(values.dtype).dtype.itemsize * 2 + 1  # 9 of float32, 17 of float64
    return map(f"{{:.{digits}g}}".format, values.tolist())


def as_text(rows):
    """Returns rows of cells as lines of a table."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def bar(total, progress):
    """Returns a function that shows how much of `total` is done, if wanted."""
    is_wanted = sys.stdout.isatty() if progress < 0 else progress
    if not is_wanted:
        return lambda done: None
    return keras.utils.Progbar(total, unit_name="byte").update
