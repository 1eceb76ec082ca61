import numpy as np
import pytest
from random_weights import randomize
from subject import close

import tfp_flows as tff

X = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)


def dense(x, weights):
    return x @ weights[0] + weights[1]


def random_mlp(**kwargs):
    network = tff.MLP(2, activation="tanh", seed=0, **kwargs)
    randomize(tff.Conditioner(network, 3))
    return network, [(w.numpy(), b.numpy()) for w, b in network.kernels_and_biases()]


def test_plain_formula():
    network, (first, second, last) = random_mlp(hidden_units=(4, 5))
    assert first[0].shape == (3, 4)
    hidden = np.tanh(dense(np.tanh(dense(X, first)), second))
    close(network(X), dense(hidden, last), 1e-5)


def test_residual_formula():
    network, (first, inner, outer, last) = random_mlp(hidden_units=(4, 4), residual=True)
    hidden = dense(X, first)
    hidden = hidden + dense(np.tanh(dense(np.tanh(hidden), inner)), outer)
    close(network(X), dense(np.tanh(hidden), last), 1e-5)


def test_first_kernel_is_one_for_variables_and_context():
    conditioner = tff.Conditioner(tff.MLP(2, (4,)), 3, context_size=5)
    (kernel, _), _ = conditioner.network.kernels_and_biases()
    assert kernel.shape == (3 + 5, 4)
    assert [v.shape for v in conditioner.variables] == [(8 * 4 + 4 + 4 * 2 + 2,)]


@pytest.mark.parametrize("residual", [False, True])
def test_starts_at_zero_unless_told_otherwise(residual):
    options = {"hidden_units": (4, 4), "residual": residual, "seed": 0}
    np.testing.assert_array_equal(tff.MLP(2, **options)(X), 0.0)
    assert np.any(tff.MLP(2, zero_last_layer=False, **options)(X) != 0.0)


def test_seed_determines_the_weights():
    def output(seed):
        return np.asarray(tff.MLP(2, (4,), zero_last_layer=False, seed=seed)(X))

    np.testing.assert_array_equal(output(1), output(1))
    assert np.any(output(1) != output(2))
    assert np.any(output(None) != output(None))


def test_layers_of_one_seed_differ():
    network = tff.MLP(3, (3,), zero_last_layer=False, seed=1)
    network.build((None, 3))
    (first, _), (second, _) = network.kernels_and_biases()
    assert np.any(first != second)


def test_no_hidden_layer_is_a_linear_map():
    network, (last,) = random_mlp(hidden_units=())
    close(network(X), dense(X, last), 1e-5)
