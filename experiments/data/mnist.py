"""MNIST's handwritten digits."""

import zipfile

import numpy as np

from experiments.data.data_error import DataError
from experiments.data.dataset import Dataset
from experiments.data.entry import Entry
from experiments.data.maf_archive import find_prepared

__all__ = ["ENTRIES"]


def load_mnist(request):
    """Returns 70,000 images of 28x28 handwritten digits, dequantised to `[0, 1)`.

    The last 10,000 training images are the validation set, as in the MAF paper.
    """
    train, test = _pixels(request.data_dir)
    rng = np.random.default_rng(request.seed)
    train, test = (_dequantize(pixels, rng) for pixels in (train, test))
    return Dataset(
        "mnist",
        train[:50_000],
        train[50_000:],
        test,
        image_shape=(28, 28),
        bin_width=1.0 / 256.0,
    )


def _pixels(data_dir):
    """The training and the test images, `[N, 28, 28]`, as integers."""
    path = find_prepared(data_dir, "mnist.npz", "mnist/mnist.npz")
    if path is None:
        return _download()
    try:
        with np.load(path) as arrays:
            train, test = arrays["x_train"], arrays["x_test"]
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"Expected Keras's mnist.npz in {path}; got {error}.") from error
    if train.shape != (60_000, 28, 28) or test.shape != (10_000, 28, 28):
        raise DataError(
            f"Expected `x_train` and `x_test` of 60,000 and 10,000 images of 28x28 in "
            f"{path}; got {train.shape} and {test.shape}."
        )
    return train, test


def _download():
    import keras  # here, since only this data set is downloaded by it

    try:
        (train, _), (test, _) = keras.datasets.mnist.load_data()
    except Exception as error:  # Keras raises a bare `Exception` where there is no network
        raise DataError(
            f"Expected to download MNIST; got {error}. Without a network, name with "
            "--data_dir a folder that holds mnist.npz."
        ) from error
    return train, test


def _dequantize(pixels, rng):
    rows = pixels.reshape(len(pixels), -1)
    rows = ((rows + rng.random(rows.shape)) / 256.0).astype(np.float32)
    return np.minimum(rows, np.nextafter(np.float32(1.0), np.float32(0.0)))


ENTRIES = {
    "mnist": Entry(
        load_mnist,
        "LeCun, Cortes, Burges; by keras.datasets",
        (50_000, 10_000, 10_000),
        784,
    ),
}
