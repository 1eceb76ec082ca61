import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from random_weights import randomize
from subject import all_close, close

import tfp_flows as tff

tfb = tfp.bijectors
X = np.random.default_rng(0).normal(size=(7, 3))


def parts():
    scale = tfb.Scale(log_scale=tf.constant([0.1, 0.2, 0.3], tf.float64))
    return [tfb.Shift(tf.constant([1.0, 2.0, 3.0], tf.float64)), scale, tfb.Tanh()]


def test_order_and_log_dets_are_those_of_the_stock_chain():
    """A parameter with an axis has one entry for each variable of an event."""
    for given in (parts(), [tff.bijectors.TFPBijector(part, 1) for part in parts()]):
        y, log_det = tff.FlowChain(given).forward_and_log_det(X)
        close(y, tfb.Chain(parts()).forward(X))
        close(log_det, tfb.Chain(parts()).forward_log_det_jacobian(X, event_ndims=1))
    alone = tff.bijectors.TFPBijector(parts()[1])
    close(alone.inverse_and_log_det(X)[1], np.full(7, -0.6))


def test_an_inverted_stock_chain_hands_context_on():
    flow = tff.RealNVP(3, num_steps=1, hidden_units=(4,), context_size=2, dtype="float64")
    randomize(flow)
    exp, context = tfb.Exp(), np.ones([7, 2])
    chain = tff.FlowChain([tfb.Invert(tfb.Chain([exp, flow]))])
    close(chain.inverse(X, context=context), np.exp(flow.forward(X, context=context)))


def maf(size):
    return tff.MAF(size, num_steps=1, hidden_units=(4,), name=f"maf_{size}")


def squeezed(*others):
    return [tff.Squeeze((4, 4, 1)), *others]


@pytest.mark.parametrize(
    ("bijectors", "message"),
    [
        (
            lambda: [tfb.Exp(), maf(3), tfb.Softplus(), maf(2)],
            r"`maf_3`.*\(3,\).*`maf_2`.*\(2,\)",
        ),
        (
            lambda: [tfb.Chain([tff.FlowChain([maf(3)])]), tff.Invert(maf(2))],
            r"\(3,\).*`invert_maf_2`.*\(2,\)",
        ),
        (
            lambda: squeezed(tff.ActNorm(3, event_ndims=3)),
            r"`squeeze`.*\(2, 2, 4\).*`act_norm`.*3",
        ),
        (lambda: [maf(3), tfb.Reshape([4], [2, 2])], "`maf_3`.*reshape"),
        (
            lambda: [tff.Logit(0.1, event_ndims=3), tff.Permutation([1, 0])],
            r"3 axes; got 1 axes in `permutation`.*`TFPBijector\(permutation, 3\)`",
        ),
    ],
    ids=["stock between", "nested", "channels", "reshape", "axes"],
)
def test_bijectors_whose_event_shapes_do_not_fit_are_refused(bijectors, message):
    with pytest.raises(ValueError, match=message):
        tff.FlowChain(bijectors())


@pytest.mark.parametrize(
    "bijectors",
    [
        lambda: [tfb.Reshape([2, 2], [4]), maf(4)],
        lambda: [tfb.FillScaleTriL(), maf(3)],
        lambda: [tff.Logit(event_ndims=3), tff.Squeeze((2, 2, 1)), tfb.Scale(2.0)],
        lambda: [tfb.Invert(tfb.Split([1, 2])), tfb.Split([2, 1]), maf(3)],
        lambda: [maf(4), tfb.Blockwise([tfb.Exp(), maf(3)], [1, 3])],
        lambda: squeezed(tff.bijectors.TFPBijector(tff.ActNorm(4), 3)),
    ],
)
def test_bijectors_whose_event_shapes_fit_are_taken(bijectors):
    assert len(tff.FlowChain(bijectors()).bijectors) > 1


@pytest.mark.parametrize("stock", [tfb.Exp(), tfb.Permute([1, 0])], ids=lambda b: b.name)
@pytest.mark.usefixtures("op_by_op")
def test_rows_of_float64_pass_stock_steps_without_a_dtype(stock):
    rows = np.random.default_rng(0).gamma(2.0, size=(50, 2))
    flow = tff.FlowChain([stock, tff.RealNVP(2, num_steps=1, hidden_units=(4,), seed=0)])
    flow.initialize(rows)
    latents = flow.inverse(rows.astype(np.float32))
    all_close(np.mean(latents, axis=0), np.zeros(2), 0.3)


def test_only_steps_that_read_rows_are_given_all_of_them():
    measured, passed = {}, {}

    class Counting(tff.ActNorm):
        def initialize(self, data, *, context=None):
            measured.setdefault(self.name, len(data))
            super().initialize(data, context=context)

        def _inverse_and_log_det(self, y, context, training):
            passed[self.name] = len(y)
            return super()._inverse_and_log_det(y, context, training)

    class Indifferent(Counting):
        reads_rows = False

    steps = [Counting(2, name="first"), Counting(2, name="second")]
    steps += [Indifferent(2, name="third"), tff.HeavyTails(2)]
    chain = tff.FlowChain(steps)
    chain.initialize(np.random.default_rng(0).normal(size=(9, 2)).astype(np.float32))
    assert measured == {"first": 9, "second": 9, "third": 1}
    assert passed == {"first": 9, "second": 1, "third": 1}
    assert chain.is_initialized
