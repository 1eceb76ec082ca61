"""Single batches, and numbers of rows and steps."""

import numpy as np
import pytest
from small_estimator import anew
from small_estimator import fit

X = np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32)


def test_a_first_batch_sets_the_statistics_as_fit_does(banana):
    x = 1000.0 * banana
    expected = fit(anew(), x, epochs=1, batch_size=512)["loss"][0]
    assert anew().train_on_batch(x) == pytest.approx(expected, rel=1e-5)
    assert anew().train_on_batch(x.tolist(), return_dict=True).keys() == {"loss"}


def test_single_batches_are_refused_as_by_fit():
    model = anew()
    calls = {
        "no targets `y`": lambda: model.train_on_batch(X, X),
        "no `class_weight`": lambda: model.train_on_batch(X, class_weight={0: 1.0}),
        "finite `x`; got nan in row 3": lambda: model.train_on_batch(
            np.where(np.arange(40)[:, None] == 3, np.nan, X)
        ),
        "Expected no targets": lambda: model.test_on_batch(X, X),
    }
    for message, call in calls.items():
        with pytest.raises(ValueError, match=message):
            call()


@pytest.mark.parametrize("method", ["evaluate", "predict"])
def test_numbers_of_rows_and_steps(method):
    for options in ({"batch_size": -1}, {"steps": 0}):
        with pytest.raises(ValueError, match="Expected an integer `.*` of at least 1"):
            getattr(anew(), method)(X, verbose=0, **options)
