"""Images of 8-bit integers as rows in `[0, 1)`."""

import numpy as np

import tfp_flows
from experiments.data.dataset import Dataset
from experiments.data.image_table import IMAGE_TABLE

__all__ = ["image_dataset"]

_SETS = ("train", "validation", "test")


def image_dataset(name, pixels, validation, request, *, classes=None, class_names=None):
    """Returns a `Dataset` of dequantised images.

    Args:
      name: of the data set.
      pixels: training and test images, two `uint8` arrays `[N, H, W]` or `[N, H, W, C]`.
      validation: number of training images, the last ones, to validate with.
      request: a `Request`, for its `num_bits`, `seed` and `conditional`.
      classes: class of each image, two integer arrays `[N]`; None where there are none.
      class_names: their names.
    """
    num_bins = 2**request.num_bits
    rng = np.random.default_rng(request.seed)
    train, test = (_dequantize(p, request.num_bits, rng) for p in pixels)
    known = {}
    if classes is not None:
        describe = _as_context if request.conditional else _as_attribute
        known = describe(classes, class_names, validation)
    return Dataset(
        name,
        *_divide(train, test, validation),
        image_shape=pixels[0].shape[1:3],
        bin_width=1.0 / num_bins,
        published=_published(name, request),
        **known,
    )


def _published(name, request):
    is_comparable = request.num_bits == 8 and not request.conditional
    return IMAGE_TABLE.get(name, {}) if is_comparable else {}


def _as_context(classes, class_names, validation):
    one_hot = np.eye(len(class_names), dtype=np.float32)
    contexts = _divide(*(one_hot[labels] for labels in classes), validation)
    names = (f"{name}_context" for name in _SETS)
    return dict(zip(names, contexts, strict=True), class_names=tuple(class_names))


def _as_attribute(classes, class_names, validation):
    train, _, test = _divide(*classes, validation)
    return {
        "train_classes": train,
        "test_classes": test,
        "attribute_names": tuple(class_names),
    }


def _divide(train, test, validation):
    count = len(train) - validation
    return train[:count], train[count:], test


def _dequantize(pixels, num_bits, rng):
    values = tfp_flows.reduce_bits(pixels, num_bits).reshape(len(pixels), -1)
    rows = ((values + rng.random(values.shape)) / 2.0**num_bits).astype(np.float32)
    # Rounding must not carry the upper end of a bin into the next one.
    ends = (values.astype(np.float32) + 1.0) / np.float32(2.0**num_bits)
    return np.minimum(rows, np.nextafter(ends, np.float32(0.0)))
