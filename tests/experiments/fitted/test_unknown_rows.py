"""Rows with cells that a table does not know, in the commands: refused, marked, clipped."""

import csv

import numpy as np
import pandas as pd
import pytest
from saved_models import run_program

import tfp_flows as tff
from experiments import predict
from experiments import score
from experiments.data import DataError


@pytest.fixture
def files(tmp_path, op_by_op):
    """A fitted table, and a file of four rows, of which the last two are unknown to it."""
    del op_by_op
    rng = np.random.default_rng(0)
    size, city = np.exp(rng.normal(size=60)), rng.choice(["A", "B"], 60)
    frame = pd.DataFrame({"size": size, "city": city, "y": rng.normal(size=60)})
    options = {"num_members": 1, "num_bins": 2, "hidden_units": (4,), "seed": 0}
    columns = tff.describe_columns(frame)
    table = tff.TableDensity(columns, context=["size", "city"], **options)
    table.fit(frame, epochs=1)
    table.save(tmp_path / "model.keras")
    rows = frame.head(4).assign(city=["A", "B", "Paris", "A"])
    rows.loc[3, "size"] = -1.0
    rows.to_csv(tmp_path / "new.csv", index=False)
    return table, rows, {"model": tmp_path / "model.keras", "csv": tmp_path / "new.csv"}


def test_scores_of_other_rows_and_a_count(files, tmp_path):
    table, rows, paths = files
    out = tmp_path / "scored.csv"
    settings = score.ScoreSettings
    with pytest.raises(DataError, match="got 'Paris' in line 4.*--mark_unknown"):
        run_program(score.score, settings, out=out, **paths)
    found = run_program(score.score, settings, out=out, mark_unknown=True, **paths)
    with out.open(newline="") as file:
        _, *lines = csv.reader(file)
    expected = table.log_prob(rows.head(2))
    np.testing.assert_allclose([float(line[0]) for line in lines[:2]], expected, rtol=1e-6)
    assert lines[2:] == [["nan", "city"], ["nan", "size"]]
    assert (found.num_rows, found.num_unknown, found.num_outside) == (4, 2, 0)
    assert found.mean == pytest.approx(expected.mean())


def test_predictions_of_a_context_that_is_clipped_where_asked(files, tmp_path):
    _, rows, paths = files
    rows.drop(2).to_csv(paths["csv"], index=False)
    out, settings = tmp_path / "out.csv", predict.PredictSettings
    with pytest.raises(DataError, match="got -1.0 in the positive column 'size'"):
        run_program(predict.predict, settings, out=out, **paths)
    with pytest.warns(UserWarning, match=r"\{'size': 1\}"):
        run_program(predict.predict, settings, out=out, clip_context=True, **paths)
    assert len(out.read_text().splitlines()) == 4
