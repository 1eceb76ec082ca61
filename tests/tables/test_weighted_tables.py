"""Weights of rows in fits of tables: base rates, maps, losses, held-out rows, refusals."""

import numpy as np
import pytest
from refusals import all_refused
from small_tables import TINY, column

import tfp_flows as tff
from tfp_flows.core.rows import rows_by_weight
from tfp_flows.tables.recalibration import recalibrate
from tfp_flows.tables.training import held_out

pytestmark = pytest.mark.usefixtures("all_op_by_op")

RNG = np.random.default_rng(0)
COUNTS = RNG.integers(0, 4, size=200)
NUMBERS = RNG.normal(3.0, 2.0, size=200)
IS_RARE = (COUNTS < 2) & (RNG.random(200) < 0.8)
FRAME = {"k": np.where(IS_RARE, "b", "a"), "x": NUMBERS, "n": RNG.poisson(2.0, 200)}
KINDS = [
    column("k", "categorical", values=["a", "b"]),
    *(column("x"), column("n", "integer", low=0.0)),
]


def fit(frame=FRAME, weight=None, **options):
    table = tff.TableDensity(tff.tables.TableColumns(KINDS), **{**TINY, "num_members": 2})
    options = {"epochs": 2, "batch_size": 100, **options}
    history = table.fit(frame, sample_weight=weight, **options).history
    return table, np.array([history["loss"], history["val_loss"]])


def test_equal_weights_are_none_and_a_row_without_weight_is_absent():
    table, losses = fit(epochs=1)
    same, its_losses = fit(weight=np.full(200, 1e-300), epochs=1)
    np.testing.assert_array_equal(its_losses, losses)
    np.testing.assert_array_equal(same.log_prob(FRAME), table.log_prob(FRAME))
    counts = COUNTS > 0
    some = {name: cells[counts] for name, cells in FRAME.items()}
    first, second = fit(weight=COUNTS, epochs=1), fit(some, COUNTS[counts], epochs=1)
    np.testing.assert_array_equal(first[1], second[1])
    np.testing.assert_array_equal(first[0].log_prob(FRAME), second[0].log_prob(FRAME))
    assert (first[0].log_prob(FRAME) != table.log_prob(FRAME)).all()


def test_a_row_of_weight_two_is_two_rows_at_the_start():
    repeated = {name: np.repeat(cells, COUNTS) for name, cells in FRAME.items()}
    given = {"epochs": 1, "learning_rate": 1e-9}
    # Validation rows of their own, so that both fits train on all rows.
    tables = [
        fit(frame, weight, validation_frame=FRAME, **given)[0]
        for frame, weight in ((FRAME, COUNTS), (repeated, None))
    ]
    new, old = (table.distribution.parameters["numbers"][0] for table in tables)
    atol = 0.1 * old.scale  # an error of the mean of 200 rows
    np.testing.assert_allclose([new.mean, new.scale], [old.mean, old.scale], atol=atol)
    first, second = (table.log_prob(FRAME) for table in tables)
    assert abs(np.average(first - second, weights=COUNTS)) < 0.02
    rate = np.average(FRAME["k"] == "b", weights=COUNTS)
    drawn = np.mean(tables[0].sample(4_000, seed=0)["k"] == "b")
    assert abs(drawn - rate) < 0.03
    assert abs(np.mean(FRAME["k"] == "b") - rate) > 0.05


def test_losses_are_weighted_means():
    given = {"epochs": 1, "learning_rate": 1e-9, "batch_size": 200}
    table, losses = fit(weight=1.0 + COUNTS, **given)
    x, _ = table.encode(FRAME)
    each = table.distribution.log_prob_of_networks(x, None, False).numpy().sum(axis=2)
    left_out = held_out(200, 2, 0.1, seed=0)
    for loss, is_used in zip(losses[:, 0], (~left_out, left_out), strict=True):
        weight = (1.0 + COUNTS)[:, None] * is_used
        mean = np.sum(weight * each, axis=0) / weight.sum(axis=0)
        assert loss == pytest.approx(-mean.mean(), abs=1e-4)


def test_rows_by_weight_are_as_many_as_their_shares():
    np.testing.assert_array_equal(rows_by_weight(np.full(5, 1e-300)), np.arange(5))
    times = np.bincount(rows_by_weight(COUNTS.astype(float)), minlength=200)
    assert (np.abs(times - COUNTS / COUNTS.mean()) < 1.0).all()


def test_recalibration_weighs_its_rows():
    table, _ = fit(epochs=1)
    x, _ = table.encode(FRAME)
    found, some = [], COUNTS > 0
    for rows, weight in ((x, COUNTS), (x[some], 0.1 * COUNTS[some]), (x, np.ones(200))):
        recalibrate(table.distribution, rows, None, np.stack([weight, weight], axis=1))
        found.append(table.distribution.parameters["recalibration"])
    np.testing.assert_allclose(found[0], found[1], rtol=1e-6)
    assert abs(found[0][0] - found[2][0]) > 1e-3


def refused_weight(weight, **options):
    return lambda: fit(weight=weight, **options)


test_refused = all_refused(
    [
        (refused_weight(np.ones(3)), "`sample_weight` of shape [200], one a row | (3,)"),
        (refused_weight(COUNTS - 1.0), "`sample_weight` without negative weights"),
        (refused_weight(np.full(200, np.nan)), "finite `sample_weight` with a sum above 0"),
        (refused_weight(np.zeros(200)), "finite `sample_weight` with a sum above 0"),
        (
            refused_weight(COUNTS, calibration_split=0.2),
            "no `sample_weight` with `calibration_split`, for which rows count alike",
        ),
    ]
)
