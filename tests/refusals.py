"""Tables of calls that must be refused in words."""

import numpy as np
import pytest


def bad_calls(table):
    """Parametrises a test by `call` and `words`.

    Args:
      table: list of pairs: a function, and the words that the message of its error must
        contain, such as "`num_steps` | got 0": the argument and its value.
    """
    rows = [pytest.param(call, words, id=words) for call, words in table]
    return pytest.mark.parametrize(("call", "words"), rows)


def all_refused(table):
    """A test that each call of a table is refused and writes nothing."""

    @bad_calls(table)
    def test(call, words, check_refused):
        check_refused(call, words)

    return test


def check_refused(call, words):
    """Calls `call`, which must raise an error with all `words` and change no variable.

    The variables are those of the cached objects, such as `flow()`, that `call` names.
    """
    named = [call.__globals__.get(name) for name in call.__code__.co_names]
    kept = [make() for make in named if hasattr(make, "cache_info")]
    before = _values(kept)
    with pytest.raises((ValueError, TypeError)) as caught:
        call()
    message = str(caught.value)
    assert all(word in message for word in words.split(" | ")), message
    for then, now in zip(before, _values(kept), strict=True):
        np.testing.assert_array_equal(now, then)


def _values(objects):
    return [np.array(v) for held in objects for v in getattr(held, "variables", ())]
