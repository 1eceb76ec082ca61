"""Arguments that the checks accept; the rooms test what they refuse."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows as tff
from tfp_flows.core.arguments import check_dtype, check_integer, check_widths
from tfp_flows.core.serialization import deserialize, serialize

tfd = tfp.distributions
TINY = {"num_steps": 1, "hidden_units": (4,), "seed": 0}


@pytest.mark.parametrize("three", [3, np.uint8(3), np.array(3), tf.constant(3)])
def test_integers_of_any_library_are_integers(three):
    number = check_integer("event_size", three)
    assert type(number) is int
    assert number == 3
    assert check_widths("hidden_units", three) == (3,)
    assert check_widths("hidden_units", [three, 4]) == (3, 4)


@pytest.mark.parametrize("other", [True, np.True_, 3.0, "3", None, [3], tf.constant(True)])
def test_nothing_else_is(other):
    with pytest.raises(ValueError, match="integer `event_size` of at least 1; got"):
        check_integer("event_size", other)


@pytest.mark.parametrize("dtype", [float, "float64", np.float32, tf.float64])
def test_floating_point_dtypes_come_in_any_form(dtype):
    assert check_dtype("dtype", dtype).is_floating
    with pytest.raises(ValueError, match="`dtype` float32 or float64"):
        check_dtype("dtype", tf.bfloat16)


@pytest.mark.parametrize(
    "options",
    [
        {"hidden_units": 4},
        {"hidden_units": np.array([4, 4])},
        {"hidden_units": ()},
        {"event_size": np.int64(3), "num_steps": np.int64(1), "seed": np.int32(1)},
        {"seed": np.array(1)},
        {"activation": tf.nn.tanh},
        {"activation": keras.layers.LeakyReLU()},
        {"activation": None},
        {"residual": 1, "act_norm": np.True_},
    ],
)
@pytest.mark.usefixtures("op_by_op")
def test_flows_take_arguments_of_many_types(options):
    flow = tff.RealNVP(**{"event_size": 3, **TINY, **options})
    for same in (flow, deserialize(serialize(flow))):
        assert same.forward(tf.zeros([2, 3])).shape == [2, 3]


def test_a_point_that_rounds_into_its_interval_is_inside():
    tff.Bounds([0.0], [1.0]).check_support(np.array([[1.0 + 1e-12], [0.0]]))
    tff.Logit(0.05).check_support(np.array([[-0.05 / 0.9], [1.0 + 0.05 / 0.9]]))
    tff.Bounds([0.0], [1.0]).check_support(np.array([[np.nan]]))
