"""A part of CIFAR-10 after JPEG: small enough to hand round, and not the real pixels."""

import dataclasses
import io
import itertools

import numpy as np

from experiments.data.arrays import load_arrays
from experiments.data.data_dir import need_prepared
from experiments.data.data_error import DataError
from experiments.data.dataset import Entry
from experiments.data.images import image_dataset
from experiments.data.images import open_picture
from experiments.data.keras_images import CIFAR10_CLASSES

_FILE = "cifar10_jpeg_10k_2k.npz"
_KEYS = ("blob", "offsets", "labels")
_CAVEAT = (
    "The pixels are what JPEG left of those of CIFAR-10: no published figure may be "
    "compared with these."
)


def load_cifar10_jpeg(request):
    """Returns the images, of `request.num_bits` bits, dequantised to `[0, 1)`.

    The last tenth of the training images is the validation set. Where
    `request.conditional`, their context is the class, one-hot.
    """
    names = (f"cifar10_jpeg_subset/{_FILE}", _FILE)
    path = need_prepared(request.data_dir, *names, wanted=_FILE)
    parts = ("train", "test")
    arrays = load_arrays(path, ["jpeg_header", *(f"{p}_{k}" for p in parts for k in _KEYS)])
    train, test = (_decode(arrays, part, path) for part in parts)
    dataset = image_dataset(
        "cifar10_jpeg",
        (train, test),
        len(train) // 10,
        request,
        classes=[_classes(arrays, part, path) for part in parts],
        class_names=CIFAR10_CLASSES,
    )
    return dataclasses.replace(dataset, caveat=_CAVEAT)


def _decode(arrays, part, path):
    """Images `[N, 32, 32, 3]`, whose files lie end to end, without their common header."""
    header, blob = (arrays[key].tobytes() for key in ("jpeg_header", f"{part}_blob"))
    ends, count = arrays[f"{part}_offsets"], arrays[f"{part}_labels"].size
    if ends.dtype.kind not in "iu" or ends.shape != (count + 1,):
        raise DataError(
            f"Expected {count + 1} integers, one more than labels, in {part}_offsets of "
            f"{path}; got {ends.dtype} of shape {list(ends.shape)}."
        )
    files = [io.BytesIO(header + blob[i:j]) for i, j in itertools.pairwise(ends)]
    names = [f"image {i} of {part}_blob of {path}" for i in range(count)]
    images = list(map(np.asarray, map(open_picture, files, names)))
    shapes = {image.shape for image in images}
    if shapes != {(32, 32, 3)}:
        raise DataError(
            f"Expected images of shape (32, 32, 3) in {part}_blob of {path}; got shapes "
            f"{sorted(shapes)}."
        )
    return np.stack(images)


def _classes(arrays, part, path):
    labels = np.ravel(arrays[f"{part}_labels"])
    if labels.dtype.kind not in "iu" or not np.isin(labels, range(10)).all():
        raise DataError(
            f"Expected integers from 0 to 9 in {part}_labels of {path}; got "
            f"{labels.dtype} {np.unique(labels)[:20].tolist()}."
        )
    return labels


_ORIGIN = "images of CIFAR-10 after JPEG, not comparable with any published figure"
_SIZE = ((9_000, 1_000, 2_000), 3072)
_OF_IMAGES = {"has_classes": True, "has_pixels": True, "is_image": True}
ENTRIES = {"cifar10_jpeg": Entry(load_cifar10_jpeg, _ORIGIN, *_SIZE, **_OF_IMAGES)}
