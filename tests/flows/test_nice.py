import numpy as np

import tfp_flows as tff


def test_nice_for_mnist_has_the_size_of_the_papers():
    """As other implementations of the paper's MNIST flow count it."""
    nice = tff.NICE(784, num_steps=4, hidden_units=(1000,) * 5, standardize=False)
    assert sum(np.prod(v.shape) for v in nice.trainable_variables) == 19_158_352
