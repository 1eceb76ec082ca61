"""The data sets by name: `DATASETS[name].load(request)` returns a `Dataset`."""

from experiments.data import binary
from experiments.data import image_sets
from experiments.data import maf_tables
from experiments.data import own_images
from experiments.data import own_table
from experiments.data import simulated
from experiments.data import small_tables
from experiments.data.dataset import Dataset
from experiments.data.dataset import Request
from experiments.data.dataset import catalogue
from experiments.data.files import DataError

_FILES = (simulated, image_sets, maf_tables, binary, small_tables, own_table, own_images)
DATASETS = {k: v for file in _FILES for k, v in file.ENTRIES.items()}


def load_dataset(name, **arguments):
    """Returns the data set called `name`, by a `Request` of these arguments.

    Raises:
      DataError: if its file is missing or has other content.
    """
    if name not in DATASETS:
        raise ValueError(
            f"Expected `dataset` to be one of {sorted(DATASETS)}; got {name!r}."
        )
    return DATASETS[name].load(Request(**arguments))
