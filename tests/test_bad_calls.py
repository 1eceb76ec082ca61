"""Every bad call is refused in words, and leaves nothing behind."""

from pathlib import Path

import numpy as np
import pytest
from bad_calls import experiments
from bad_calls import parts
from bad_calls.bad_call import read_table

import tfp_flows

NAMES = {name: getattr(tfp_flows, name) for name in tfp_flows.__all__} | vars(parts)
TABLES = {
    path.stem: read_table(path, NAMES)
    for path in sorted((Path(__file__).parent / "bad_calls").glob("*.txt"))
} | {"experiments": experiments.CALLS}
CALLS = {
    f"{name}: {k}": call for name, table in TABLES.items() for k, call in table.items()
}


def test_the_table_is_long_enough():
    assert len(CALLS) >= 430


@pytest.mark.parametrize("name", CALLS)
def test_bad_call_is_refused_in_words(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    call = CALLS[name]
    before = call.state()
    with pytest.raises((ValueError, TypeError)) as caught:
        call.call()
    message = str(caught.value)
    assert all(word in message for word in call.words), message
    assert not list(tmp_path.rglob("*"))
    for kept, value in zip(before, call.state(), strict=True):
        np.testing.assert_array_equal(kept, value)
