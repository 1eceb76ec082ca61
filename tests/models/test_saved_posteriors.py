"""Posteriors that an earlier version saved load, under the names of this one."""

import json
import pickle
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest

import tfp_flows as tff

FOLDER = Path(__file__).parent.parent / "saved"
ANSWERS = json.loads((FOLDER / "posteriors.json").read_text())
POINTS = np.load(FOLDER / "posteriors.npz")


def test_a_vae_whose_posterior_had_another_name_loads(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error", FutureWarning)
        model = keras.saving.load_model(FOLDER / "iaf_vae.keras")
    assert type(model.posterior) is tff.posteriors.AmortizedFlow
    assert model.posterior.name == "flow_posterior"
    bound = model.elbo(POINTS["x"], num_samples=2, seed=3)
    np.testing.assert_allclose(bound.elbo, ANSWERS["vae_elbo"], rtol=1e-5)
    model.save(tmp_path / "again.keras")
    again = keras.saving.load_model(tmp_path / "again.keras")
    np.testing.assert_array_equal(again.elbo(POINTS["x"], num_samples=2, seed=3), bound)


def test_the_posterior_of_a_joint_model_keeps_its_name():
    posterior = pickle.loads((FOLDER / "flow_posterior.pickle").read_bytes())
    assert type(posterior) is tff.FlowPosterior
    draws = {name: POINTS[name] for name in ("loc", "scale")}
    np.testing.assert_allclose(posterior.log_prob(draws), ANSWERS["posterior"], rtol=1e-5)


def test_the_old_name_warns_of_the_new_one():
    with pytest.warns(FutureWarning, match="called `posteriors.AmortizedFlow` now"):
        assert tff.posteriors.FlowPosterior is tff.posteriors.AmortizedFlow
    assert tff.FlowPosterior is not tff.posteriors.AmortizedFlow
