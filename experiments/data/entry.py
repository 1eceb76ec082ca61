"""Entry of a data set in the catalogue, and what its loader is asked for."""

import dataclasses
import os
from collections.abc import Callable

from experiments.command_line.kinds import check_kinds
from experiments.data.dataset import Dataset

__all__ = ["Entry", "Request", "catalogue"]


@dataclasses.dataclass(frozen=True)
class Request:
    """Where the data are and how to divide them; each loader reads what concerns it.

    Args:
      data_dir: folder of the files that come with no package; the user's cache if empty.
      seed: integer that determines what is drawn: toy data, noise, splits.
      conditional: whether rows that have a class are conditioned on it.
      num_bits: bits that are kept of the 8 of each pixel.
      images_path: folder or `.npz` file of the set `images`.
      image_size: height and width of its images; 0: those of the first one.
      image_fit: key of `own_images.FITS`, for images of another size.
      csv_path: table of the set `csv`.
      decimal: decimal mark of the numbers of `csv`, "." or ",".
      encoding: of the text of `csv`, one that has ASCII's letters as they are.
      npz_path: file of the set `npz`.
      npz_key: array in that file; found by itself if empty.
      context_columns: names or indices of the columns of `csv` or `npz` to condition on.
      drop_constant_columns: whether constant columns are dropped, not refused.
      validation_share: share of the rows of `csv`, `npz` or `images`.
      test_share: share of the rows of `csv`, `npz` or `images`.

    Raises:
      ValueError: if a field is of another type, or a number out of range.
    """

    data_dir: str | os.PathLike | None = None
    seed: int = 0
    conditional: bool = False
    num_bits: int = 8
    images_path: str | os.PathLike = ""
    image_size: int = 0
    image_fit: str = "refuse"
    csv_path: str | os.PathLike = ""
    decimal: str = "."
    encoding: str = "utf-8"
    npz_path: str | os.PathLike = ""
    npz_key: str = ""
    context_columns: tuple[str, ...] = ()
    drop_constant_columns: bool = False
    validation_share: float = 0.1
    test_share: float = 0.1

    def __post_init__(self):
        check_kinds(self)
        if self.seed < 0:
            raise ValueError(f"Expected `seed` of at least 0; got {self.seed}.")
        if not 1 <= self.num_bits <= 8:
            raise ValueError(f"Expected `num_bits` from 1 to 8; got {self.num_bits}.")

    def path(self, name):
        """Returns the path in the field `name`, which the data set needs.

        Raises:
          ValueError: if there is none.
        """
        if not getattr(self, name):
            raise ValueError(f"Expected `{name}`, where the data are; got none.")
        return getattr(self, name)


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
