"""Old pickled pandas tables: read without pandas, and nothing else is run."""

import pickle

import numpy as np
import pytest
from old_pandas import write_pickle

from experiments.data import DataError
from experiments.data.pandas_pickle import read_pandas_pickle


def test_columns_are_read_by_name(tmp_path):
    values = np.random.default_rng(0).normal(size=(5, 3))
    write_pickle(tmp_path / "x.pickle", values, ["a", "b", "c"])
    columns = read_pandas_pickle(tmp_path / "x.pickle")
    assert list(columns) == ["a", "b", "c"]
    np.testing.assert_array_equal(np.stack(list(columns.values()), axis=1), values)


class Malicious:
    def __reduce__(self):
        return print, ("code of the pickle was run",)


@pytest.mark.parametrize("thing", [Malicious(), {"a": 1}, [1, 2], None])
def test_pickle_of_anything_else_is_refused_unrun(thing, tmp_path, capsys):
    (tmp_path / "x.pickle").write_bytes(pickle.dumps(thing))
    with pytest.raises(DataError, match="Expected a pickled table"):
        read_pandas_pickle(tmp_path / "x.pickle")
    assert capsys.readouterr().out == ""
