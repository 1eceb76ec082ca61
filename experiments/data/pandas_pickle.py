"""Reads the numbers of an old pickled pandas table, without pandas and without its code."""

import pickle

import numpy as np

from experiments.data.data_error import reading

__all__ = ["read_pandas_pickle"]

# What a pickle of arrays needs; anything else of it is recorded, or refused.
_ALLOWED = {
    "_reconstruct": np.empty(0).__reduce__()[0],  # NumPy's maker of arrays
    "ndarray": np.ndarray,
    "dtype": np.dtype,
    "slice": slice,
    "object": object,
    "encode": lambda text, encoding: text.encode("latin1"),  # how protocol 2 spells bytes
}
_MODULES = {"numpy", "builtins", "__builtin__", "_codecs"}
_FORMAT = "0.14.1"  # the version of pandas that began it; it lasted until 1.2
# What reading an object of another kind as a table raises.
_OF_OTHER_OBJECTS = (AttributeError, TypeError, ValueError, ImportError)
_OF_OTHER_OBJECTS += (pickle.UnpicklingError, EOFError, LookupError, MemoryError)


def read_pandas_pickle(path):
    """Returns the columns of a `DataFrame` that pandas 0.14 to 1.2 pickled, by name.

    Args:
      path: of the pickle. No code of it is run: only arrays are made.

    Raises:
      DataError: if it is anything else.
    """
    with reading("a pickled table", path, _OF_OTHER_OBJECTS), open(path, "rb") as file:
        return _columns(_Unpickler(file, encoding="latin1").load())


class _Recorded:
    """Stands for any object of pandas: keeps what it was made of."""

    def __init__(self, *args):
        self.args = args
        self.state = None

    def __setstate__(self, state):
        self.state = state


class _Unpickler(pickle.Unpickler):
    def find_class(self, module, name):
        top = module.partition(".")[0]
        if top == "pandas":
            return _Recorded
        if top in _MODULES and name in _ALLOWED:
            return _ALLOWED[name]
        raise pickle.UnpicklingError(f"a reference to {module}.{name}")


def _columns(frame):
    state = frame.state["_data"].state[3][_FORMAT]
    names = state["axes"][0].args[1]["data"]
    columns = dict.fromkeys(map(str, names))
    for block in state["blocks"]:
        for name, values in zip(names[block["mgr_locs"]], block["values"], strict=True):
            columns[str(name)] = values
    return columns
