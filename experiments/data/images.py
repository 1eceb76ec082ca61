"""Images of 8-bit integers: safe reading, and conversion to rows in `[0, 1)`."""

import numpy as np
from PIL import Image, ImageOps

import tfp_flows
from experiments.data.dataset import Dataset, context_fields
from experiments.data.files import DataError, reading
from experiments.data.published import IMAGE_TABLE

# Pillow's modes of 16-bit grey, one for each byte order.
_SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N")
# Modes that Pillow converts to 8 bits correctly; it clips 32-bit `I` and `F` at 255.
_EIGHT_BITS = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")
# Formats that Pillow decodes itself; for others it runs programs such as Ghostscript.
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF")
# Errors that Pillow raises for damaged files, and for pictures too large for memory.
_ERRORS = (OSError, ValueError, SyntaxError, EOFError, MemoryError)
_ERRORS += (Image.DecompressionBombError,)


def open_picture(file, name):
    """Returns a PIL image of at most 8 bits a channel, upright, without a palette.

    The high byte of 16-bit grey values is kept. Pictures whose channels are all equal by
    their mode or palette become grey; transparency is dropped. `file` is a path or an open
    file, and `name` its name in errors.
    """
    with reading("a picture", name, _ERRORS), Image.open(file, formats=_FORMATS) as image:
        image.load()
    if image.mode in _SIXTEEN_BITS:
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode not in _EIGHT_BITS:
        raise DataError(
            f"Expected a picture of 8-bit channels or 16-bit grey (modes "
            f"{', '.join((*_EIGHT_BITS, _SIXTEEN_BITS[0]))}) in {name}; got mode "
            f"{image.mode}."
        )
    return _plain(ImageOps.exif_transpose(image))


def _plain(image):
    """Grey or colour: Pillow resizes palettes and single bits by the nearest pixel."""
    if image.mode in ("1", "L", "LA"):
        return image.convert("L")
    if image.mode not in ("P", "PA"):
        return image
    colour = image.convert("RGB")
    red, *others = map(np.asarray, colour.split())
    return colour.convert("L") if all((red == o).all() for o in others) else colour


def image_dataset(name, pixels, validation, request, *, classes=None, class_names=()):
    """Returns a `Dataset` of dequantised images.

    Args:
      name: name of the data set.
      pixels: training and test images, two `uint8` arrays `[N, H, W]` or `[N, H, W, C]`.
      validation: number of validation images, the last of the training images.
      request: a `Request`, for its `num_bits`, `seed` and `conditional`.
      classes: class of each image, two integer arrays `[N]`; None if unknown.
      class_names: their names.
    """

    def divide(train, test):
        count = len(train) - validation
        return train[:count], train[count:], test

    rng = np.random.default_rng(request.seed)
    is_comparable = request.num_bits == 8 and not request.conditional
    known = {}
    if classes is not None:
        known = describe_classes(divide(*classes), class_names, request.conditional)
    return Dataset(
        name,
        *divide(*(dequantized(images, request.num_bits, rng) for images in pixels)),
        image_shape=pixels[0].shape[1:3],
        bin_width=1.0 / 2**request.num_bits,
        published=IMAGE_TABLE.get(name, {}) if is_comparable else {},
        **known,
    )


def describe_classes(sets, names, conditional):
    """Returns the fields of a `Dataset` that hold the class of each row.

    The classes of train, validation and test are three integer arrays `[N]`. If
    `conditional`, they are the context, one-hot.
    """
    names = tuple(names)
    if conditional:
        one_hot = np.eye(len(names), dtype=np.float32)
        return context_fields([one_hot[x] for x in sets]) | {"class_names": names}
    train, _, test = sets
    return {"train_classes": train, "test_classes": test, "attribute_names": names}


def dequantized(pixels, num_bits, rng):
    """Returns images, `uint8` `[N, ...]`, as rows in `[0, 1)`, `[N, D]`, float32.

    `num_bits` of each pixel are kept, and `rng` draws the uniform noise.
    """
    values = tfp_flows.distributions.reduce_bits(pixels, num_bits).reshape(len(pixels), -1)
    rows = ((values + rng.random(values.shape)) / 2.0**num_bits).astype(np.float32)
    # Rounding must not move a value into the next bin.
    ends = (values.astype(np.float32) + 1.0) / np.float32(2.0**num_bits)
    return np.minimum(rows, np.nextafter(ends, np.float32(0.0)))
