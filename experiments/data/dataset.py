"""Data sets, requests for them, and the entries of the catalogue."""

import dataclasses
import functools
import os
from collections.abc import Callable

import numpy as np

from experiments.command_line.flag_settings import check_kinds
from experiments.data.columns import Column, columns_from_dataset
from experiments.data.files import DataError
from experiments.data.published import PublishedRow

SETS = ("train", "validation", "test")


def context_fields(contexts):
    """Returns the fields of a `Dataset` with the contexts of its three sets, or None."""
    return {f"{name}_context": x for name, x in zip(SETS, contexts, strict=True)}


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Three sets of rows, and facts about them.

    Args:
      name: name of the data set.
      train: `[N, D]`, float32, the rows to fit.
      validation: `[N, D]`, float32, the rows for early stopping.
      test: `[N, D]`, float32, the rows for the report.
      column_names: D names, for labels.
      columns: the `Column`s of the user's table, also those of the context and dropped
        ones, each role in its order; None for other data.
      is_binary: whether the rows hold zeros and ones: probabilities, not densities.
      image_shape: `(H, W)` if a row is an image; else None.
      bin_width: width of the uniform noise of dequantised integers; None if the data are
        continuous.
      logit_alpha: alpha if the rows are `logit(alpha + (1 - 2 alpha) x)` of images x; else
        None.
      published: name of the model -> `PublishedRow`.
      caveat: a sentence that readers of the numbers must know; or empty.
      train_context: `[N, C]`, float32, the context of the rows; None without context.
      validation_context: `[N, C]`, likewise.
      test_context: `[N, C]`, likewise.
      class_names: C names if the context is a one-hot class; else None.
      train_classes: `[N]`, the class of each row, if it is known and not the context.
      test_classes: `[N]`, likewise.
      attribute_names: the names of these classes.
      log_density: true log-density in nats, `[N]`, a function of rows, `[N, D]`, and their
        context, if any; None if unknown.
      angles: indices of the variables that are angles, from -pi to pi.
    """

    name: str
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    column_names: tuple[str, ...] | None = None
    columns: tuple[Column, ...] | None = None
    is_binary: bool = False
    image_shape: tuple[int, int] | None = None
    bin_width: float | None = None
    logit_alpha: float | None = None
    published: dict[str, PublishedRow] = dataclasses.field(default_factory=dict)
    caveat: str = ""
    train_context: np.ndarray | None = None
    validation_context: np.ndarray | None = None
    test_context: np.ndarray | None = None
    class_names: tuple[str, ...] | None = None
    train_classes: np.ndarray | None = None
    test_classes: np.ndarray | None = None
    attribute_names: tuple[str, ...] | None = None
    log_density: Callable | None = None
    angles: tuple[int, ...] = ()

    @functools.cached_property
    def described_columns(self):
        """Descriptions of the columns, dicts of the fields of `Column`; None for images."""
        columns = columns_from_dataset(self) if self.columns is None else self.columns
        return columns and [dataclasses.asdict(column) for column in columns]

    def inputs(self, name):
        """Returns the rows of "train", "validation" or "test" as inputs of a model.

        These are `(x, context)` for conditional data.
        """
        rows, context = getattr(self, name), getattr(self, f"{name}_context")
        return rows if context is None else (rows, context)

    @property
    def pixel_shape(self):
        """Shape of a row as an image: `(H, W)`, or `(H, W, C)`; None if it is not one."""
        if self.image_shape is None:
            return None
        height, width = self.image_shape
        channels = self.event_size // (height * width)
        return (height, width) if channels == 1 else (height, width, channels)

    def as_images(self, rows):
        """Returns `rows`, `[N, D]`, as images with values in `[0, 1]`."""
        if self.logit_alpha is not None:
            shares = 0.5 * (1.0 + np.tanh(0.5 * rows))  # a sigmoid that cannot overflow
            rows = (shares - self.logit_alpha) / (1.0 - 2.0 * self.logit_alpha)
        return np.reshape(rows, (-1, *self.pixel_shape))

    @property
    def context_size(self):
        """Number of conditioning variables, C; 0 if there are none."""
        return 0 if self.train_context is None else self.train_context.shape[1]

    @property
    def event_size(self):
        """Number of variables, D."""
        return self.train.shape[1]

    @property
    def labels(self):
        """The column names, or numbered ones."""
        return self.column_names or tuple(f"x[{i}]" for i in range(self.event_size))


@dataclasses.dataclass(frozen=True)
class Request:
    """The place of the data and their split; a loader reads the fields that it needs.

    Args:
      data_dir: folder of data files; the user's cache if empty.
      seed: seed of toy data, noise and splits.
      conditional: whether the class of a row is its context.
      num_bits: bits to keep of each 8-bit pixel.
      images_path: folder or `.npz` file of the set `images`.
      image_size: height and width of its images; 0: those of the first image.
      image_fit: key of `own_images.FITS`, for images of another size.
      csv_path: table of the set `csv`.
      decimal: decimal mark of the numbers of `csv`, "." or ",".
      encoding: text encoding of `csv`, an extension of ASCII.
      npz_path: file of the set `npz`.
      npz_key: name of the array in this file; may be empty if there is only one.
      context_columns: names or indices of the columns of `csv` or `npz` in the context.
      drop_constant_columns: whether constant columns are dropped, not refused.
      validation_share: share of the rows of `csv`, `npz` or `images`.
      test_share: share of the rows of `csv`, `npz` or `images`.
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
        """Returns the path in the field `name`, which must not be empty."""
        if not getattr(self, name):
            raise ValueError(f"Expected `{name}`, the path of the data; got none.")
        return getattr(self, name)

    def refuse_shares(self, names, arrays, path):
        """Refuses shares of rows, if the arrays of a file divide the rows already."""
        for name in names:
            if (share := getattr(self, name)) != getattr(Request, name):
                raise DataError(
                    f"Expected no `{name}` with the arrays {list(arrays)} of {path}, which "
                    f"are divided already; got {share}."
                )


@dataclasses.dataclass(frozen=True)
class Entry:
    """A loader of a data set, and facts that are known before loading.

    Args:
      load: function from a `Request` to a `Dataset`.
      origin: source of the data, in words.
      num_rows: sizes of train, validation and test; None if the file determines them.
      event_size: number of variables; None if the file determines it.
      has_classes: whether each row has a class, a possible context.
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
    """Returns a table with a line for each of `entries`, a dict of `Entry`s by name."""
    rows = [("dataset", "rows (train / validation / test) × variables", "origin")]
    rows += [(name, entry.size, entry.origin) for name, entry in entries.items()]
    first, second = (max(len(row[column]) for row in rows) for column in (0, 1))
    return "\n".join(f"{a:<{first}}  {b:<{second}}  {c}" for a, b, c in rows)
