"""`convolve` and its gradients, as XLA computes them and as TensorFlow does."""

import numpy as np
import pytest
import tensorflow as tf
from subject import close

from tfp_flows.networks.conv_net import convolve

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("size", [(1, 1), (3, 3), (3, 5)])
@pytest.mark.parametrize("image", [(1, 1), (4, 6)])
def test_values_and_gradients_are_those_of_a_convolution(size, image):
    x = tf.constant(RNG.normal(size=(3, *image, 2)))
    kernel = tf.constant(RNG.normal(size=(*size, 2, 4)))
    upstream = tf.constant(RNG.normal(size=(3, *image, 4)))

    def answers(function):
        with tf.GradientTape() as tape:
            tape.watch([x, kernel])
            y = function(x, kernel)
        return y, *tape.gradient(y, [x, kernel], output_gradients=upstream)

    expected = answers(lambda x, kernel: tf.nn.conv2d(x, kernel, 1, "SAME"))
    plain = answers(convolve)
    compiled = tf.function(answers, jit_compile=True, autograph=False)(convolve)
    for a, b, c in zip(expected, plain, compiled, strict=True):
        close(a, b)
        close(a, c)
