"""A conditional run on a table of the world, and its model given raw rows elsewhere."""

import json

import fresh_process
import numpy as np
import pandas as pd
import pytest
import score_raw_rows
from sklearn import datasets

from experiments.data import load_dataset
from experiments.density_estimation import experiment as density_estimation

CONTEXT = ("bmi", "age", "sex", "bp")


@pytest.mark.usefixtures("_quick")
def test_the_saved_model_scores_raw_rows_as_the_report_does(tmp_path):
    path, run_dir = tmp_path / "diabetes.csv", tmp_path / "run"
    data = datasets.load_diabetes(scaled=False)
    frame = pd.DataFrame(data.data, columns=data.feature_names)
    frame.assign(progress=data.target).to_csv(path, index=False)
    flags = [
        "--dataset=csv",
        f"--csv_path={path}",
        f"--context_columns={','.join(CONTEXT)}",
    ]
    flags += [f"--run_dir={run_dir}", "--num_steps=2", "--progress=0"]
    flags += ["--hidden_units=16", "--epochs=15", "--batch_size=32", "--num_samples=200"]
    assert density_estimation.cli(["density_estimation", *flags]) == 0
    results = json.loads((run_dir / "results.json").read_text())

    dataset = load_dataset("csv", csv_path=str(path), context_columns=CONTEXT)
    raw = np.empty((len(dataset.test), 11))
    for role, rows in (("modelled", dataset.test), ("context", dataset.test_context)):
        known = [c for c in results["columns"] if c["role"] == role]
        raw[:, [column["position"] for column in known]] = rows
    assert [c["name"] for c in known] == list(CONTEXT)
    np.save(run_dir / "raw.npy", raw)
    fresh_process.run(score_raw_rows.main, run_dir, output=run_dir / "output.txt")
    scored = json.loads((run_dir / "scored.json").read_text())

    nats = results["test_log_likelihood"]["nats"]
    assert scored["log_prob"] == pytest.approx(nats, abs=1e-4)
    assert scored["predict"] == pytest.approx(nats, abs=1e-4)
    # As fitted as a Gaussian is at least, and not by its own units.
    assert nats > results["gaussian_log_likelihood"]["nats"] - 2.0
    expected = np.quantile(dataset.train, [0.05, 0.5, 0.95], axis=0)
    deviation = dataset.train.std(axis=0)
    assert (np.abs(scored["quantiles"] - expected) < 0.6 * deviation).all()
