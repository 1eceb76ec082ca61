"""Writes tables as pandas 0.20 pickled them, from stand-ins of its classes."""

import pickle
import sys
import types

import numpy as np
import pytest

_INDEX = "pandas.indexes.base"


class Object:
    def __init__(self, state=None):
        self.state = state

    def __getstate__(self):
        return self.state


class BlockManager(Object):
    pass


class DataFrame(Object):
    pass


class Index:
    def __init__(self, data):
        self.data = data

    def __reduce__(self):
        return _new_Index, (Index, {"data": self.data, "name": None})


def _new_Index(cls, parts):  # noqa: N802
    raise NotImplementedError


_HOMES = {
    BlockManager: "pandas.core.internals",
    DataFrame: "pandas.core.frame",
    Index: _INDEX,
    _new_Index: _INDEX,
}


def write_pickle(path, values, names):
    """Writes `[N, D]` values with their names, in two blocks as of two dtypes."""
    axes = Index(np.array(names, object)), Index(np.arange(len(values)))
    blocks = [
        {"values": values[:, 1:].T.copy(), "mgr_locs": slice(1, len(names), 1)},
        {"values": values[:, :1].T.copy(), "mgr_locs": np.array([0])},
    ]
    manager = BlockManager((axes, [], [], {"0.14.1": {"axes": axes, "blocks": blocks}}))
    frame = DataFrame({"_data": manager, "_typ": "dataframe", "_metadata": []})
    path.parent.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch, path.open("wb") as file:
        for each, home in _HOMES.items():
            patch.setattr(each, "__module__", home)
        for home in ("pandas", "pandas.core", "pandas.indexes", *_HOMES.values()):
            patch.setitem(sys.modules, home, types.ModuleType(home))
        for each, home in _HOMES.items():
            setattr(sys.modules[home], each.__name__, each)
        pickle.dump(frame, file, protocol=2)
