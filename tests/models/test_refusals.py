import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from small_estimator import estimator
from small_estimator import fit
from small_estimator import of

import tfp_flows as tff

tfb = tfp.bijectors


def test_nothing_trainable_is_refused(banana):
    model = of(tff.FlowChain([tff.Standardize(2), tfb.Exp()]))
    with pytest.raises(ValueError, match="trainable variables; it has none"):
        fit(model, banana)


def test_unused_trainable_variable_is_refused(banana):
    class Unused(tff.FlowBijector):
        def __init__(self):
            super().__init__(event_ndims=1)
            self.weight = tf.Variable([1.0], name="forgotten")

        def _forward_and_log_det(self, x, context, training):
            return x, tf.zeros(tf.shape(x)[:-1])

        _inverse_and_log_det = _forward_and_log_det

    model = of(tff.FlowChain([Unused(), tff.ActNorm(2)]))
    with pytest.raises(ValueError, match="forgotten"):
        fit(model, banana)


def test_targets_are_refused(banana):
    with pytest.raises(ValueError, match="no targets `y`"):
        estimator().fit(banana, banana, verbose=0)
