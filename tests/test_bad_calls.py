"""Every bad call is refused in words, and leaves nothing behind."""

import numpy as np
import pytest
from bad_calls import bijectors
from bad_calls import distributions
from bad_calls import experiments
from bad_calls import flows
from bad_calls import models
from bad_calls import networks
from bad_calls import posteriors

AREAS = (bijectors, networks, flows, distributions, models, posteriors, experiments)
CALLS = {
    f"{area.__name__.split('.')[-1]}: {name}": call
    for area in AREAS
    for name, call in area.CALLS.items()
}


def test_the_table_is_long_enough():
    assert len(CALLS) == sum(len(area.CALLS) for area in AREAS) >= 150


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
