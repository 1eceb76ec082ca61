"""A table whose density is known: the fitted one is close to it on new rows."""

import numpy as np
import pytest

import tfp_flows as tff

RATES = np.array([2.0, 6.0])


def rows(count, seed):
    """Kind, a spike or a length given it, and a count given both; and their density."""
    rng = np.random.default_rng(seed)
    kind = (rng.random(count) < 0.4).astype(int)
    is_zero = rng.random(count) < np.where(kind == 1, 0.5, 0.1)
    normal = rng.normal(size=count)
    length = np.where(is_zero, 0.0, np.exp(0.5 * normal + kind))
    rate = RATES[kind] + length
    number = rng.poisson(rate)
    log_prob = np.log(np.where(kind == 1, 0.4, 0.6))
    zero = np.where(kind == 1, 0.5, 0.1)
    log_normal = (
        -0.5 * normal**2
        - np.log(0.5 * np.sqrt(2.0 * np.pi))
        - np.log(np.where(is_zero, 1.0, length))
    )
    log_prob += np.where(is_zero, np.log(zero), np.log(1.0 - zero) + log_normal)
    factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, 400)))])
    log_prob += number * np.log(rate) - rate - factorial[number]
    frame = {"kind": np.array(["a", "b"])[kind], "length": length, "number": number}
    return frame, log_prob


@pytest.mark.slow
def test_the_density_is_within_a_twentieth_of_a_nat():
    train, _ = rows(4000, seed=0)
    columns = tff.describe_columns(train)
    assert [c.kind for c in columns] == ["categorical", "positive", "integer"]
    assert columns["length"].spikes == [0.0]
    table = tff.TableDensity(columns, seed=0)
    table.fit(train, epochs=60, patience=15)
    test, log_prob = rows(4000, seed=1)
    loss = np.mean(log_prob - table.log_prob(test))
    assert -0.01 < loss < 0.05
