"""What networks see of numbers: thresholds, where there are many rows."""

import numpy as np
from small_tables import saved_and_loaded

import tfp_flows as tff


def test_many_rows_show_many_thresholds_also_from_a_file(tmp_path):
    u = np.random.default_rng(0).normal(size=5_500)
    frame = {"u": u, "is_odd": np.floor(6.0 * u) % 2 == 1}
    train = {name: column[:5_000] for name, column in frame.items()}
    test = {name: column[5_000:] for name, column in frame.items()}
    columns = tff.describe_columns(train)
    table = tff.TableDensity(columns, context="u", num_members=2, seed=0)
    table.fit(train, epochs=15)
    log_probs = [t.log_prob(test) for t in saved_and_loaded(table, tmp_path / "t.keras")]
    np.testing.assert_array_equal(*log_probs)
    assert log_probs[0].mean() > -0.4  # about -0.5 without features between fine knots
