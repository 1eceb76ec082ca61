"""Calls of public methods: checked once, with batch axes merged once, at any depth."""

import numpy as np
import pytest
import tensorflow as tf
from refusals import bad_calls
from subject import close

import tfp_flows as tff
from tfp_flows.core import flow_bijector


class OneSided(tff.FlowBijector):
    """A shift by one."""

    def __init__(self):
        super().__init__(event_ndims=1, parameters={})

    def _forward_and_log_det(self, x, context, training):
        return x + 1.0, tf.zeros(tf.shape(x)[:-1])

    def _inverse_and_log_det(self, y, context, training):
        return y - 1.0, tf.zeros(tf.shape(y)[:-1])


class WithoutTraining(OneSided):
    def _forward_and_log_det(self, x):
        return x + 1.0, tf.zeros(tf.shape(x)[:-1])


class LogDetAnEntry(OneSided):
    def _forward_and_log_det(self, x, context, training):
        return x + 1.0, tf.zeros_like(x)


class LogDetOfAll(OneSided):
    def _inverse_and_log_det(self, y, context, training):
        return y - 1.0, tf.zeros([])


class ValueOnly(OneSided):
    def _forward_and_log_det(self, x, context, training):
        return x + 1.0


class SummedValue(OneSided):
    def _forward_and_log_det(self, x, context, training):
        return tf.reduce_sum(x, axis=-1), tf.zeros(tf.shape(x)[:-1])


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


BAD_CALLS = [
    (
        lambda: WithoutTraining().forward(np.ones([2, 3], np.float32)),
        "WithoutTraining | _forward_and_log_det(self, x, context, training)",
    ),
    (
        lambda: LogDetAnEntry().forward(np.ones([2, 3], np.float32)),
        "LogDetAnEntry._forward_and_log_det | log_det of shape | 3)",
    ),
    (
        lambda: LogDetOfAll().inverse(np.ones([2, 3], np.float32)),
        "LogDetOfAll._inverse_and_log_det | log_det of shape | ()",
    ),
    (lambda: ValueOnly().forward(np.ones([2, 3], np.float32)), "ValueOnly | log_det"),
    (
        lambda: SummedValue().forward(np.ones([2, 3], np.float32)),
        "SummedValue | (None, None) | (None,)",
    ),
    (
        lambda: nested(LogDetAnEntry()).forward(np.ones([2, 3], np.float32)),
        "LogDetAnEntry._forward_and_log_det",
    ),
]


@bad_calls(BAD_CALLS)
def test_what_subclasses_return_is_checked(call, words, check_refused):
    check_refused(call, words)


def test_axes_of_unknown_length_are_restored():
    flow = nested(OneSided())
    call = as_graph(flow.forward_and_log_det)
    shape = tf.TensorSpec([None, 2, 3], tf.float32)
    y, log_det = call.get_concrete_function(shape).structured_outputs
    assert y.shape.as_list() == [None, 2, 3]
    assert log_det.shape.as_list() == [None, 2]
