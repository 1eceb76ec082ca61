import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from random_weights import randomize, values
from subject import all_close

import tfp_flows as tff

tfb = tfp.bijectors
X = np.random.default_rng(0).normal(size=(16, 2)).astype(np.float32)
LOG_2 = float(np.log(2.0))


class Doubling(tff.FlowBijector):
    """`y = 2 x`, whose log-det and inverse a test can make wrong."""

    def __init__(self, log_slope=LOG_2, factor=0.5):
        super().__init__(event_ndims=1, event_shape=[2])
        self.log_slope, self.factor = log_slope, factor

    def _log_det(self, x):
        return tf.fill(tf.shape(x)[:-1], np.float32(2.0 * self.log_slope))

    def _forward_and_log_det(self, x, context, training):
        return 2.0 * x, self._log_det(x)

    def _inverse_and_log_det(self, y, context, training):
        return self.factor * y, -self._log_det(y)


def test_right_bijectors_pass_and_print_so():
    report = tff.check_bijector(Doubling(), X)
    assert report.passed
    assert "FAIL" not in str(report)
    assert report.integral == pytest.approx(1.0, abs=0.01)
    for stock in (tfb.Softplus(), tfb.Exp()):
        assert tff.check_bijector(stock, np.exp(X[:, 0])).passed


def test_many_checks_are_no_reason_to_warn_of_retracing(caplog, monkeypatch):
    monkeypatch.setattr(tf.get_logger(), "propagate", True)
    for _ in range(4):
        tff.check_bijector(Doubling(), X)
    assert "retracing" not in caplog.text


def test_wrong_log_dets_and_inverses_are_caught():
    report = tff.check_bijector(Doubling(log_slope=0.6), X)
    assert not report.passed
    assert report.data_round_trip < 1e-6
    assert report.inverse_log_det == pytest.approx(2 * (LOG_2 - 0.6) / 1.386, abs=0.01)
    assert "FAIL  log-det of inverse against autodiff" in str(report)
    assert "FAIL  integral of the density" in str(report)
    report = tff.check_bijector(Doubling(factor=0.4), X)
    assert not report.passed
    assert "FAIL  round trip from data" in str(report)


@pytest.mark.usefixtures("op_by_op")
def test_an_untrained_flow_passes_with_arrays_of_another_precision():
    flow = tff.RealNVP(2, num_steps=1, context_size=3, seed=0)
    rng = np.random.default_rng(0)
    x, context = rng.normal(size=(4, 2)), rng.normal(size=(4, 3))
    report = tff.check_bijector(flow, x, context=context)
    assert report.passed is True
    assert report.is_identity


class WrongSign(tff.Affine):
    """An affine transformer whose inverse adds the shift, which is wrong."""

    def inverse_and_log_det(self, y, parameters):
        shift, log_scale = self.constrain(parameters)
        return (y + shift) * tf.exp(-log_scale), -log_scale


@pytest.mark.usefixtures("op_by_op")
def test_an_untrained_flow_with_a_wrong_transformer_does_not_pass():
    flow = tff.RealNVP(2, num_steps=2, hidden_units=(4,), seed=0, transformer=WrongSign())
    before = values(flow)
    report = tff.check_bijector(flow, X)
    assert report.is_identity
    assert report.identities == ("real_nvp",)
    assert report.passed is False
    assert report.wrong_steps == ("bijectors[1] `coupling`", "bijectors[2] `coupling`")
    start = "Still the identity, a shift or a rotation, so checked with random weights: "
    assert str(report).startswith(start)
    assert "FAIL  log-det" not in str(report)
    all_close(values(flow), before, 0.0)
    assert not flow.is_initialized


def _levels(step):
    chain = tff.FlowChain([tff.Squeeze((2, 2, 1)), step])
    return tff.MultiScale([chain, tff.Permutation([1, 0], event_ndims=3)], (2, 2, 1))


class DoublingPixels(Doubling):
    def __init__(self):
        tff.FlowBijector.__init__(self, event_ndims=3, event_shape=[1, 1, 4])
        self.log_slope, self.factor = 0.0, 0.5

    def _log_det(self, x):
        return tf.zeros(tf.shape(x)[0])


NESTED = {
    "bijectors[1].bijector.bijectors[1] `doubling`": (
        lambda: tff.FlowChain(
            [tfb.Identity(), tff.Invert(tff.FlowChain([Doubling(), Doubling(0.6)]))]
        ),
        X,
    ),
    "levels[0].bijectors[1] `doubling_pixels`": (
        lambda: _levels(DoublingPixels()),
        np.resize(X, [8, 2, 2, 1]),
    ),
    "bijector `doubling`": (
        lambda: tff.bijectors.Partial([True, False, False], Doubling(0.6)),
        np.resize(X, [8, 3]),
    ),
    "`doubling`": (lambda: Doubling(0.6), X),
}


@pytest.mark.usefixtures("op_by_op")
@pytest.mark.parametrize("wrong", NESTED)
def test_the_wrong_step_is_named(wrong):
    make, x = NESTED[wrong]
    report = tff.check_bijector(make(), x)
    assert report.passed is False
    assert report.wrong_steps == (wrong,)
    assert str(report).endswith(f"wrong by itself: {wrong}")


@pytest.mark.slow_ids("glow")
@pytest.mark.parametrize(
    ("build", "event_shape"),
    [
        (lambda: tfb.Reshape([2, 2], [4]), (2, 2)),
        (tfb.IteratedSigmoidCentered, (3,)),
        (tfb.FillTriangular, (2, 2)),
        (lambda: tff.FlowChain([tfb.SoftmaxCentered(), tff.ActNorm(2)]), (3,)),
        (lambda: tff.Glow((2, 2, 1), 1, 1, hidden_channels=2, seed=0), (2, 2, 1)),
    ],
    ids=["reshape", "sigmoid", "triangular", "softmax", "glow"],
)
@pytest.mark.usefixtures("op_by_op")
def test_bijectors_that_change_the_shape_are_checked(build, event_shape):
    bijector = build()
    if bijector.trainable_variables:
        randomize(bijector, stddev=0.2)
    flow = bijector if isinstance(bijector, tff.FlowBijector) else tff.FlowChain([bijector])
    latent_shape = flow.inverse_event_shape(event_shape)
    latent = np.random.default_rng(1).normal(size=(5, *latent_shape)).astype(np.float32)
    report = tff.check_bijector(bijector, flow.forward(latent))
    assert report.passed, str(report)
    assert report.event_shape == event_shape


class Unused(Doubling):
    """The identity; its weight is not used."""

    def __init__(self):
        super().__init__(log_slope=0.0, factor=1.0)
        self.weight = tf.Variable(0.0)

    def _forward_and_log_det(self, x, context, training):
        return x, self._log_det(x)


class Swap(tff.FlowBijector):
    """Exchanges two variables, moves and stretches them; its log-det lacks the stretch."""

    def __init__(self, right):
        super().__init__(event_ndims=1, event_shape=[2])
        self.right, self.log_scale = right, tf.Variable([0.0, 0.0])

    def _log_det(self, x):
        return tf.fill(tf.shape(x)[:1], self.right * tf.reduce_sum(self.log_scale))

    def _forward_and_log_det(self, x, context, training):
        return (x * tf.exp(self.log_scale))[:, ::-1] + 1.0, self._log_det(x)

    def _inverse_and_log_det(self, y, context, training):
        return (y - 1.0)[:, ::-1] * tf.exp(-self.log_scale), -self._log_det(y)


@pytest.mark.usefixtures("op_by_op")
@pytest.mark.parametrize("right", [1.0, 0.0])
def test_a_log_det_without_the_weights_of_a_fresh_swap_is_caught(right):
    step = Swap(right)
    report = tff.check_bijector(tff.FlowChain([step, tff.Permutation([1, 0])]), X)
    assert report.passed is bool(right)
    assert report.identities == ("swap",)
    assert not report.is_identity
    np.testing.assert_array_equal(step.log_scale, [0.0, 0.0])


def test_a_trained_shift_is_seen():
    report = tff.check_bijector(tfb.Shift(tf.Variable([1.0, 2.0])), X)
    assert report.passed is True


def test_of_an_identity_with_any_weights_nothing_is_known():
    report = tff.check_bijector(Unused(), X)
    assert report.passed is None
    assert report.unchecked == ("unused",)
    assert "nothing is known: `unused`" in str(report)


class WrongSimplex(tfb.SoftmaxCentered):
    def _forward_log_det_jacobian(self, x):
        return tf.reduce_sum(tf.math.log(self.forward(x)[..., :-1]), axis=-1)

    def _inverse_log_det_jacobian(self, y):
        return -tf.reduce_sum(tf.math.log(y[..., :-1]), axis=-1)


def test_wrong_log_det_on_a_simplex_is_caught():
    report = tff.check_bijector(WrongSimplex(), tfb.SoftmaxCentered().forward(X))
    assert "FAIL  log-det of inverse" in str(report)


def test_what_has_no_log_det_by_autodiff_is_refused_in_words():
    with pytest.raises(ValueError, match="one tensor at each end; got `split`"):
        tff.check_bijector(tfb.Split(2), X)
    correlation = tfb.CorrelationCholesky()
    with pytest.raises(ValueError, match="free entries at both ends.*from 1 to 4"):
        tff.check_bijector(correlation, correlation.forward(X[:, :1]))


def test_integers_are_points():
    assert tff.check_bijector(tfb.Exp(), [1, 2, 3]).passed
