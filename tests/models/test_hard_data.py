import numpy as np
import pytest
from small_estimator import estimator
from small_estimator import fit


def test_scaling_the_data_shifts_the_likelihood_by_the_volume(banana):
    plain, scaled = (fit(estimator(), banana * unit)["loss"] for unit in (1.0, 1000.0))
    np.testing.assert_allclose(np.subtract(scaled, plain), 2 * np.log(1000.0), atol=1e-3)


@pytest.mark.filterwarnings("ignore:Columns")
@pytest.mark.parametrize("trouble", ["constant", "outliers", "times 1000"])
def test_troublesome_data_train_to_finite_losses_and_samples(banana, trouble):
    x = banana.copy()
    if trouble == "constant":
        x[:, 1] = 3.0
    elif trouble == "outliers":
        x[::100] *= 1e3
    else:
        x *= 1000.0
    model = estimator(num_steps=4)
    assert np.isfinite(fit(model, x, epochs=5)["loss"]).all()
    assert np.isfinite(model.distribution.sample(100, seed=1)).all()


def test_thirty_two_steps_on_nineteen_variables_stay_finite(rng):
    x = rng.standard_t(3, size=(256, 19)).astype(np.float32)
    model = estimator(19, num_steps=32)
    assert np.isfinite(fit(model, x)["loss"]).all()
    assert np.isfinite(model.distribution.sample(100, seed=1)).all()
