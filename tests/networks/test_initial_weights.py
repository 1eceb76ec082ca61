"""How networks on vectors start: sums of bounded variance, and bends in many places."""

import numpy as np
import pytest

from tfp_flows.networks.masked_mlp import MaskedMLP
from tfp_flows.networks.mlp import MLP
from tfp_flows.networks.order_agnostic_mlp import OrderAgnosticMLP
from tfp_flows.tables.networks import ColumnMLPs


def first_layer(network):
    """Kernel, `[inputs, units]`, and bias of the units of the first layer."""
    if isinstance(network, ColumnMLPs):  # of the last column, which sees all
        kernel, bias = network._layout.unpack(network._packed).layers[0]
        return kernel[0, -1], bias[0, -1, 0]
    if isinstance(network, OrderAgnosticMLP):
        kernels, biases, *_ = network.whole_weights()
        return kernels[0], biases[0]
    if isinstance(network, MaskedMLP):
        (kernel,), bias = network._layout.unpack(network._packed).layers[0]
        return np.transpose(kernel), bias
    return network.kernels_and_biases()[0]


NETWORKS = {
    "mlp": MLP(2, (256,), seed=0),
    "residual": MLP(2, (256, 256), residual=True, seed=0),
    "masked": MaskedMLP(2, (256,), [1, 2], seed=0),
    "columns": ColumnMLPs(2, (256,), [[False], [True]], seed=0),
    "cycle": OrderAgnosticMLP(2, (256,), 2, num_masks=2, seed=0),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_units_of_one_input_bend_in_many_places(name):
    network = NETWORKS[name]
    network.build((None, 2 if isinstance(network, MaskedMLP) else 1))
    kernel, bias = (np.asarray(array) for array in first_layer(network))
    where = -bias / kernel[0]
    assert np.mean(np.abs(where) < 2) > 0.5
    assert np.std(np.clip(where, -2, 2)) > 0.4


@pytest.mark.parametrize(("num_variables", "context_size"), [(2, 0), (40, 3)])
def test_masked_units_start_by_the_number_of_inputs_of_their_layer(
    num_variables, context_size
):
    ordering = np.arange(1, num_variables + 1)
    network = MaskedMLP(2, (4096, 16), ordering, context_size=context_size, seed=0)
    network.build((None, num_variables + context_size))
    arrays = network._layout.unpack(network._packed)
    tiles, bias = arrays.layers[0]
    layer = network.layers[0]
    kernel = layer.transposed_kernel(tiles).numpy()
    num_inputs = num_variables + context_size
    degrees = layer.out_degrees[layer.rising_units]
    context = arrays.context.numpy()[:, layer.rising_units]
    for degree in np.unique(degrees):
        units = degrees == degree
        variance = np.sum(kernel[units] ** 2, 1) + np.sum(context[:, units] ** 2, 0)
        expected = (degree + context_size) / num_inputs
        np.testing.assert_allclose(np.mean(variance), expected, rtol=0.3)
        from_units = bias.numpy()[layer.rising_units][units]
        assert 0.8 < np.abs(from_units).max() * num_inputs**0.5 <= 1.0
    for array in (arrays.layers[-1][0][0], arrays.layers[-1][1]):
        assert not np.any(array), "outputs start at zero"


def test_layers_of_one_seed_differ():
    network = MLP(3, (3,), zero_last_layer=False, seed=1)
    network.build((None, 3))
    (first, _), (second, _) = network.kernels_and_biases()
    assert np.any(first != second)
