"""What a loader returns."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class PublishedRow:
    """A test log-likelihood that somebody has published for a data set.

    Args:
      log_likelihood: nats a row.
      two_standard_errors: nats a row.
      source: where it stands.
    """

    log_likelihood: float
    two_standard_errors: float
    source: str


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Three sets of rows, and what is known of them.

    Args:
      name: name of the data set.
      train: `[N, D]`, float32, the rows to fit.
      validation: `[N, D]`, float32, the rows that choose when to stop.
      test: `[N, D]`, float32, the rows that are reported.
      column_names: D names, for labels.
      image_shape: `(H, W)`, where a row is an image.
      bin_width: width of the uniform noise in integer data that were dequantised; None
        if the data are continuous.
      published: name of the model -> `PublishedRow`.
    """

    name: str
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    column_names: tuple[str, ...] | None = None
    image_shape: tuple[int, int] | None = None
    bin_width: float | None = None
    published: dict[str, PublishedRow] = dataclasses.field(default_factory=dict)

    @property
    def event_size(self):
        """Number of variables, D."""
        return self.train.shape[1]

    @property
    def labels(self):
        """The column names, numbered where there are none."""
        return self.column_names or tuple(f"x[{i}]" for i in range(self.event_size))
