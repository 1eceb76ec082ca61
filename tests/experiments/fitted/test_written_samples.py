"""Samples of a table as text: they can occur, whatever digits its values have."""

import numpy as np
import pandas as pd
import pytest

import tfp_flows as tff
from experiments.data.typed_cells import typed
from experiments.fitted.open_model import FittedTable


@pytest.mark.slow
@pytest.mark.usefixtures("op_by_op")
def test_values_and_spikes_of_many_digits_are_read_again(tmp_path):
    rng = np.random.default_rng(0)
    rate = rng.choice([1.0 / 3.0, 7.19999980926514, 9.7], 60)
    paid = np.where(rng.random(60) < 0.5, 25862.3212890625, rng.exponential(size=60))
    frame = pd.DataFrame({"rate": rate, "paid": paid})
    columns = tff.describe_columns(frame)
    assert [c.kind for c in columns] == ["ordered", "positive"]
    assert columns["paid"].spikes == [25862.3212890625]
    options = {"num_members": 1, "num_bins": 2, "hidden_units": (4,), "seed": 0}
    table = tff.TableDensity(columns, **options)
    table.fit(frame, epochs=1)
    table.save(tmp_path / "model.keras")
    texts = FittedTable(tmp_path / "model.keras").sample((0, 1), frame[[]])
    cells = [typed(pd.Series(column, dtype=object), "number") for column in texts]
    again = dict(zip(columns.names, cells, strict=True))
    assert set(again["rate"]) <= set(rate)
    assert 10 < np.sum(again["paid"] == 25862.3212890625) < 50
    assert np.isfinite(table.log_prob(again)).all()
