"""Calls of public methods: checked once, with batch axes merged once, at any depth."""

import numpy as np
import pytest
import tensorflow as tf
from bad_calls.parts import LogDetAnEntry
from bad_calls.parts import OneSided
from subject import close

import tfp_flows as tff
from tfp_flows.core import flow_bijector


class Recording(OneSided):
    """A shift by one that keeps the shapes of what it is given."""

    def __init__(self):
        super().__init__()
        self.shapes = []

    def _forward_and_log_det(self, x, context, training):
        self.shapes.append(x.shape)
        return super()._forward_and_log_det(x, context, training)


def nested(part):
    return tff.FlowChain([tff.Invert(tff.FlowChain([tff.Invert(part)]))])


def as_graph(method):
    return tf.function(method, autograph=False)


@pytest.mark.parametrize("mode", [lambda method: method, as_graph], ids=["eager", "graph"])
def test_inputs_are_checked_once_whatever_the_depth(mode, monkeypatch):
    flow, calls = nested(tff.RealNVP(3, num_steps=2, hidden_units=(4,))), []
    for name in ("check_value", "check_context", "nan_where_context_is"):
        check = getattr(flow_bijector, name)
        monkeypatch.setattr(
            flow_bijector, name, lambda *a, n=name, f=check: (calls.append(n), f(*a))[1]
        )
    mode(flow.inverse_and_log_det)(np.ones([2, 3], np.float32))
    assert calls == ["check_value", "check_context", "nan_where_context_is"]


@pytest.mark.parametrize("batch_shape", [(), (4,), (2, 3), (2, 0)])
@pytest.mark.parametrize("mode", [lambda method: method, as_graph], ids=["eager", "graph"])
def test_parts_are_given_one_batch_axis(mode, batch_shape):
    part = Recording()
    x = np.ones([*batch_shape, 3], np.float32)
    y, log_det = mode(nested(part).forward_and_log_det)(x)
    close(y, x + 1.0)
    assert log_det.shape == batch_shape
    assert [shape.rank for shape in part.shapes] == [2]


def test_what_parts_return_is_checked():
    with pytest.raises(ValueError, match="LogDetAnEntry._forward_and_log_det"):
        nested(LogDetAnEntry()).forward(np.ones([2, 3], np.float32))


def test_axes_of_unknown_length_are_restored():
    flow = nested(OneSided())
    call = as_graph(flow.forward_and_log_det)
    shape = tf.TensorSpec([None, 2, 3], tf.float32)
    y, log_det = call.get_concrete_function(shape).structured_outputs
    assert y.shape.as_list() == [None, 2, 3]
    assert log_det.shape.as_list() == [None, 2]
