"""MINIBOONE: neutrino events, of a detector of photons."""

from experiments.data import maf_archive
from experiments.data.arrays import load_array
from experiments.data.data_error import DataError
from experiments.data.dataset import Dataset
from experiments.data.dataset import Entry
from experiments.data.published import MAF_TABLE
from experiments.data.splits import split_tenths
from experiments.data.splits import standardized


def load_miniboone(request):
    """Returns MINIBOONE; the authors have already left out outliers and repetition."""
    (path,) = maf_archive.find(request.data_dir, "miniboone/data.npy")
    rows = load_array(path)
    if rows.ndim != 2:
        raise DataError(f"Expected an array [N, D] in {path}; got shape {rows.shape}.")
    sets = standardized(*split_tenths(rows))
    return Dataset("miniboone", *sets, published=MAF_TABLE["miniboone"])


_ORIGIN = "UCI MiniBooNE particle identification, as the authors of MAF prepare it"
ENTRIES = {"miniboone": Entry(load_miniboone, _ORIGIN, (29_556, 3_284, 3_648), 43)}
