"""The data sets by name: `DATASETS[name](data_dir, seed)` returns a `Dataset`."""

from experiments.data import tabular
from experiments.data import toy
from experiments.data.dataset import Dataset

DATASETS = {**toy.LOADERS, **tabular.LOADERS}


def load_dataset(name, *, data_dir=None, seed=0):
    """Returns the data set called `name`.

    Args:
      name: a key of `DATASETS`.
      data_dir: folder of the files that do not come with a package.
      seed: integer that determines what is drawn: toy data, noise, splits.

    Raises:
      ValueError: if there is no such data set, or its file is not in `data_dir`.
    """
    if name not in DATASETS:
        raise ValueError(
            f"Expected `dataset` to be one of {sorted(DATASETS)}; got {name!r}."
        )
    return DATASETS[name](data_dir, seed)
