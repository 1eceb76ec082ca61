"""Image sets that Keras knows how to download: MNIST, Fashion-MNIST and CIFAR-10."""

import dataclasses
import functools
import gzip
import zlib

import numpy as np

from experiments.data.arrays import load_arrays
from experiments.data.data_dir import existing_folder
from experiments.data.data_dir import find_prepared
from experiments.data.data_error import DataError
from experiments.data.data_error import reading
from experiments.data.dataset import Entry
from experiments.data.images import image_dataset

__all__ = ["CIFAR10_CLASSES", "ENTRIES"]

CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer")
CIFAR10_CLASSES += ("dog", "frog", "horse", "ship", "truck")

_KEYS = ("x_train", "y_train", "x_test", "y_test")
_IDX_FILES = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3")
_IDX_FILES += ("t10k-labels-idx1",)
_HELD_OUT = 10_000  # test images of each set, and as many to validate with


@dataclasses.dataclass(frozen=True)
class _ImageSet:
    """What is known of a set.

    Args:
      num_train: training images, those to validate with included.
      image_shape: of one image.
      folder: of the files in `data_dir`, for which `data_dir` itself will do, too.
      class_names: ten names.
      authors: of the set.
    """

    num_train: int
    image_shape: tuple
    folder: str
    class_names: tuple
    authors: str


_CLOTHES = ("T-shirt", "trouser", "pullover", "dress", "coat")
_CLOTHES += ("sandal", "shirt", "sneaker", "bag", "boot")
_GREY, _COLOURED = (60_000, (28, 28)), (50_000, (32, 32, 3))
_SETS = {
    "mnist": _ImageSet(*_GREY, "mnist", tuple("0123456789"), "LeCun, Cortes, Burges"),
    "fashion_mnist": _ImageSet(*_GREY, "fashion-mnist", _CLOTHES, "Xiao, Rasul, Vollgraf"),
    "cifar10": _ImageSet(*_COLOURED, "cifar10", CIFAR10_CLASSES, "Krizhevsky"),
}


def load_image_set(name, request):
    """Returns the images of `name`, of `request.num_bits` bits, dequantised to `[0, 1)`.

    The last 10,000 training images are the validation set, as in the MAF paper. Where
    `request.conditional`, their context is the class, one-hot.
    """
    known = _SETS[name]
    arrays = _find(name, request.data_dir) or _download(name)
    train, train_classes, test, test_classes = arrays
    _check_shapes(name, known, train, test)
    return image_dataset(
        name,
        (train, test),
        _HELD_OUT,
        request,
        classes=(np.ravel(train_classes), np.ravel(test_classes)),
        class_names=known.class_names,
    )


def _find(name, data_dir):
    """The four arrays of files in `data_dir`, or None."""
    folder, file = _SETS[name].folder, f"{name}.npz"
    if path := find_prepared(data_dir, file, f"{folder}/{file}"):
        return list(load_arrays(path, _KEYS).values())
    for place in ("", f"{folder}/"):
        paths = [f"{place}{idx}-ubyte.gz" for idx in _IDX_FILES]
        if name != "cifar10" and find_prepared(data_dir, paths[0]):
            return [_read_idx(existing_folder(data_dir) / path) for path in paths]
    return None


def _read_idx(path):
    """An array in the format of MNIST's authors: magic number, sizes, bytes."""
    errors = (OSError, EOFError, zlib.error, IndexError, ValueError)
    with reading("an IDX file of bytes", path, errors):
        content = gzip.decompress(path.read_bytes())
        num_axes = content[3]
        shape = np.frombuffer(content, ">i4", num_axes, offset=4)
        return np.frombuffer(content, np.uint8, offset=4 + 4 * num_axes).reshape(shape)


def _check_shapes(name, known, train, test):
    for images, count in ((train, known.num_train), (test, _HELD_OUT)):
        if images.shape != (count, *known.image_shape) or images.dtype != np.uint8:
            raise DataError(
                f"Expected {count:,} images of {known.image_shape} bytes in {name}.npz; "
                f"got shape {images.shape} and dtype {images.dtype}."
            )


def _download(name):
    import keras  # here, since only these data sets are downloaded by it

    try:
        (train, train_classes), (test, test_classes) = getattr(
            keras.datasets, name
        ).load_data()
    except Exception as error:  # Keras raises a bare `Exception` where there is no network
        raise DataError(
            f"Expected to download {name}; got {error}. Without a network, name with "
            f"--data_dir a folder that holds {name}.npz."
        ) from error
    return train, train_classes, test, test_classes


_OF_IMAGES = {"has_classes": True, "has_pixels": True, "is_image": True}
ENTRIES = {
    name: Entry(
        functools.partial(load_image_set, name),
        f"{known.authors}; by keras.datasets",
        (known.num_train - _HELD_OUT, _HELD_OUT, _HELD_OUT),
        int(np.prod(known.image_shape)),
        **_OF_IMAGES,
    )
    for name, known in _SETS.items()
}
