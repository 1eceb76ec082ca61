"""Files of an earlier version load, and say what they said then."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest

import tfp_flows  # registers what the files hold

FOLDER = Path(__file__).parent / "saved"
LOG_PROB = json.loads((FOLDER / "log_prob.json").read_text())


@pytest.mark.parametrize("name", LOG_PROB)
def test_a_file_of_an_earlier_version_gives_the_densities_that_it_gave(name):
    points = np.load(FOLDER / "points.npz")
    model = keras.saving.load_model(FOLDER / f"{name}.keras")
    assert isinstance(model, tfp_flows.DensityEstimator)
    distribution = model.distribution
    x = points["images" if name.endswith("glow") else "x"]
    given = {"context": points["context"]} if distribution.context_size else {}
    np.testing.assert_allclose(distribution.log_prob(x, **given), LOG_PROB[name], rtol=1e-5)


def test_a_table_of_before_numbers_had_knots_gives_the_densities_that_it_gave():
    saved = json.loads((FOLDER / "table.json").read_text())
    table = tfp_flows.TableDensity.load(FOLDER / "table.keras")
    np.testing.assert_allclose(table.log_prob(saved["frame"]), saved["log_prob"], rtol=1e-5)
    assert table.distribution.parameters["knots"] == ()
