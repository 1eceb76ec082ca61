"""Maps of numbers to the standardised line: slopes, inverses, ends, and far numbers."""

import numpy as np
import pytest
import tensorflow as tf
from small_tables import column

import tfp_flows as tff
from tfp_flows.tables.column_codec import ColumnCodec
from tfp_flows.tables.frames import Frame
from tfp_flows.tables.numbers.number_maps import NumberMaps, NumberSpec
from tfp_flows.tables.row_codec import RowCodec

SPECS = [
    NumberSpec("line", mean=2.0, scale=3.0),
    NumberSpec("log", low=1.0, mean=0.3, scale=0.5),
    NumberSpec("logit", low=-1.0, high=4.0, mean=0.1, scale=2.0),
    NumberSpec("asinh", low=2.0, high=5.0, mean=0.1, scale=1.2),
    NumberSpec("circle", low=0.0, high=24.0),
    NumberSpec("softplus", low=1.0, high=3.0, mean=0.2, scale=0.7),
    NumberSpec("log", low=1.0, mean=0.3, scale=0.5, far=9.0),
    NumberSpec("asinh", low=2.0, high=5.0, mean=0.1, scale=1.2, far=9.0),
]
MAPS = NumberMaps(SPECS)
Y = tf.constant(
    [
        [0.3, 1.7, 3.9, -100.0, 23.0, 1.01, 5.0, -100.0],
        [5.0, 30.0, -0.5, 3.0, 0.0, 5000.0, 90.0, 3.0],
    ],
    tf.float64,
)


def test_slopes_are_those_of_the_map_and_the_inverse_goes_back():
    with tf.GradientTape() as tape:
        tape.watch(Y)
        mapped = MAPS.forward(Y)
    slopes = tape.gradient(mapped.u, Y)
    np.testing.assert_allclose(np.log(slopes), mapped.log_slope, atol=1e-12)
    np.testing.assert_allclose(MAPS.backward(mapped.u), Y, rtol=1e-10)
    assert mapped.is_inside.numpy().all()


def test_what_is_at_an_end_or_beyond_is_outside_and_finite():
    y = [
        [np.inf, 1.0, -1.0, np.inf, 24.0, 1.0, 1.0, np.inf],
        [np.nan, 0.0, 4.0, np.nan, -0.1, -9.0, -9.0, np.nan],
    ]
    mapped = MAPS.forward(tf.constant(y, tf.float64))
    assert not mapped.is_inside.numpy().any()
    assert np.isfinite(mapped.u.numpy()[:, [1, 2, 4, 5, 6]]).all()
    assert np.isfinite(mapped.log_slope.numpy()[:, [1, 2, 4, 5, 6]]).all()


def test_far_numbers_stay_finite_and_inside():
    y = np.array([[1e30, 1e30, 3.999999999, 1e30, 23.999999999, 1e30, 1e30, 1e30]])
    mapped = MAPS.forward(tf.constant(y))
    assert mapped.is_inside.numpy().all()
    assert np.isfinite(mapped.u).all()
    assert np.isfinite(mapped.log_slope).all()
    back = MAPS.backward(tf.constant([[1e6] * 8, [-1e6] * 8], tf.float64)).numpy()
    assert np.isfinite(back).all()
    low, high = MAPS.ends
    assert ((back > low) & (back < high))[:, :4].all()


def measured(numbers, columns):
    """The map that is chosen for a column of numbers."""
    codec, is_training = RowCodec(columns, "refuse", ["a"]), np.ones(len(numbers), bool)
    (spec,) = codec.measure(Frame({"a": numbers}), is_training)
    return spec, NumberMaps([spec])


def kinds_of(*kinds):
    return [tff.tables.TableColumns([column("a", kind)]) for kind in kinds]


def test_a_wide_draw_is_no_million_times_beyond_the_training_rows():
    numbers = np.exp(np.random.default_rng(0).normal(size=500))
    for columns in kinds_of("positive", "heavy-tailed"):
        spec, maps = measured(numbers, columns)
        assert spec.form in ("log", "asinh")
        farthest = maps.backward(tf.constant([[20.0]], tf.float64)).numpy().item()
        assert numbers.max() < farthest < 100.0 * numbers.max()


def test_the_upper_tail_of_positive_numbers_is_chosen_by_training_rows():
    rng = np.random.default_rng(0)
    incomes, times = np.exp(rng.normal(size=400)), rng.uniform(1.0, 100.0, 400)
    for numbers, form in ((incomes, "log"), (times, "softplus")):
        spec, maps = measured(numbers, tff.describe_columns({"a": numbers}))
        assert spec.form == form
    # Four deviations out, numbers stay near the training rows.
    assert maps.backward(tf.constant([[4.0]], tf.float64)).numpy() < 250.0


@pytest.mark.parametrize("unit", [1e-200, 1e-12, 1e12, 1e200])
@pytest.mark.parametrize("offset", [0.0, 1e9, 1e13])
def test_scales_are_measured_in_any_units_and_far_from_zero(unit, offset):
    numbers = unit * (offset + np.random.default_rng(0).normal(size=400))
    for columns in kinds_of("real", "positive" if offset else "heavy-tailed"):
        _, maps = measured(numbers, columns)
        u = maps.forward(tf.constant(numbers[:, None])).u
        np.testing.assert_allclose(np.std(u), 1.0, rtol=1e-3)


@pytest.mark.parametrize("form", ["real", "positive"])
def test_numbers_that_differ_by_roundings_are_drawn_as_near(form):
    rng = np.random.default_rng(0)
    numbers = 1e9 * (1.0 + 2.0**-52 * rng.integers(-3, 4, 400))
    _, maps = measured(numbers, *kinds_of(form))
    ends = maps.backward(tf.constant([[-3.0], [3.0]], tf.float64))
    np.testing.assert_allclose(ends, 1e9, rtol=1e-13)


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e9])
def test_what_rounding_leaves_of_a_constant_is_no_scale(constant):
    for columns in kinds_of("real", *(["positive"] if constant else [])):
        assert measured(np.full(1000, constant), columns)[0].scale == 1.0


def test_amounts_of_both_signs_and_many_scales_have_an_asinh_map():
    rng = np.random.default_rng(0)
    amounts = np.round(np.exp(6.0 + 2.0 * rng.normal(size=500)))
    amounts *= np.where(rng.random(500) < 0.1, -1.0, 1.0)
    for numbers, form in (
        (amounts, "asinh"),
        (np.round(9.0 * rng.normal(size=500)), "line"),
    ):
        codec = ColumnCodec(column("a", "integer"), has_missing=False)
        assert codec.measured(codec.encode(numbers)).form == form
