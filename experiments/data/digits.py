"""Scikit-learn's handwritten digits."""

import numpy as np

from experiments.data.dataset import Dataset
from experiments.data.dataset import Entry
from experiments.data.images import describe_classes


def load_digits(request):
    """Returns 1,797 images of 8x8 handwritten digits, dequantised to `[0, 1)`.

    Where `request.conditional`, their context is the digit, one-hot.
    """
    from sklearn import datasets  # here, since only this data set needs it

    pixels, classes = datasets.load_digits(return_X_y=True)  # integers 0 ... 16, 0 ... 9
    rng = np.random.default_rng(request.seed)
    rows = (pixels + rng.random(pixels.shape)) / 17.0
    rows = np.clip(rows.astype(np.float32), 0.0, np.nextafter(np.float32(1.0), 0.0))
    order = rng.permutation(len(rows))
    sets, from_sets = (np.split(x[order], [1257, 1437]) for x in (rows, classes))
    known = describe_classes(from_sets, "0123456789", request.conditional)
    return Dataset("digits", *sets, image_shape=(8, 8), bin_width=1.0 / 17.0, **known)


_SIZE = ((1257, 180, 360), 64)
_OF_IMAGES = {"has_classes": True, "is_image": True}
ENTRIES = {"digits": Entry(load_digits, "scikit-learn's 8x8 images", *_SIZE, **_OF_IMAGES)}
