"""Completions, against conditionals that are summed up."""

import itertools

import numpy as np
import pytest
from random_weights import randomize

import tfp_flows as tff

X = np.array(list(itertools.product([0.0, 1.0], repeat=6)))
GIVEN = np.array([1.0, 0.0, 1.0, 1.0, 0.0, 1.0])
COUNT = 20_000


def made(**options):
    options = {"hidden_units": (16, 16), "seed": 1, "dtype": "float64", **options}
    return randomize(tff.BinaryMADE(6, **options))


def distance(distribution, log_prob, observed, **options):
    """Greatest difference between frequencies of completions and the conditional."""
    rows = np.where(observed, GIVEN, np.nan) * np.ones([COUNT, 1])
    completed = distribution.impute(rows, observed, seed=3, **options).numpy()
    np.testing.assert_array_equal(completed[:, observed], rows[:, observed])
    agrees = (X == GIVEN)[:, observed].all(axis=1)
    conditional = np.where(agrees, np.exp(log_prob), 0.0)
    conditional /= conditional.sum()
    cells = completed.astype(int) @ (1 << np.arange(6)[::-1])
    frequencies = np.bincount(cells, minlength=64) / COUNT
    return np.abs(frequencies - conditional).max()


@pytest.mark.slow_ids("*observed2")
@pytest.mark.parametrize(
    ("ordering", "observed"),
    [
        (None, [1, 1, 1, 1, 1, 0]),
        ([5, 1, 6, 2, 3, 4], [0, 1, 0, 1, 0, 0]),
        (None, [0] * 6),
        (None, [1] * 6),
    ],
)
@pytest.mark.usefixtures("op_by_op")
def test_a_prefix_of_the_ordering_is_conditioned_on_exactly(ordering, observed):
    distribution, observed = made(ordering=ordering), np.array(observed, bool)
    exact = distribution.log_prob(X)
    assert distance(distribution, exact, observed, num_candidates=1) < 0.012


@pytest.mark.usefixtures("op_by_op")
def test_later_variables_are_conditioned_on_by_many_candidates_only():
    distribution, observed = made(), np.array([0, 0, 1, 0, 1, 1], bool)
    randomize(distribution, stddev=1.0)  # so that later variables tell much
    exact = distribution.log_prob(X)
    assert distance(distribution, exact, observed, num_candidates=1) > 0.03
    assert distance(distribution, exact, observed, num_candidates=7) < 0.1
    assert distance(distribution, exact, observed) < 0.012


@pytest.mark.slow_ids("observed2-fixed1", "observed0-None")
@pytest.mark.parametrize("fixed", [None, [1, 2, 3, 4, 5, 6]])
@pytest.mark.parametrize("observed", [[1, 1, 1, 0, 0, 0], [0, 1, 1, 0, 0, 1], [0] * 6])
def test_several_masks_are_conditioned_on_as_the_mean_that_log_prob_reports(
    observed, fixed
):
    distribution, observed = made(num_masks=8, ordering=fixed), np.array(observed, bool)
    randomize(distribution, stddev=1.0)
    assert distance(distribution, distribution.log_prob(X), observed) < 0.012


@pytest.mark.slow
def test_one_of_several_masks_or_many_candidates_are_conditioned_on():
    distribution, observed = made(num_masks=3), np.array([0, 0, 1, 0, 1, 1], bool)
    exact = distribution.log_prob(X, mask_index=1)
    assert np.abs(exact - distribution.log_prob(X)).max() > 0.1
    assert distance(distribution, exact, observed, mask_index=1) < 0.012
    randomize(distribution, stddev=1.0)
    observed[4] = False  # of 16 completions, 15 are too few
    exact = distribution.log_prob(X)
    assert distance(distribution, exact, observed, num_candidates=15) < 0.02


@pytest.mark.slow_ids("0-3")
@pytest.mark.parametrize(("missing", "num_masks"), [(0, 1), (0, 3), (1, 1)])
def test_real_variables_are_drawn_from_their_conditional(missing, num_masks):
    options = {"hidden_units": (8,), "num_masks": num_masks, "seed": 1}
    distribution = randomize(tff.MixtureMADE(2, 2, **options))
    rows = np.full((2000, 2), 0.7, np.float32)
    completed = distribution.impute(rows, np.arange(2) != missing, seed=2).numpy()
    points = np.full((4001, 2), 0.7, np.float32)
    points[:, missing] = grid = np.linspace(-15.0, 15.0, 4001, dtype=np.float32)
    cdf = np.cumsum(np.exp(distribution.log_prob(points).numpy().astype(np.float64)))
    u = np.sort(np.interp(completed[:, missing], grid, cdf / cdf[-1]))
    assert np.abs(u - (np.arange(2000) + 0.5) / 2000).max() < 0.04


def test_context_and_batch_axes():
    distribution = made(context_size=2)
    observed = np.array([1, 1, 0, 0, 0, 0], bool)
    x, context = np.ones((2, 3, 6)), np.ones((3, 2))
    completed = distribution.impute(x, observed, context=context, seed=1)
    assert completed.shape == (2, 3, 6)
    with pytest.raises(ValueError, match="`context`.*got None"):
        distribution.impute(x, observed)
