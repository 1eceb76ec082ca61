"""A user's own pictures: a folder of files, or arrays of an `.npz` file."""

import pathlib

import numpy as np
from PIL import Image, ImageOps

from experiments.data.dataset import Entry
from experiments.data.files import DataError, load_arrays
from experiments.data.images import image_dataset, open_picture

_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")

_KEYS = ("x_train", "x_test")  # arrays of a file that divides the images itself


def _refuse(image, size, path):
    raise DataError(
        f"Expected pictures of {size[0]}x{size[1]}, as the first one or --image_size; got "
        f"{image.width}x{image.height} in {path}. Use --image_fit=resize or crop."
    )


def _resize(image, size, path):
    del path
    return image.resize(size, Image.Resampling.LANCZOS)


def _crop(image, size, path):
    """The largest possible middle part of the picture, resized to the wanted size."""
    del path
    return ImageOps.fit(image, size, Image.Resampling.LANCZOS)


# Choices of `--image_fit`: the treatment of a picture of another size.
FITS = {"refuse": _refuse, "resize": _resize, "crop": _crop}


def picture_files(folder):
    """Returns the paths of all pictures in a folder and its subfolders, sorted."""
    files = (p for p in pathlib.Path(folder).rglob("*") if p.suffix.lower() in _SUFFIXES)
    if files := sorted(files):
        return files
    raise DataError(f"Expected pictures ({', '.join(_SUFFIXES)}) in {folder}; got none.")


def picture_array(path):
    """Returns the one array of an `.npz` file: bytes, `[N, H, W]` or `[N, H, W, 3]`."""
    arrays = load_arrays(path)
    if len(arrays) != 1:
        raise DataError(f"Expected one array in {path}; got {list(arrays)}.")
    return _checked(*arrays.values(), path)


def load_own_images(request):
    """Returns the images of `request.images_path`, split at random by `request.seed`.

    An `.npz` file holds one array of bytes, `[N, H, W]` or `[N, H, W, C]` with C of 1 or 3,
    or `x_train` and `x_test`. A folder is read with its subfolders.
    """
    path = pathlib.Path(request.path("images_path"))
    read = _read_folder if path.is_dir() else _read_npz
    sets = read(path, request)
    rng = np.random.default_rng(request.seed)
    train, *tests = (rng.permutation(images) for images in sets)
    num_validation = round(request.validation_share * len(train))
    if tests:
        request.refuse_shares(["test_share"], _KEYS, path)
        (test,) = tests
    else:
        num_test = round(request.test_share * len(train))
        train, test = train[num_test:], train[:num_test]
    sizes = len(train) - num_validation, num_validation, len(test)
    if min(sizes) < 2:
        raise DataError(
            "Expected pictures for at least 2 of train, validation and test each in "
            f"{path}; got {sizes}."
        )
    return image_dataset("images", (train, test), num_validation, request)


def _read_npz(path, request):
    arrays = load_arrays(path)
    if set(_KEYS) <= set(arrays):
        arrays = {name: arrays[name] for name in _KEYS}
    elif len(arrays) != 1:
        raise DataError(
            f"Expected one array, or x_train and x_test, in {path}; got {list(arrays)}."
        )
    sets = {f"{name} of {path}": images for name, images in arrays.items()}
    sets = {name: _checked(images, name) for name, images in sets.items()}
    shapes = [list(images.shape) for images in sets.values()]
    if any(shape[3:] != shapes[0][3:] for shape in shapes):
        raise DataError(
            f"Expected the same number of channels in x_train and x_test of {path}; got "
            f"shapes {shapes[0]} and {shapes[1]}."
        )
    size = _wanted_size(request, tuple(shapes[0][2:0:-1]))
    return [_fit_all(images, size, request, name) for name, images in sets.items()]


def _read_folder(path, request):
    files = picture_files(path)
    size = _wanted_size(request, open_picture(files[0], files[0]).size)
    fit = FITS[request.image_fit]
    images = []
    for file in files:
        image = open_picture(file, file)
        images.append(image if image.size == size else fit(image, size, file))
    mode = "L" if {image.mode for image in images} <= {"L", "1"} else "RGB"
    return [np.stack([np.asarray(image.convert(mode)) for image in images])]


def _wanted_size(request, first):
    """Width and height of all pictures; `first`: of the first picture."""
    return (request.image_size,) * 2 if request.image_size else first


def _fit_all(images, size, request, name):
    if images.shape[2:0:-1] == size:
        return images
    fit = FITS[request.image_fit]
    return np.stack([np.asarray(fit(Image.fromarray(i), size, name)) for i in images])


def _checked(images, name):
    """Returns images `[N, H, W]` if grey, or `[N, H, W, 3]`."""
    shape = list(images.shape)
    is_image = len(shape) == 3 or (len(shape) == 4 and shape[3] in (1, 3))
    if not is_image or 0 in shape or images.dtype != np.uint8:
        raise DataError(
            "Expected bytes (uint8) of shape [N, H, W] or [N, H, W, C], with C of 1 or 3, "
            f"in {name}; got {images.dtype} of shape {shape}."
        )
    return images[..., 0] if shape[3:] == [1] else images


ENTRIES = {
    "images": Entry(
        load_own_images,
        "your own pictures: --images_path",
        has_pixels=True,
        is_image=True,
    )
}
