"""The same numbers as TFP's network and flow, for the same weights."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows as tff
from tfp_flows import transformers

tfb = tfp.bijectors
SIZE = 4
WIDTH = SIZE - 1  # one unit a degree, where both rules for hidden degrees agree
ORDERINGS = [[1, 2, 3, 4], [4, 3, 2, 1], [3, 1, 4, 2]]


def stock_network(ordering, context_size, rng):
    """TFP's network with random weights, masked as in its own initializer."""
    conditional = {
        "conditional": True,
        "conditional_event_shape": [context_size],
        "conditional_input_layers": "first_layer",
    }
    network = tfb.AutoregressiveNetwork(
        params=2,
        event_shape=[SIZE],
        hidden_units=[WIDTH, WIDTH],
        activation="tanh",
        input_order=np.array(ordering),
        dtype="float64",
        **(conditional if context_size else {}),
    )
    network.build([None, SIZE])
    weights = network.get_weights()  # zeros where masked, but for biases
    network.set_weights(
        [rng.normal(size=w.shape) * ((w != 0) | (w.ndim == 1)) for w in weights]
    )
    return network


def our_network(ordering, context_size, stock):
    """Ours with the weights of `stock`.

    With a context it has a unit of degree 0 in each layer, which TFP's lacks: its weights
    are zero.
    """
    extra = 1 if context_size else 0
    network = tff.MaskedMLP(
        2,
        [WIDTH + extra] * 2,
        ordering,
        context_size=context_size,
        activation="tanh",
        dtype="float64",
    )
    conditioner = tff.Conditioner(network, SIZE, context_size=context_size)
    first, first_bias, *context_kernel, second, second_bias, last, last_bias = (
        stock.get_weights()
    )
    outputs = (2 * np.arange(SIZE) + np.arange(2)[:, None]).ravel()  # parameter-major
    hidden, inputs = (extra, 0), (0, 0)
    arrays = [
        np.pad(first, [inputs, hidden]).T,
        np.pad(first_bias, [hidden]),
        np.pad(second, [hidden, hidden]).T,
        np.pad(second_bias, [hidden]),
        np.pad(last[:, outputs], [hidden, inputs]).T,
        last_bias[outputs],
        *(np.pad(kernel, [inputs, hidden]) for kernel in context_kernel),
    ]
    vector = np.concatenate([array.ravel() for array in arrays])
    conditioner.trainable_variables[0].assign(vector)
    return conditioner


class SwappedAffine(tff.Affine):
    """Its directions are those of `Affine`, swapped."""

    def forward_and_log_det(self, x, parameters):
        return super().inverse_and_log_det(x, parameters)

    def inverse_and_log_det(self, y, parameters):
        return super().forward_and_log_det(y, parameters)


@pytest.mark.slow_ids(
    "iaf-ordering0*", "iaf-ordering1*", "maf-ordering0-2", "maf-ordering2*"
)
@pytest.mark.usefixtures("op_by_op")
@pytest.mark.parametrize("context_size", [0, 2])
@pytest.mark.parametrize("ordering", ORDERINGS)
@pytest.mark.parametrize("is_inverse", [False, True], ids=["maf", "iaf"])
def test_same_numbers_as_tfp(is_inverse, ordering, context_size, rng):
    made = stock_network(ordering, context_size, rng)
    network = our_network(ordering, context_size, made)
    stock = tfb.MaskedAutoregressiveFlow(made)
    constructor, affine = tff.MaskedAutoregressive, tff.Affine
    if is_inverse:
        constructor, affine = tff.InverseAutoregressive, SwappedAffine
        stock = tfb.Invert(stock)
    bijector = constructor(SIZE, network, affine(transformers.exp_scale), dtype="float64")
    y, context, stock_context = tf.constant(rng.normal(size=(8, SIZE))), {}, {}
    if context_size:
        given = tf.constant(rng.normal(size=(8, context_size)))
        context, stock_context = {"context": given}, {"conditional_input": given}
    close = {"rtol": 1e-4, "atol": 1e-5}  # TFP computes in float32 inside
    for method in ("forward", "inverse"):
        ours, theirs = getattr(bijector, method), getattr(stock, method)
        np.testing.assert_allclose(ours(y, **context), theirs(y, **stock_context), **close)
        ours = getattr(bijector, f"{method}_log_det_jacobian")(y, 1, **context)
        theirs = getattr(stock, f"{method}_log_det_jacobian")(y, 1, **stock_context)
        np.testing.assert_allclose(ours, theirs, **close)
