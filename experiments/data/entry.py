"""A line of the catalogue of data sets."""

import dataclasses
from collections.abc import Callable

from experiments.data.dataset import Dataset
from experiments.data.request import Request

__all__ = ["Entry", "catalogue"]


@dataclasses.dataclass(frozen=True)
class Entry:
    """A data set that can be loaded, and what is known of it before it is.

    Args:
      load: returns the `Dataset` that a `Request` asks for.
      origin: where the data come from.
      num_rows: sizes of train, validation and test; None if only the file tells.
      event_size: number of variables; None if only the file tells.
      has_classes: whether each row has a class that it can be conditioned on.
      has_pixels: whether the rows are images of 8-bit integers.
      is_image: whether the rows are images of grey or coloured pixels.
    """

    load: Callable[[Request], Dataset]
    origin: str
    num_rows: tuple[int, int, int] | None = None
    event_size: int | None = None
    has_classes: bool = False
    has_pixels: bool = False
    is_image: bool = False

    @property
    def size(self):
        """Rows (train / validation / test) times variables, as text."""
        if self.num_rows is None:
            return "of the file"
        rows = " / ".join(f"{count:,}" for count in self.num_rows)
        return f"{rows} × {self.event_size}"


def catalogue(entries):
    """Returns a table, a line an entry, of a dict of `Entry`s.

    Args:
      entries: name -> `Entry`.
    """
    rows = [("dataset", "rows (train / validation / test) × variables", "origin")]
    rows += [(name, entry.size, entry.origin) for name, entry in entries.items()]
    first, second = (max(len(row[column]) for row in rows) for column in (0, 1))
    return "\n".join(f"{a:<{first}}  {b:<{second}}  {c}" for a, b, c in rows)
