import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from random_weights import randomize
from subject import close

import tfp_flows as tff

tfb = tfp.bijectors
X = np.random.default_rng(0).normal(size=(7, 3))


def parts():
    scale = tfb.Scale(log_scale=tf.constant([0.1, 0.2, 0.3], tf.float64))
    return [tfb.Shift(tf.constant([1.0, 2.0, 3.0], tf.float64)), scale, tfb.Tanh()]


def test_order_and_log_dets_are_those_of_the_stock_chain():
    ours = tff.FlowChain([tff.TFPBijector(part, 1) for part in parts()])
    stock = tfb.Chain(parts())
    y, log_det = ours.forward_and_log_det(X)
    close(y, stock.forward(X))
    close(log_det, stock.forward_log_det_jacobian(X, event_ndims=1))


def test_context_reaches_what_stock_chain_and_invert_hide():
    network = tff.MLP(2, (4,), seed=0, dtype="float64")
    conditioner = tff.Conditioner(network, 2, context_size=1)
    mask = np.array([True, True, False])
    inner = randomize(tff.Coupling(mask, conditioner, dtype=tf.float64))
    chain = tff.FlowChain([tfb.Chain([tfb.Invert(inner), tfb.Exp()])])
    context = np.ones([7, 1])
    close(
        chain.forward_and_log_det(X, context=context)[0],
        inner.inverse_and_log_det(np.exp(X), context=context)[0],
    )


def test_contexts_of_two_widths_are_refused():
    flows = [tff.NICE(3, context_size=size, num_steps=1) for size in (1, 2)]
    with pytest.raises(ValueError, match=r"one `context_size`.*\[1, 2\]"):
        tff.FlowChain(flows)


def test_two_dtypes_are_refused():
    with pytest.raises(ValueError, match="one dtype.*float32.*float64"):
        tff.FlowChain([tff.ActNorm(3), tff.ActNorm(3, dtype=tf.float64)])


@pytest.mark.parametrize("bijectors", [[], [lambda x: x]])
def test_what_is_no_list_of_bijectors_is_refused(bijectors):
    with pytest.raises(ValueError, match="`bijectors`"):
        tff.FlowChain(bijectors)
