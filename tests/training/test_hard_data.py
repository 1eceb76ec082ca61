"""Data that are hard for float32: units, outliers, variation below its resolution."""

import numpy as np
import pytest
from small_estimator import anew, fit

N = 40
X = np.random.default_rng(0).normal(size=(N, 2))
C = np.random.default_rng(1).normal(size=(N, 1))


def test_scaling_the_data_shifts_the_likelihood_by_the_volume(banana):
    plain, scaled = (fit(anew(), banana * unit)["loss"] for unit in (1.0, 1000.0))
    np.testing.assert_allclose(np.subtract(scaled, plain), 2 * np.log(1000.0), atol=1e-3)


TIMES = 1.7e9 + 5.0 * X
TOO_FINE = {
    "times": (TIMES, C, "`x` whose values float32 can tell apart; got column 0"),
    "one column": (X + [0.0, 1e8], C, "column 1 .*deviation of 0.*rounds to 8"),
    "integers": (np.round(5 * X).astype(np.int64) + 10**10, C, "`x` whose values"),
    "context": (X, 1.7e9 + C, "`context` whose values float32"),
    "lists": (TIMES.tolist(), C.tolist(), "`x` whose values"),
}


@pytest.mark.parametrize("name", TOO_FINE)
def test_spread_below_the_resolution(name):
    *data, message = TOO_FINE[name]
    model = anew(context_size=1, standardize=False)
    for call in (model.fit, model.initialize):
        with pytest.raises(ValueError, match=message) as error:
            call(tuple(data))
        assert "float64" in str(error.value)
        assert "Subtract an offset" in str(error.value)
    with pytest.raises(ValueError, match="`data` whose values float32 can tell apart"):
        anew().distribution.initialize(TIMES)


@pytest.mark.parametrize("unit", [1e-45, 1e-40, 1e37, 1e60])
def test_units_beyond_the_range(unit):
    far = unit * X, C
    far = tuple(part.astype(np.float32) for part in far) if unit == 1e37 else far
    for data, name in ((far, "x"), ((X, unit * C), "context")):
        message = f"`{name}` within the range of float32.* column 0 .*from .* Scale it"
        with pytest.raises(ValueError, match=message):
            anew(context_size=1).fit(data, verbose=0)


ORDINARY = {
    "constant": np.stack([X[:, 0], np.full(N, 1.7e9)], -1),
    "constant to rounding": np.stack([X[:, 0], 0.1 + 1e-17 * np.arange(N)], -1),
    "outlier": np.where(np.arange(N)[:, None] == 7, 1e9, X),
    "days": 1.7e9 + 86400.0 * X,
    "years": 2000 + np.round(5 * X),
    "tiny": 1e-30 * X,
}


@pytest.mark.filterwarnings("ignore:Columns")
@pytest.mark.parametrize("name", ORDINARY)
@pytest.mark.usefixtures("op_by_op")
def test_ordinary_data_train_to_finite_losses_and_samples(name):
    model = anew(num_steps=2)
    loss = model.fit(ORDINARY[name], epochs=3, verbose=0).history["loss"]
    assert np.isfinite(loss).all()
    assert np.isfinite(model.distribution.sample(100, seed=1)).all()
