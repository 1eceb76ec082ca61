import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from random_weights import randomize
from subject import close

import tfp_flows as tff

tfb = tfp.bijectors

IMAGES = np.random.default_rng(0).normal(2.0, 3.0, size=(50, 4, 4, 2)).astype(np.float32)


def levels():
    return [
        tff.FlowChain([tff.Squeeze((4, 4, 2)), tff.ActNorm(8, event_ndims=3)]),
        tff.FlowChain([tff.Squeeze((2, 2, 4)), tff.ActNorm(16, event_ndims=3)]),
    ]


def test_latents_are_what_the_levels_leave_one_after_the_other():
    first, second = (randomize(level, seed=i) for i, level in enumerate(levels()))
    flow = tff.MultiScale([first, second], (4, 4, 2))
    assert flow.latent_shapes == ((2, 2, 4), (1, 1, 16))
    z, log_det = flow.inverse_and_log_det(IMAGES)
    h, first_log_det = first.inverse_and_log_det(IMAGES)
    top, second_log_det = second.inverse_and_log_det(h[..., :4])
    expected = [np.reshape(h[..., 4:], [50, 16]), np.reshape(top, [50, 16])]
    np.testing.assert_allclose(z, np.concatenate(expected, axis=1), rtol=1e-5)
    close(log_det, first_log_det + second_log_det, 1e-5)


def test_every_level_is_initialized_by_what_reaches_it():
    flow = tff.MultiScale(levels(), (4, 4, 2))
    assert not flow.is_initialized
    flow.initialize(IMAGES)
    assert flow.is_initialized
    z = flow.inverse_and_log_det(IMAGES)[0].numpy()
    factored, top = np.split(z, [16], axis=1)
    for channels in (factored.reshape(-1, 4), top.reshape(-1, 16)):
        np.testing.assert_allclose(channels.mean(axis=0), 0.0, atol=1e-4)
        np.testing.assert_allclose(channels.std(axis=0), 1.0, atol=1e-3)


def test_stock_bijectors_can_be_levels():
    inner = randomize(tff.ActNorm(2, event_ndims=3))
    stock = [tfb.Chain([tfb.Scale(2.0), inner]), tfb.Scale([[[3.0]]])]
    ours = tff.FlowChain([tff.bijectors.TFPBijector(tfb.Scale(2.0), 3), inner])
    flow = tff.MultiScale(stock, (4, 4, 2))
    z, log_det = flow.inverse_and_log_det(IMAGES)
    h, first_log_det = ours.inverse_and_log_det(IMAGES)
    close(np.split(z, 2, axis=1)[1], np.reshape(h[..., :1] / 3.0, [50, 16]), 1e-5)
    close(log_det, first_log_det - 16.0 * np.log(3.0), 1e-5)
    close(flow.forward_and_log_det(z.numpy())[0], IMAGES, 1e-5)
    assert flow.trainable_variables
    assert flow.has_data_dependent_state


@pytest.mark.parametrize("fraction", [0.3, 0.0, 1.0])
def test_fraction_of_no_whole_number_of_channels_is_refused(fraction):
    with pytest.raises(ValueError, match=r"`fraction` of a whole number.*of level 1; got"):
        tff.MultiScale(levels(), (4, 4, 2), fraction=fraction)


def test_coupling_that_passes_the_kept_half_is_a_conditional_gaussian_prior():
    """Its density is that of the kept half, times a normal of the factored one."""
    mask = tff.masks.channel_half((2, 2, 2))
    network = tff.networks.ConvNet(2, (), seed=1)
    prior = randomize(tff.Coupling(mask, tff.Conditioner(network, (2, 2, 1))))
    rest = tff.ActNorm(1, event_ndims=3)
    flow = tff.MultiScale([prior, rest], (2, 2, 2))
    distribution = tff.FlowDistribution(tff.standard_normal(8), flow)
    x = np.random.default_rng(1).normal(size=(5, 2, 2, 2)).astype(np.float32)
    kept, factored = x[..., :1], x[..., 1:]
    mean, s = np.split(prior.conditioner(tf.constant(kept)).numpy(), 2, axis=-1)
    scale = np.exp(2.0 * np.tanh(s / 2.0))
    log_prob = _normal(kept) + _normal((factored - mean) / scale) - np.log(scale)
    close(distribution.log_prob(x), log_prob.sum(axis=(1, 2, 3)), 1e-4)


def _normal(z):
    return -0.5 * z**2 - 0.5 * np.log(2.0 * np.pi)
