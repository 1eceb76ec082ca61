"""One picture of a file, read without trusting it."""

import numpy as np
from PIL import Image

from experiments.data.data_error import DataError

__all__ = ["open_picture"]

# How Pillow names the byte orders of 16-bit grey.
_SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N")
# What it converts to 8 bits a channel rightly; 32-bit `I` and `F` it would clip at 255.
_EIGHT_BITS = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")


def open_picture(file, name):
    """Returns a PIL image of at most 8 bits a channel.

    Of 16-bit grey, which is 256 times as fine, that is the high byte.

    Args:
      file: path of the picture, or a file that is open.
      name: what errors call it.

    Raises:
      DataError: if it is no picture, or of a mode whose range is not known.
    """
    try:
        with Image.open(file) as image:
            image.load()
    except (OSError, Image.DecompressionBombError) as error:
        raise DataError(f"Expected a picture in {name}; got {error}.") from error
    if image.mode in _SIXTEEN_BITS:
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode not in _EIGHT_BITS:
        raise DataError(
            f"Expected a picture of 8-bit channels or 16-bit grey (modes "
            f"{', '.join((*_EIGHT_BITS, _SIXTEEN_BITS[0]))}) in {name}; got mode "
            f"{image.mode}."
        )
    return image
