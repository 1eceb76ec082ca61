"""Saved models of random weights, and a table of their columns."""

import csv

import numpy as np
import pytest
from saved_models import NAMES
from saved_models import save_model

import tfp_flows


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Paths and distributions of a model of two variables, and of one, with a context."""
    folder = tmp_path_factory.mktemp("models")
    small = {"num_steps": 1, "hidden_units": (4,), "context_size": 2, "seed": 0}
    two, one = folder / "two.keras", folder / "one.keras"
    return {
        "two": (two, save_model(two, tfp_flows.RealNVP(2, **small), 2)),
        "one": (one, save_model(one, tfp_flows.NeuralSplineFlow(1, **small), 1)),
        "nameless": (
            folder / "nameless.keras",
            save_model(
                folder / "nameless.keras",
                tfp_flows.MADE(2, hidden_units=(4,), seed=0),
                2,
                columns=False,
            ),
        ),
    }


@pytest.fixture
def table(tmp_path):
    """Rows `[60, 4]`, and their file, in other order, with a column of text beside them."""
    rows = np.random.default_rng(1).normal(size=(60, 4)).astype(np.float32)
    rows[7, 0], rows[8, 3] = 3.0, -9.0
    order = (3, 1, 2, 0)  # in the file
    with (tmp_path / "rows.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([NAMES[i] for i in order] + ["note"])
        for row in rows:
            writer.writerow([repr(float(row[i])) for i in order] + ["true, so to say"])
    return rows, tmp_path / "rows.csv"
