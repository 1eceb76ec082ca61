"""Scikit-learn's handwritten digits."""

import numpy as np

from experiments.data.dataset import Dataset
from experiments.data.entry import Entry

__all__ = ["ENTRIES"]


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
    describe = _context if request.conditional else _attribute
    known = describe(classes[order])
    return Dataset(
        "digits", *_split(rows[order]), image_shape=(8, 8), bin_width=1.0 / 17.0, **known
    )


def _context(classes):
    one_hot = np.eye(10, dtype=np.float32)[classes]
    names = ("train_context", "validation_context", "test_context")
    return dict(zip(names, _split(one_hot), strict=True), class_names=tuple("0123456789"))


def _attribute(classes):
    train, _, test = _split(classes)
    names = tuple("0123456789")
    return {"train_classes": train, "test_classes": test, "attribute_names": names}


def _split(rows):
    return np.split(rows, [1257, 1437])


ENTRIES = {
    "digits": Entry(
        load_digits,
        "scikit-learn's 8x8 images",
        (1257, 180, 360),
        64,
        has_classes=True,
        is_image=True,
    ),
}
