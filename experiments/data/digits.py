"""Scikit-learn's handwritten digits."""

import numpy as np

from experiments.data.dataset import Dataset
from experiments.data.entry import Entry

__all__ = ["ENTRIES"]


def load_digits(request):
    """Returns 1,797 images of 8x8 handwritten digits, dequantised to `[0, 1)`."""
    from sklearn import datasets  # here, since only this data set needs it

    pixels = datasets.load_digits().data  # [1797, 64], integers 0 ... 16
    rng = np.random.default_rng(request.seed)
    rows = (pixels + rng.random(pixels.shape)) / 17.0
    rows = np.clip(rows.astype(np.float32), 0.0, np.nextafter(np.float32(1.0), 0.0))
    rows = rows[rng.permutation(len(rows))]
    train, validation, test = np.split(rows, [1257, 1437])
    return Dataset(
        "digits", train, validation, test, image_shape=(8, 8), bin_width=1.0 / 17.0
    )


ENTRIES = {
    "digits": Entry(load_digits, "scikit-learn's 8x8 images", (1257, 180, 360), 64),
}
