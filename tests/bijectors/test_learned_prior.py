import keras
import numpy as np
from random_weights import randomize
from subject import close

import tfp_flows as tff


def test_is_a_gaussian_with_a_mean_and_scale_for_each_class():
    network = keras.layers.Dense(4, use_bias=False)
    conditioner, options = (
        tff.Conditioner(network, 3),
        {"context_size": 3, "event_ndims": 3},
    )
    prior = tff.bijectors.Elementwise(2, tff.Affine(), conditioner, **options)
    randomize(prior)
    distribution = tff.FlowDistribution(tff.standard_normal((4, 5, 2)), prior)
    classes = np.eye(3, dtype=np.float32)
    (weights,) = (v for v in prior.trainable_variables if "parameters" in v.name)
    mean, s = np.split(weights.numpy() + network.get_weights()[0], 2, axis=1)
    for label in range(3):
        x = distribution.sample(3000, seed=0, context=classes[label]).numpy()
        scale = np.exp(2.0 * np.tanh(s[label] / 2.0))
        np.testing.assert_allclose(x.mean(axis=(0, 1, 2)), mean[label], atol=0.05)
        np.testing.assert_allclose(x.std(axis=(0, 1, 2)), scale, rtol=0.05)


def test_starts_as_the_identity():
    x = np.random.default_rng(0).normal(size=(3, 2, 2, 4)).astype(np.float32)
    z, log_det = tff.bijectors.Elementwise(
        4, tff.Affine(), event_ndims=3
    ).inverse_and_log_det(x)
    close(z, x)
    np.testing.assert_array_equal(log_det, np.zeros(3))
