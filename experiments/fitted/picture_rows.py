"""Pictures as the rows of a model of images, a few at a time."""

import pathlib

import numpy as np
from PIL import Image

from experiments.data.images import dequantized
from experiments.data.images import open_picture
from experiments.data.own_images import FITS
from experiments.data.own_images import picture_array
from experiments.data.own_images import picture_files
from experiments.runs import run_directory
from experiments.runs.run_directory import RunDirectoryError

__all__ = ["PictureRows"]

_PICTURES_A_CALL = 256


class PictureRows:
    """Pictures of a folder, or of an `.npz` file, as a run's flow takes them.

    Args:
      path: folder, all pictures in and below which count, or `.npz` file of one array of
        bytes.
      run_dir: folder of a finished run on images of integers.
      fit: key of `FITS`, for pictures of another size.

    Raises:
      RunDirectoryError: if there is no such run.
      DataError: if there are no pictures.

    Attributes:
      names: of the files in order, or their numbers in the array.
      bins: values of a channel.
    """

    def __init__(self, path, run_dir, fit):
        results = run_directory.finished_results(run_dir) or {}
        bits = results.get("bits_per_dimension")
        if not bits or not results.get("image_shape") or results["context_size"]:
            raise RunDirectoryError(
                "Expected the folder of a finished, unconditional run on images, whose "
                f"results tell the size of a picture; got {run_dir}."
            )
        self.bins = round(bits["bins_per_unit"])
        self._shape, self._fit = tuple(results["image_shape"]), fit
        self._mode = "L" if self._shape[2:] in ((), (1,)) else "RGB"
        path = pathlib.Path(path)
        self._root = path if path.is_dir() else None
        self._found = picture_files(path) if path.is_dir() else picture_array(path)
        self.names = [
            str(item.relative_to(path)) if self._root else str(i)
            for i, item in enumerate(self._found)
        ]

    def parts(self, start, seed):
        """Yields (names, rows `[n, D]`), from picture `start` on.

        Args:
          start: number of a picture, from 0, a multiple of n.
          seed: integer that determines the dequantisation noise of each.
        """
        for first in range(start, len(self.names), _PICTURES_A_CALL):
            chosen = slice(first, first + _PICTURES_A_CALL)
            pixels = np.stack([self._pixels(item) for item in self._found[chosen]])
            rng = np.random.default_rng([seed, first])
            num_bits = self.bins.bit_length() - 1
            yield self.names[chosen], dequantized(pixels, num_bits, rng)

    def bits_per_dimension(self, nats, rows):
        """Returns bits per dimension, `[n]`, of rows `[n, D]` with densities `[n]`."""
        return np.log2(self.bins) - nats / (rows.shape[1] * np.log(2.0))

    def _pixels(self, item):
        image = open_picture(item, item) if self._root else Image.fromarray(item)
        size = self._shape[1], self._shape[0]
        if image.size != size:
            image = FITS[self._fit](image, size, item if self._root else "the array")
        return np.asarray(image.convert(self._mode)).reshape(self._shape)
