import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows as tff

X = np.random.default_rng(0).normal(size=(16, 2)).astype(np.float32)
LOG_2 = float(np.log(2.0))


class Doubling(tff.FlowBijector):
    """`y = 2 x`, with whatever log-det and inverse a test asks for."""

    def __init__(self, log_slope=LOG_2, factor=0.5):
        super().__init__(event_ndims=1, event_shape=[2])
        self.log_slope, self.factor = log_slope, factor

    def _log_det(self, x):
        return tf.fill(tf.shape(x)[:-1], np.float32(2.0 * self.log_slope))

    def _forward_and_log_det(self, x, context, training):
        return 2.0 * x, self._log_det(x)

    def _inverse_and_log_det(self, y, context, training):
        return self.factor * y, -self._log_det(y)


def test_right_bijector_passes_and_prints_so():
    report = tff.check_bijector(Doubling(), X)
    assert report.passed
    assert "FAIL" not in str(report)
    assert report.integral == pytest.approx(1.0, abs=0.01)


def test_wrong_log_det_is_caught():
    report = tff.check_bijector(Doubling(log_slope=0.6), X)
    assert not report.passed
    assert report.data_round_trip < 1e-6
    assert report.inverse_log_det == pytest.approx(2 * (LOG_2 - 0.6) / 1.386, abs=0.01)
    assert "FAIL  log-det of inverse against autodiff" in str(report)
    assert "FAIL  integral of the density" in str(report)


def test_wrong_inverse_is_caught():
    report = tff.check_bijector(Doubling(factor=0.4), X)
    assert not report.passed
    assert "FAIL  round trip from data" in str(report)


def test_stock_bijectors_are_checked_too():
    assert tff.check_bijector(tfp.bijectors.Softplus(), np.exp(X[:, 0])).passed
    assert tff.check_bijector(tfp.bijectors.Exp(), np.exp(X[:, 0])).passed


def test_points_without_a_batch_axis_are_refused():
    with pytest.raises(ValueError, match=r"`x` of shape \[N, \*event\]"):
        tff.check_bijector(Doubling(), X[0])


def test_arrays_of_another_precision_are_taken():
    flow = tff.RealNVP(2, num_steps=1, context_size=3, seed=0)
    rng = np.random.default_rng(0)
    x, context = rng.normal(size=(4, 2)), rng.normal(size=(4, 3))
    assert tff.check_bijector(flow, x, context=context).passed
