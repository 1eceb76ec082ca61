"""The data sets by name: `DATASETS[name].load(request)` returns a `Dataset`."""

from experiments.data import binary
from experiments.data import bsds300
from experiments.data import digits
from experiments.data import gas
from experiments.data import hepmass
from experiments.data import jpeg_images
from experiments.data import keras_images
from experiments.data import known_densities
from experiments.data import logit_images
from experiments.data import miniboone
from experiments.data import own_images
from experiments.data import own_table
from experiments.data import power
from experiments.data import toy
from experiments.data import small_tables
from experiments.data.dataset import Request
from experiments.data.dataset import catalogue
from experiments.data.data_error import DataError
from experiments.data.dataset import Dataset

_FILES = (toy, known_densities, digits, keras_images, jpeg_images, logit_images, power)
_FILES += (gas, hepmass, miniboone, bsds300, binary, small_tables, own_table, own_images)
DATASETS = {k: v for file in _FILES for k, v in file.ENTRIES.items()}


def load_dataset(name, **arguments):
    """Returns the data set called `name`.

    Args:
      name: a key of `DATASETS`.
      **arguments: of `Request`, as `data_dir` and `seed`.

    Raises:
      ValueError: if there is no such data set.
      DataError: if its file is not to be had, or holds something else.
    """
    if name not in DATASETS:
        raise ValueError(
            f"Expected `dataset` to be one of {sorted(DATASETS)}; got {name!r}."
        )
    return DATASETS[name].load(Request(**arguments))
