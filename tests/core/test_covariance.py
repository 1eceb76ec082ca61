"""`correlation_factor`: rows that were not seen keep a density, however few were."""

import numpy as np
import pytest

from tfp_flows.core.covariance import correlation_factor


def standardised(rows):
    scale = rows.std(axis=0)
    return (rows - rows.mean(axis=0)) / np.where(scale > 0.0, scale, 1.0)


def cost(rows, others):
    """Nats of `others` under a standard normal above those under the Gaussian of `rows`."""
    factor = correlation_factor(rows)
    latents = np.linalg.solve(factor, others.T).T
    log_det = np.log(np.diag(factor)).sum()
    return 0.5 * (latents**2 - others**2).sum(axis=1) + log_det


@pytest.mark.parametrize("num_rows", [1, 2, 3, 5, 12, 29, 30, 31, 60])
def test_rows_fewer_than_columns_leave_others_their_density(num_rows, rng):
    rows = standardised(rng.normal(size=(num_rows, 30)))
    assert np.mean(cost(rows, rng.normal(size=(200, 30)))) < 8.0


@pytest.mark.parametrize("num_columns", [4, 300])
def test_correlations_are_found_where_rows_tell_them(num_columns, rng):
    common = rng.normal(size=(1000, 1))
    rows = standardised(common + 0.5 * rng.normal(size=(1000, num_columns)))
    matrix = correlation_factor(rows[:700])
    np.testing.assert_allclose(matrix @ matrix.T, np.corrcoef(rows.T), atol=0.1)
    assert np.mean(cost(standardised(rows[:700]), rows[700:])) < -1.0


def test_constant_and_dependent_columns_do_no_harm(rng):
    rows = standardised(rng.normal(size=(100, 3)))
    rows = np.concatenate([rows, rows[:, :1], np.zeros((100, 1))], axis=1)
    factor = correlation_factor(rows)
    assert np.isfinite(factor).all()
    assert factor[4].tolist() == pytest.approx([0.0, 0.0, 0.0, 0.0, 1.0], abs=1e-6)
