"""A table of numbers in a text file, as one array."""

import numpy as np

from experiments.data.data_error import DataError
from experiments.data.text_table import TextTable

__all__ = ["read_csv"]


def read_csv(path, **kwargs):
    """Returns the numbers of a text file.

    Args:
      path: of the file.
      **kwargs: as of `TextTable`.

    Returns:
      Array `[N, D]`, float64, finite, and D names of columns, or None without a header.

    Raises:
      DataError: as `TextTable`, or if there are no rows.
    """
    table = TextTable(path, **kwargs)
    blocks = table.blocks(range(table.num_columns))
    arrays = [block.frame.to_numpy() for block in blocks]
    if not arrays:
        raise DataError(f"Expected rows of numbers in {path}; got a header only.")
    return np.concatenate(arrays), table.names
