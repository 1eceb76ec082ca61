"""Rows of a table of any length, through a fitted model, into another table."""

import concurrent.futures
import csv
import io
import sys

import keras
import numpy as np

_VALUES_A_CALL = 1 << 17  # numbers in one call of the distribution, limited by memory


def in_parts(function, *arrays, rows_a_call):
    """Returns `function` of N rows, computed in calls of at most `rows_a_call` rows.

    The function is one from arrays, `[n, ...]`, to an array, `[n, ...]`. An array that is
    None is passed on.
    """
    starts = range(0, len(arrays[0]), rows_a_call)
    parts = (slice(start, start + rows_a_call) for start in starts)
    calls = ([x if x is None else x[part] for x in arrays] for part in parts)
    return np.concatenate([np.asarray(function(*call)) for call in calls])


def quantiles(distribution, size, context, levels, *, num_draws=1000, seed=0, first_row=0):
    """Returns quantiles of each variable of N rows given their context, `[N, D, L]`.

    They are exact for one variable, and quantiles of `num_draws` draws for several, or for
    a distribution without `quantile`, such as `Defensive`. `size` is D, and `levels` are L
    numbers between 0 and 1. The number of the first row is part of the seed.
    """

    def exact(context, start):
        p = np.tile(np.array(levels, context.dtype)[:, None], len(context))
        return distribution.quantile(p, context=context)

    def from_draws(context, start):
        pair = np.array([seed, (first_row + start) % 2**31], np.int32)
        drawn = distribution.sample(num_draws, seed=pair, context=context)
        return np.quantile(np.asarray(drawn, np.float64), levels, axis=0)

    function, values_a_row = exact, len(levels)
    if size > 1 or not hasattr(distribution, "quantile"):
        function, values_a_row = from_draws, num_draws * size
    count = max(1, _VALUES_A_CALL // values_a_row)
    starts = range(0, len(context), count)
    parts = [function(context[start : start + count], start) for start in starts]
    return np.moveaxis(np.concatenate(parts, axis=1), 0, -1)


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
