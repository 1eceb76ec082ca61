"""Published image sets: digits, MNIST, Fashion-MNIST, Omniglot, CIFAR-10; logit space."""

import dataclasses
import functools
import gzip
import io
import itertools
import zlib

import numpy as np
import scipy.io

from experiments.data import files, images
from experiments.data.dataset import SETS, Dataset, Entry
from experiments.data.published import LOGIT_TABLE

CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer")
CIFAR10_CLASSES += ("dog", "frog", "horse", "ship", "truck")

_NPZ_KEYS = ("x_train", "y_train", "x_test", "y_test")
_IDX_FILES = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3")
_IDX_FILES += ("t10k-labels-idx1",)
_HELD_OUT = 10_000  # test images of each set, and validation images
_CLOTHES = ("T-shirt", "trouser", "pullover", "dress", "coat")
_CLOTHES += ("sandal", "shirt", "sneaker", "bag", "boot")
_GREY, _COLOURED = (60_000, (28, 28)), (50_000, (32, 32, 3))
_ALPHAS = {"mnist": 1e-6, "cifar10": 0.05}
_JPEG_FILE = "cifar10_jpeg_10k_2k.npz"
_JPEG_KEYS = ("blob", "offsets", "labels")
_JPEG_CAVEAT = (
    "The images are CIFAR-10 after JPEG compression, not comparable with any published "
    "figure."
)
_OMNIGLOT_FILE, _OMNIGLOT_KEYS = "chardata.mat", ("data", "testdata")
_OMNIGLOT_ROWS = (23_000, 1_345, 8_070)
_CLASSES = {"has_classes": True, "is_image": True}
_PIXELS = _CLASSES | {"has_pixels": True}


@dataclasses.dataclass(frozen=True)
class _ImageSet:
    """A description of an image set.

    Args:
      num_train: number of training images, validation images included.
      image_shape: shape of one image.
      folder: folder of the files in `data_dir`; they may also be in `data_dir` itself.
      class_names: ten names.
      authors: authors of the set.
    """

    num_train: int
    image_shape: tuple
    folder: str
    class_names: tuple
    authors: str


_SETS = {
    "mnist": _ImageSet(*_GREY, "mnist", tuple("0123456789"), "LeCun, Cortes, Burges"),
    "fashion_mnist": _ImageSet(*_GREY, "fashion-mnist", _CLOTHES, "Xiao, Rasul, Vollgraf"),
    "cifar10": _ImageSet(*_COLOURED, "cifar10", CIFAR10_CLASSES, "Krizhevsky"),
}


def load_image_set(name, request):
    """Returns the images of `name`, of `request.num_bits` bits, dequantised to `[0, 1)`.

    The last 10,000 training images are the validation set, as in the MAF paper. If
    `request.conditional`, their context is the class, one-hot.
    """
    known = _SETS[name]
    arrays = _find(name, request.data_dir) or _download(name)
    train, train_classes, test, test_classes = arrays
    _check_shapes(name, known, train, test)
    return images.image_dataset(
        name,
        (train, test),
        _HELD_OUT,
        request,
        classes=(np.ravel(train_classes), np.ravel(test_classes)),
        class_names=known.class_names,
    )


def _find(name, data_dir):
    """The four arrays of files in `data_dir`, or None."""
    folder = _SETS[name].folder
    if path := files.find_prepared(data_dir, f"{folder}/{name}.npz"):
        return list(files.load_arrays(path, _NPZ_KEYS).values())
    names = [f"{idx}-ubyte.gz" for idx in _IDX_FILES]
    first = files.find_prepared(data_dir, f"{folder}/{names[0]}")
    if name == "cifar10" or first is None:
        return None
    return [_read_idx(first.with_name(file)) for file in names]


def _read_idx(path):
    """Reads an array in MNIST's format: magic number, sizes, bytes."""
    errors = (OSError, EOFError, zlib.error, IndexError, ValueError)
    with files.reading("an IDX file of bytes", path, errors):
        content = gzip.decompress(path.read_bytes())
        num_axes = content[3]
        shape = np.frombuffer(content, ">i4", num_axes, offset=4)
        return np.frombuffer(content, np.uint8, offset=4 + 4 * num_axes).reshape(shape)


def _check_shapes(name, known, train, test):
    for pixels, count in ((train, known.num_train), (test, _HELD_OUT)):
        if pixels.shape != (count, *known.image_shape) or pixels.dtype != np.uint8:
            raise files.DataError(
                f"Expected {count:,} images of {known.image_shape} bytes in {name}.npz; "
                f"got shape {pixels.shape} and dtype {pixels.dtype}."
            )


def _download(name):
    import keras  # here, since it is slow, and only these data sets need it

    try:
        (train, train_classes), (test, test_classes) = getattr(
            keras.datasets, name
        ).load_data()
    except Exception as error:  # Keras raises a bare `Exception` without a network
        raise files.DataError(
            f"Expected to download {name}; got {error}. Without a network, give with "
            f"--data_dir a folder with {name}.npz."
        ) from error
    return train, train_classes, test, test_classes


def load_digits(request):
    """Returns 1,797 images of 8x8 handwritten digits, dequantised to `[0, 1)`.

    If `request.conditional`, their context is the digit, one-hot.
    """
    from sklearn import datasets  # here, since only this data set needs it

    pixels, classes = datasets.load_digits(return_X_y=True)  # integers 0 ... 16, 0 ... 9
    rng = np.random.default_rng(request.seed)
    rows = (pixels + rng.random(pixels.shape)) / 17.0
    rows = np.clip(rows.astype(np.float32), 0.0, np.nextafter(np.float32(1.0), 0.0))
    order = rng.permutation(len(rows))
    sets, from_sets = (np.split(x[order], [1257, 1437]) for x in (rows, classes))
    known = images.describe_classes(from_sets, "0123456789", request.conditional)
    return Dataset("digits", *sets, image_shape=(8, 8), bin_width=1.0 / 17.0, **known)


def load_omniglot(request):
    """Returns characters of 50 alphabets, 28x28 pixels, dequantised to `[0, 1)`.

    Their grey values are rounded to 8 bits, of which `request.num_bits` are kept. The file
    has a training and a test set; 1,345 random training images are the validation set.
    """
    wanted = f"{_OMNIGLOT_FILE}, the 28x28 images of Burda et al. (2016)"
    file = f"omniglot/{_OMNIGLOT_FILE}"
    path = files.need_prepared(request.data_dir, file, wanted=wanted)
    _, num_validation, num_test = _OMNIGLOT_ROWS
    counts = (sum(_OMNIGLOT_ROWS) - num_test, num_test)
    train, test = map(_characters, _read_matlab(path), _OMNIGLOT_KEYS, counts)
    train = np.random.default_rng(request.seed).permutation(train)
    return images.image_dataset("omniglot", (train, test), num_validation, request)


def _read_matlab(path):
    # SciPy raises these for damaged files, and the last for a format that it cannot read.
    errors = (OSError, EOFError, ValueError, TypeError, KeyError, IndexError, zlib.error)
    errors += (MemoryError, scipy.io.matlab.MatReadError, NotImplementedError)
    with files.reading(f"MATLAB arrays {_OMNIGLOT_KEYS}", path, errors):
        arrays = scipy.io.loadmat(path, variable_names=_OMNIGLOT_KEYS)
        return [arrays[key] for key in _OMNIGLOT_KEYS]


def _characters(values, key, count):
    """Images, `uint8` `[N, 28, 28]`, of shares of white, `[784, N]`, column by column."""
    is_grey = values.dtype.kind == "f" and values.shape == (784, count)
    if not (is_grey and values.min() >= 0.0 and values.max() <= 1.0):
        raise files.DataError(
            f"Expected numbers from 0 to 1 of shape (784, {count}) in `{key}` of "
            f"{_OMNIGLOT_FILE}; got {values.dtype} of shape {values.shape}."
        )
    pixels = np.round(255.0 * values).astype(np.uint8)
    return pixels.reshape(28, 28, count).transpose(2, 1, 0)


def load_in_logit_space(name, request):
    """Returns `logit(alpha + (1 - 2 alpha) x)` of the dequantised images x of `name`.

    Densities in this space compare with those of the MAF paper only. The noise is drawn
    once.
    """
    dataset = load_image_set(name, request)
    alpha = _ALPHAS[name]
    return dataclasses.replace(
        dataset,
        name=f"{name}_logit",
        **{s: _logit(getattr(dataset, s), alpha) for s in SETS},
        bin_width=None,
        logit_alpha=alpha,
        published=LOGIT_TABLE[f"{name} by class" if request.conditional else name],
    )


def _logit(rows, alpha):
    # In pieces of float64: the ends are near 0 and 1.
    pieces = np.array_split(rows, max(1, len(rows) // 1000))
    shares = (alpha + (1.0 - 2.0 * alpha) * piece.astype(np.float64) for piece in pieces)
    return np.concatenate([(np.log(p) - np.log1p(-p)).astype(np.float32) for p in shares])


def load_cifar10_jpeg(request):
    """Returns the images, of `request.num_bits` bits, dequantised to `[0, 1)`.

    The last tenth of the training images is the validation set. If
    `request.conditional`, their context is the class, one-hot.
    """
    file = f"cifar10_jpeg_subset/{_JPEG_FILE}"
    path = files.need_prepared(request.data_dir, file, wanted=_JPEG_FILE)
    parts = ("train", "test")
    arrays = files.load_arrays(
        path, ["jpeg_header", *(f"{p}_{k}" for p in parts for k in _JPEG_KEYS)]
    )
    train, test = (_decoded_jpegs(arrays, part, path) for part in parts)
    dataset = images.image_dataset(
        "cifar10_jpeg",
        (train, test),
        len(train) // 10,
        request,
        classes=[_jpeg_classes(arrays, part, path) for part in parts],
        class_names=CIFAR10_CLASSES,
    )
    return dataclasses.replace(dataset, caveat=_JPEG_CAVEAT)


def _decoded_jpegs(arrays, part, path):
    """Decodes images, `[N, 32, 32, 3]`, from concatenated files without their header."""
    header, blob = (arrays[key].tobytes() for key in ("jpeg_header", f"{part}_blob"))
    ends, count = arrays[f"{part}_offsets"], arrays[f"{part}_labels"].size
    if ends.dtype.kind not in "iu" or ends.shape != (count + 1,):
        raise files.DataError(
            f"Expected {count + 1} integers, one more than labels, in {part}_offsets of "
            f"{path}; got {ends.dtype} of shape {list(ends.shape)}."
        )
    jpegs = [io.BytesIO(header + blob[i:j]) for i, j in itertools.pairwise(ends)]
    names = [f"image {i} of {part}_blob of {path}" for i in range(count)]
    decoded = list(map(np.asarray, map(images.open_picture, jpegs, names)))
    shapes = {image.shape for image in decoded}
    if shapes != {(32, 32, 3)}:
        raise files.DataError(
            f"Expected images of shape (32, 32, 3) in {part}_blob of {path}; got shapes "
            f"{sorted(shapes)}."
        )
    return np.stack(decoded)


def _jpeg_classes(arrays, part, path):
    labels = np.ravel(arrays[f"{part}_labels"])
    if labels.dtype.kind not in "iu" or not np.isin(labels, range(10)).all():
        raise files.DataError(
            f"Expected integers from 0 to 9 in {part}_labels of {path}; got "
            f"{labels.dtype} {np.unique(labels)[:20].tolist()}."
        )
    return labels


_KERAS = {
    name: Entry(
        functools.partial(load_image_set, name),
        f"{known.authors}; by keras.datasets",
        (known.num_train - _HELD_OUT, _HELD_OUT, _HELD_OUT),
        int(np.prod(known.image_shape)),
        **_PIXELS,
    )
    for name, known in _SETS.items()
}
ENTRIES = {
    "digits": Entry(
        load_digits, "scikit-learn's 8x8 images", (1257, 180, 360), 64, **_CLASSES
    ),
    **_KERAS,
    "omniglot": Entry(
        load_omniglot,
        "Lake, Salakhutdinov, Tenenbaum; 28x28 pixels by Burda et al.",
        _OMNIGLOT_ROWS,
        784,
        has_pixels=True,
        is_image=True,
    ),
    "cifar10_jpeg": Entry(
        load_cifar10_jpeg,
        "images of CIFAR-10 after JPEG, not comparable with any published figure",
        (9_000, 1_000, 2_000),
        3072,
        **_PIXELS,
    ),
    **{
        f"{name}_logit": dataclasses.replace(
            _KERAS[name],
            load=functools.partial(load_in_logit_space, name),
            origin=f"{name} in logit space, as in the MAF paper",
            has_pixels=False,
        )
        for name in _ALPHAS
    },
}
