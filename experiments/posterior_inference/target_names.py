"""The names that `--target` takes, and how each finds its model and its data."""

import dataclasses

import numpy as np

from experiments.command_line.flag_settings import UsageError
from experiments.data.files import find_prepared, load_arrays, need_prepared, reading

_PREFIX = "posteriordb:"

# Names alone, since `--help` shows them, and TensorFlow, which models need, loads slowly.
OWN = (  # of `targets.py`
    "eight_schools",
    "eight_schools_centered",
    "logistic_regression",
    "funnel",
    "banana",
    "mixture",
    "gaussian",
)
SHORT_NAMES = {
    "kidscore_momhsiq": "kidiq-kidscore_momhsiq",
    "logearn_interaction": "earnings-logearn_interaction",
    "logmesquite_logvash": "mesquite-logmesquite_logvash",
    "nes1980": "nes1980-nes",
    "blr": "sblrc-blr",
    "diamonds": "diamonds-diamonds",
}
POSTERIORDB = (  # of `posteriordb_models.py`
    "arK-arK",
    "arma-arma11",
    "eight_schools-eight_schools_noncentered",
    "garch-garch11",
    "gp_pois_regr-gp_pois_regr",
    "hudson_lynx_hare-lotka_volterra",
    "low_dim_gauss_mix-low_dim_gauss_mix",
    *SHORT_NAMES.values(),
)


def choices():
    """Returns the names that `find` takes."""
    return [*OWN, *SHORT_NAMES, *(_PREFIX + name for name in POSTERIORDB)]


def stored(data_dir):
    """Returns the names, in the form of `find`, of posteriors with files in a folder."""
    found = [name for name in POSTERIORDB if find_prepared(data_dir, _file(name))]
    return [_PREFIX + name for name in found]


def find(name, data_dir=""):
    """Returns the `Target` of a name, one of `choices()`.

    The files of posteriordb are in `data_dir`, or in its subfolder `posteriordb`.

    Raises:
      DataError: if its file is missing or has other content.
    """
    if name in OWN:
        from experiments.posterior_inference import targets  # once the flags are read

        return targets.TARGETS[name]
    if name not in choices():
        raise UsageError(f"Expected `target` to be one of {choices()}; got {name!r}.")
    return _load(SHORT_NAMES.get(name, name.removeprefix(_PREFIX)), data_dir)


def _load(name, data_dir):
    wanted = f"{name}.npz, the data and reference draws of posteriordb"
    path = need_prepared(data_dir, _file(name), wanted=wanted)
    arrays = load_arrays(path)
    from experiments.posterior_inference import posteriordb_models  # as above

    with reading("data and draws of posteriordb", path, (LookupError, ValueError)):
        data = {k.removeprefix("data_"): _as_numbers(v) for k, v in arrays.items()}
        target = posteriordb_models.MODELS[name](data)
        names, draws = tuple(map(str, data["parameter_names"])), data["draws"]
        width = len(target.labels())
        if draws.ndim != 2 or not draws.shape[1] == len(names) == width:
            raise ValueError(f"draws of shape {draws.shape} of {width} parameters")
    return dataclasses.replace(target, reference=draws, names=names)


def _file(name):
    return f"posteriordb/{name}.npz"


def _as_numbers(array):
    return array if array.dtype.kind in "US" else array.astype(np.float64)
