"""Sets of known densities: these integrate to one, and the rows are drawn from them."""

import numpy as np
import pytest
from scipy import stats

from experiments.data import load_dataset
from experiments.data import simulated

NAMES = list(simulated.KNOWN)


def all_rows(name):
    """Rows of the three sets together, and their context or None."""
    dataset = load_dataset(name)
    sets = ("train", "validation", "test")
    rows = np.concatenate([getattr(dataset, of) for of in sets])
    contexts = [getattr(dataset, f"{of}_context") for of in sets]
    return dataset, rows, None if contexts[0] is None else np.concatenate(contexts)


def from_two_modes():
    """The entropy given x, averaged over it, by sums over a grid."""
    y, x = np.linspace(-5.0, 5.0, 2001), np.linspace(-2.0, 2.0, 401)
    pairs = np.stack(np.meshgrid(y, x), axis=-1).reshape(-1, 2)
    log_density = simulated.two_modes_log_density(pairs[:, :1], pairs[:, 1:])
    density = np.exp(log_density).reshape(401, 2001)
    np.testing.assert_allclose(density.sum(axis=1) * 0.005, 1.0, atol=1e-6)
    return -np.mean(np.sum(density * np.log(np.maximum(density, 1e-300)), axis=1)) * 0.005


def from_torus():
    turn = 2.0 * np.pi
    angles = np.linspace(-np.pi, np.pi, 400, endpoint=False)
    pairs = np.stack(np.meshgrid(angles, angles), axis=-1).reshape(-1, 2)
    log_density = simulated.torus_log_density(pairs)
    np.testing.assert_allclose(np.mean(np.exp(log_density)) * turn**2, 1.0, atol=1e-9)
    turned = simulated.torus_log_density(pairs + [turn, -turn])
    np.testing.assert_allclose(turned, log_density, atol=1e-9)
    return -np.mean(np.exp(log_density) * log_density) * turn**2


def from_heavy_tails(degrees):
    return lambda: 4.0 * stats.t(degrees).entropy() + stats.norm.entropy()


ENTROPIES = {
    "two_modes": from_two_modes,
    "torus": from_torus,
    "heavy_tails_1": from_heavy_tails(1),
    "heavy_tails_2": from_heavy_tails(2),
}


@pytest.mark.parametrize("name", NAMES)
def test_rows_are_drawn_from_the_density(name):
    """Their mean log-density is minus its entropy, up to five standard errors."""
    dataset, rows, context = all_rows(name)
    log_density = dataset.log_density(rows, context)
    error = log_density.std() / np.sqrt(len(rows))
    assert abs(log_density.mean() + ENTROPIES[name]()) < 5.0 * error
    assert error < 0.05


def test_rows_of_two_modes_have_the_distribution_function_of_the_density():
    _, y, x = all_rows("two_modes")
    grid = np.linspace(-5.0, 5.0, 1001)
    chosen = slice(None, None, 100)
    u = [
        np.trapezoid(
            np.exp(
                simulated.two_modes_log_density(
                    np.minimum(grid, value)[:, None], np.full([1001, 1], of)
                )
            ),
            np.minimum(grid, value),
        )
        for value, of in zip(y[chosen, 0], x[chosen, 0], strict=True)
    ]
    assert stats.kstest(u, "uniform").pvalue > 0.01


def test_heavy_tails_have_their_weights():
    """A t variable of nu is beyond a far q with a probability like q to the minus nu."""
    for degrees in (1, 2):
        _, rows, _ = all_rows(f"heavy_tails_{degrees}")
        beyond = [np.mean(np.abs(rows[:, :4]) > q) for q in (5.0, 20.0)]
        expected = [2.0 * stats.t(degrees).sf(q) for q in (5.0, 20.0)]
        np.testing.assert_allclose(beyond, expected, rtol=0.2)
        np.testing.assert_allclose((rows[:, 4] - rows[:, 3]).std(), 1.0, atol=0.03)
