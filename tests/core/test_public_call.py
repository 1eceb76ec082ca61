"""Calls of public methods: checked once, with batch axes merged once, at any depth."""

import numpy as np
import pytest
import tensorflow as tf
from random_weights import values
from refusals import all_refused
from subject import all_close, close

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


modes = pytest.mark.parametrize("mode", [lambda m: m, as_graph], ids=["eager", "graph"])


@modes
def test_batches_without_rows_leave_the_state_of_training(mode):
    norm = tff.BatchNorm(3)
    norm.initialize(np.eye(3))
    before = values(norm)
    no_rows = np.ones([0, 3], np.float32)
    z, log_det = mode(lambda y: norm.inverse_and_log_det(y, training=True))(no_rows)
    assert (z.shape, log_det.shape) == ((0, 3), (0,))
    all_close(values(norm), before, 0.0)


@modes
def test_inputs_are_checked_once_whatever_the_depth(mode, monkeypatch):
    flow, calls = nested(tff.RealNVP(3, num_steps=2, hidden_units=(4,))), []
    for name in ("check_value", "check_context", "nan_where_context_is_not_finite"):
        check = getattr(flow_bijector, name)
        monkeypatch.setattr(
            flow_bijector, name, lambda *a, n=name, f=check: (calls.append(n), f(*a))[1]
        )
    mode(flow.inverse_and_log_det)(np.ones([2, 3], np.float32))
    assert calls == ["check_value", "check_context", "nan_where_context_is_not_finite"]


@pytest.mark.parametrize("batch_shape", [(), (4,), (2, 3), (2, 0)])
@modes
def test_parts_are_given_one_batch_axis(mode, batch_shape):
    part = Recording()
    x = np.ones([*batch_shape, 3], np.float32)
    y, log_det = mode(nested(part).forward_and_log_det)(x)
    close(y, x + 1.0)
    assert log_det.shape == batch_shape
    assert [shape.rank for shape in part.shapes] == [2]


def sided(name, forward):
    return type(name, (OneSided,), {"_forward_and_log_det": forward})()


def returning(name, values):
    """A bijector whose forward returns `values(x)`."""

    def forward(self, x, context, training):
        return values(x)

    return sided(name, forward)


X = np.ones([2, 3], np.float32)
BAD_CALLS = [
    (
        lambda: sided("NoTraining", lambda self, x: (x, x[:, 0])).forward(X),
        "NoTraining | _forward_and_log_det(self, x, context, training)",
    ),
    (
        lambda: nested(returning("LogDetAnEntry", lambda x: (x, x))).forward(X),
        "LogDetAnEntry._forward_and_log_det | log_det of shape | 3)",
    ),
    (
        lambda: returning("LogDetOfAll", lambda x: (x, tf.zeros([]))).forward(X),
        "LogDetOfAll._forward_and_log_det | log_det of shape | ()",
    ),
    (lambda: returning("ValueOnly", lambda x: x).forward(X), "ValueOnly | log_det"),
    (
        lambda: returning("Summed", lambda x: (x[:, 0], x[:, 0])).forward(X),
        "Summed | (None, None) | (None,)",
    ),
]


test_what_subclasses_return_is_checked = all_refused(BAD_CALLS)


@pytest.mark.parametrize(
    "method",
    [
        tff.RealNVP(3, num_steps=1, hidden_units=(4,)).inverse,
        tff.BinaryMADE(3, hidden_units=(4,)).log_prob,
    ],
    ids=["flow", "autoregressive"],
)
def test_sizes_that_a_graph_does_not_know_are_checked_when_it_runs(method):
    rows_of_any_width = [tf.TensorSpec([None, None])]
    call = tf.function(method, input_signature=rows_of_any_width, autograph=False)
    rows = np.ones([2, 3], np.float32)
    assert call(rows).shape[0] == 2
    # One column would be broadcast to three.
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"\[2,1\] is not compatible"):
        call(rows[:, :1])


def test_axes_of_unknown_length_are_restored():
    flow = nested(OneSided())
    call = as_graph(flow.forward_and_log_det)
    shape = tf.TensorSpec([None, 2, 3], tf.float32)
    y, log_det = call.get_concrete_function(shape).structured_outputs
    assert y.shape.as_list() == [None, 2, 3]
    assert log_det.shape.as_list() == [None, 2]
