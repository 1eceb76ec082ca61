"""A user's own pictures: a folder of files, or arrays of an `.npz` file."""

import pathlib

import numpy as np
from PIL import Image

from experiments.data.arrays import load_arrays
from experiments.data.data_error import DataError
from experiments.data.entry import Entry
from experiments.data.picture_file import open_picture
from experiments.data.pixels import image_dataset

__all__ = ["ENTRIES", "FITS"]

_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")


def _refuse(image, size, path):
    raise DataError(
        f"Expected pictures of {size[0]}x{size[1]}, as the first one or --image_size; got "
        f"{image.width}x{image.height} in {path}. --image_fit=resize or crop makes it fit."
    )


def _resize(image, size, path):
    del path
    return image.resize(size, Image.Resampling.LANCZOS)


def _crop(image, size, path):
    """The middle of the picture, as large as it goes, at the wanted size."""
    del path
    width, height = size
    scale = max(width / image.width, height / image.height)
    wanted = round(image.width * scale), round(image.height * scale)
    image = image.resize(wanted, Image.Resampling.LANCZOS)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


# What `--image_fit` can name: what is done with a picture of another size.
FITS = {"refuse": _refuse, "resize": _resize, "crop": _crop}


def load_own_images(request):
    """Returns the images of `request.images_path`, divided at random by `request.seed`.

    An `.npz` file holds one array, `[N, H, W]` or `[N, H, W, C]` of bytes, or `x_train` and
    `x_test`; of a folder, all pictures in it and below count.
    """
    path = pathlib.Path(request.images_path)
    sets = _read_folder(path, request) if path.is_dir() else _read_npz(path)
    for images in sets:
        _check(images, path)
    rng = np.random.default_rng(request.seed)
    train, *tests = (rng.permutation(images) for images in sets)
    count = len(train)
    if not tests:
        num_test = round(request.test_share * count)
        train, tests = train[num_test:], [train[:num_test]]
    num_validation = round(request.validation_share * count)
    if min(num_validation, len(tests[0]), len(train) - num_validation) < 2:
        raise DataError(
            "Expected pictures for at least 2 of train, validation and test each in "
            f"{path}; got {count} in all."
        )
    return image_dataset("images", (train, tests[0]), num_validation, request)


def _read_npz(path):
    arrays = load_arrays(path)
    if {"x_train", "x_test"} <= set(arrays):
        return [arrays["x_train"], arrays["x_test"]]
    if len(arrays) != 1:
        raise DataError(
            f"Expected one array, or x_train and x_test, in {path}; got {list(arrays)}."
        )
    return list(arrays.values())


def _read_folder(path, request):
    files = sorted(p for p in path.rglob("*") if p.suffix.lower() in _SUFFIXES)
    if not files:
        raise DataError(f"Expected pictures ({', '.join(_SUFFIXES)}) in {path}; got none.")
    first = open_picture(files[0], files[0])
    size = (request.image_size,) * 2 if request.image_size else first.size
    fit = FITS[request.image_fit]
    images = []
    for file in files:
        image = open_picture(file, file)
        images.append(image if image.size == size else fit(image, size, file))
    mode = "L" if {image.mode for image in images} <= {"L", "1"} else "RGB"
    return [np.stack([np.asarray(image.convert(mode)) for image in images])]


def _check(images, path):
    if images.ndim not in (3, 4) or 0 in images.shape or images.dtype != np.uint8:
        raise DataError(
            f"Expected bytes (uint8) of shape [N, H, W] or [N, H, W, C] in {path}; got "
            f"{images.dtype} of shape {list(images.shape)}."
        )


ENTRIES = {
    "images": Entry(
        load_own_images, "your own pictures: --images_path", has_pixels=True, is_image=True
    ),
}
