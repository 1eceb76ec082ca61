"""`correlation_factor`: few rows are enough for new rows to keep their density."""

import tracemalloc

import numpy as np
import pytest

import tfp_flows
from tfp_flows.core import statistics
from tfp_flows.core.statistics import correlation_factor


def standardised(rows):
    scale = rows.std(axis=0)
    return (rows - rows.mean(axis=0)) / np.where(scale > 0.0, scale, 1.0)


def cost(rows, others):
    """Log-density of `others` by a standard normal minus that by the Gaussian of `rows`."""
    factor = correlation_factor(rows, 0.0, 1.0)
    latents = np.linalg.solve(factor, others.T).T
    log_det = np.log(np.diag(factor)).sum()
    return 0.5 * (latents**2 - others**2).sum(axis=1) + log_det


@pytest.mark.parametrize("num_rows", [1, 2, 12, 30, 60])
def test_rows_fewer_than_columns_leave_others_their_density(num_rows, rng):
    rows = standardised(rng.normal(size=(num_rows, 30)))
    assert np.mean(cost(rows, rng.normal(size=(200, 30)))) < 8.0


def test_many_rows_are_measured_without_a_copy_of_them(rng, monkeypatch):
    data = (rng.normal(size=(100_000, 20)) @ rng.normal(size=(20, 20)) + 5.0).astype("f4")
    monkeypatch.setattr(statistics, "_BYTES_OF_BLOCK", 2**18)
    decorrelate = tfp_flows.Decorrelate(20)
    tracemalloc.start()
    decorrelate.initialize(data)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < data.nbytes / 4
    x = decorrelate.inverse(data).numpy().astype(np.float64)
    np.testing.assert_allclose(x.mean(axis=0), 0.0, atol=1e-4)
    np.testing.assert_allclose(np.cov(x.T), np.eye(20), atol=1e-3)
