"""Programs of others on our flows, where they are installed."""

import numpy as np
import pytest

pytestmark = pytest.mark.slow


@pytest.fixture
def margarine(monkeypatch):
    """`margarine.maf`, whose class has its own constructor of flows again afterwards."""
    maf = pytest.importorskip("margarine.maf")
    from experiments.compatibility.margarine import replace_flows

    monkeypatch.setattr(maf.MAF, "gen_mades", maf.MAF.gen_mades)
    replace_flows()
    return maf


def test_margarine_trains_saves_and_loads_a_flow_of_ours(margarine, tmp_path):
    rows = np.random.default_rng(0).normal(4.2, 0.3, size=(1000, 2))
    estimator = margarine.MAF(rows, number_networks=2, hidden_layers=[16])
    before = np.mean(estimator.log_prob(rows))
    estimator.train(200)
    after = np.mean(estimator.log_prob(rows))
    entropy = 2.0 * np.log(0.3 * np.sqrt(2.0 * np.pi * np.e))
    assert after > before
    assert after == pytest.approx(-entropy, abs=0.3)
    estimator.save(tmp_path / "saved.pkl")
    loaded = margarine.MAF.load(tmp_path / "saved.pkl")
    np.testing.assert_allclose(
        loaded.log_prob(rows), estimator.log_prob(rows), rtol=1e-5, atol=1e-5
    )
