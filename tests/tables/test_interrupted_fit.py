"""Fits that were interrupted: they go on, and end at the numbers of one that was not."""

import numpy as np
import pytest

import tfp_flows as tff
from tfp_flows.tables import training

RNG = np.random.default_rng(0)
FRAME = {"a": RNG.normal(size=60)}
TINY = {"num_members": 2, "num_bins": 2, "hidden_units": (4,), "seed": 0}


@pytest.fixture(autouse=True)
def _each_epoch_is_written(monkeypatch, op_by_op):
    del op_by_op
    monkeypatch.setattr(training, "_SECONDS", 0.0)


def fitted(epochs, **options):
    table = tff.TableDensity(tff.describe_columns(FRAME), **TINY)
    history = table.fit(FRAME, epochs=epochs, learning_rate=0.02, **options)
    return table, history.history


def test_it_ends_at_the_numbers_of_one_without_a_stop(tmp_path):
    whole, losses = fitted(3)
    fitted(1, backup=tmp_path / "fit.npz")
    for epochs in (3, 3):  # what has ended does not go on
        resumed, found = fitted(epochs, backup=tmp_path / "fit.npz")
        assert found == losses
        np.testing.assert_array_equal(resumed.log_prob(FRAME), whole.log_prob(FRAME))


@pytest.mark.slow
def test_what_has_stopped_by_itself_is_left_alone(tmp_path):
    options = {"backup": tmp_path / "fit.npz", "patience": 1}
    table, losses = fitted(200, **options)
    assert len(losses["val_loss"]) < 200
    again, found = fitted(200, **options)
    assert found == losses
    np.testing.assert_array_equal(again.log_prob(FRAME), table.log_prob(FRAME))


def test_other_rows_options_and_files_are_refused(tmp_path):
    path = tmp_path / "fit.npz"
    fitted(1, backup=path)
    with pytest.raises(ValueError, match="`backup` of a fit of the same rows and options"):
        fitted(1, backup=path, patience=3)
    table = tff.TableDensity(tff.describe_columns(FRAME), **{**TINY, "seed": None})
    with pytest.raises(ValueError, match="`seed` with `backup`"):
        table.fit(FRAME, epochs=1, backup=path)
    path.write_bytes(b"nothing")
    with pytest.raises(ValueError, match="`backup` that a fit has written"):
        fitted(1, backup=path)
