"""Networks on vectors against formulas: plain ones, networks of columns, mask cycles."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from random_weights import randomize
from subject import close

import tfp_flows as tff
from tfp_flows.networks.layer_arguments import dropout_layer
from tfp_flows.tables.networks import ColumnMLPs

X = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)


def dense(x, weights):
    return x @ weights[0] + weights[1]


def random_mlp(**kwargs):
    network = tff.MLP(2, activation="tanh", seed=0, **kwargs)
    randomize(tff.Conditioner(network, 3))
    return network, [(w.numpy(), b.numpy()) for w, b in network.kernels_and_biases()]


def test_plain_formula():
    network, (first, second, last) = random_mlp(hidden_units=(4, 5))
    hidden = np.tanh(dense(np.tanh(dense(X, first)), second))
    close(network(X), dense(hidden, last), 1e-5)


def test_residual_formula():
    network, (first, inner, outer, last) = random_mlp(hidden_units=(4, 4), residual=True)
    hidden = dense(X, first)
    hidden = hidden + dense(np.tanh(dense(np.tanh(hidden), inner)), outer)
    close(network(X), dense(np.tanh(hidden), last), 1e-5)


def test_no_hidden_layer_is_a_linear_map():
    network, (last,) = random_mlp(hidden_units=())
    close(network(X), dense(X, last), 1e-5)


def test_first_calls_build_for_the_context_too():
    """So that it may be a tensor of its own, also in a functional model."""
    context = X[:, :2]
    options = {"zero_last_layer": False, "seed": 0}
    joined = tff.MLP(4, (5,), **options)(np.concatenate([X, context], axis=1))
    close(tff.MLP(4, (5,), **options)(X, context), joined, 1e-6)
    inputs = [keras.Input((3,)), keras.Input((2,))]
    model = keras.Model(inputs, tff.MLP(4, (5,), **options)(*inputs))
    close(model([X, context]), joined, 1e-6)
    masked = tff.MaskedMLP(2, (5,), [1, 2, 3], context_size=2, **options)
    assert masked(X, context).shape == (7, 6)


def test_integers_are_numbers():
    network = tff.MLP(4, (5,), zero_last_layer=False)
    close(network(np.ones([2, 3], int)), network(np.ones([2, 3], np.float32)), 1e-6)
    of_sets, rows = tff.networks.DeepSet(4, (5,)), np.ones([2, 3, 3])
    close(of_sets(rows.astype(int)), of_sets(rows), 1e-6)


def test_layers_of_one_seed_differ():
    network = tff.MLP(3, (3,), zero_last_layer=False, seed=1)
    network.build((None, 3))
    (first, _), (second, _) = network.kernels_and_biases()
    assert np.any(first != second)


SEEN = np.array([[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 0, 1]], bool)
ROWS = tf.constant(np.random.default_rng(0).normal(size=(5, 4)))


def columns(**options):
    options = {"num_members": 2, "activation": "tanh", "dtype": "float64", **options}
    return ColumnMLPs(6, (8, 8), SEEN, seed=0, **options)


def test_outputs_of_columns_depend_on_what_each_sees():
    conditioner = randomize(tff.Conditioner(columns(), 4))
    with tf.GradientTape() as tape:
        tape.watch(ROWS)
        outputs = conditioner(ROWS)
    assert outputs.shape == (5, 2, 6, 3)
    slopes = np.abs(tape.batch_jacobian(outputs, ROWS)).max(axis=(0, 2))  # [M, D, F]
    for from_member in slopes:
        np.testing.assert_array_equal(from_member > 0.0, SEEN)
    for column in range(3):
        alone = conditioner.network.from_column(ROWS, column)
        np.testing.assert_allclose(alone, outputs[..., column], rtol=1e-12)
    assert np.abs(outputs[:, 0] - outputs[:, 1]).max() > 0.0


def test_columns_start_at_zero_drop_units_in_training_only_and_are_rebuilt():
    np.testing.assert_array_equal(tff.Conditioner(columns(), 4)(ROWS), 0.0)
    made = randomize(tff.Conditioner(columns(dropout=0.5), 4))
    dropping = tff.Conditioner(made.network, 4, dropout_in_training=True)
    np.testing.assert_array_equal(dropping(ROWS), made(ROWS))
    assert np.abs(dropping(ROWS, training=True) - made(ROWS)).max() > 0.0
    twin = keras.layers.deserialize(keras.layers.serialize(made.network))
    twin.set_weights(made.network.get_weights())
    np.testing.assert_array_equal(twin(ROWS), made.network(ROWS))
    with pytest.raises(ValueError, match=r"`seen` of shape \[D, F\]"):
        ColumnMLPs(6, (8,), [True, False])


def test_dropout_is_that_of_keras_and_as_frequent_under_xla():
    own, stock, compiled = (
        new(0.3, seed=7, dtype="float32")
        for new in (dropout_layer, keras.layers.Dropout, dropout_layer)
    )
    ones = np.ones([100, 30], np.float32)
    for _ in range(2):
        np.testing.assert_array_equal(own(ones, training=True), stock(ones, training=True))
    np.testing.assert_array_equal(compiled(ones), ones)
    draw = tf.function(lambda: compiled(ones, training=True), jit_compile=True)
    first, second = draw().numpy(), draw().numpy()
    assert np.any(first != second)
    assert np.mean(first == 0.0) == pytest.approx(0.3, abs=0.04)  # five deviations
    close(first.max(), 1.0 / 0.7, 1e-6)


def mask_cycle(**options):
    shared = {"num_masks": 3, "mask_seed": 7, "zero_last_layer": False, "seed": 1}
    network = tff.networks.OrderAgnosticMLP(2, (32, 32), 6, **shared, **options)
    network.build((None, 6))
    return network


def test_masks_differ_in_connections_and_in_order_unless_it_is_fixed():
    ranks = mask_cycle()._ranks
    assert [w.shape for w in ranks] == [(3, 6), (3, 32), (3, 32)]
    for from_all_masks in ranks:
        rows = from_all_masks.numpy()
        np.testing.assert_array_equal(np.sort(rows), [np.arange(rows.shape[1])] * 3)
        assert len({tuple(row) for row in rows}) == 3
    ranks = mask_cycle(fixed_ordering=[4, 1, 6, 2, 3, 5])._ranks
    np.testing.assert_array_equal(ranks[0] + 1, [[4, 1, 6, 2, 3, 5]] * 3)
    assert not np.array_equal(ranks[1][0], ranks[1][1])


def test_some_variables_can_be_put_first():
    network = mask_cycle()
    first = np.array([False, True, False, True, False, False])
    member = network.member(1).with_first(tf.constant(first))
    degrees = member._from_variables.numpy()
    assert degrees[first].max() < degrees[~first].min()
    before = network._ranks[0][1].numpy()
    for part in (first, ~first):
        np.testing.assert_array_equal(np.argsort(degrees[part]), np.argsort(before[part]))
    x = tf.constant(np.random.default_rng(0).normal(size=(16, 6)), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = member(x)
    depends = np.abs(tape.batch_jacobian(outputs, x)).max(axis=0).reshape(2, 6, 6) > 0.0
    np.testing.assert_array_equal(depends.any(axis=0), degrees[None] < degrees[:, None])


def test_padding_of_a_set_is_ignored_whatever_it_holds():
    network = tff.networks.DeepSet(2, (4,), masked=True, seed=0)
    rows = np.random.default_rng(0).normal(size=(1, 3, 2)).astype(np.float32)
    known = np.concatenate([rows, np.ones_like(rows)], axis=-1)
    padding = np.broadcast_to(np.float32([np.nan, np.inf, 0.0, 0.0]), [1, 2, 4])
    padded = tf.constant(np.concatenate([known, padding], axis=1))
    with tf.GradientTape() as tape:
        tape.watch(padded)
        outputs = network(padded)
    close(outputs, network(known), 1e-6)
    assert np.isfinite(tape.gradient(outputs, network.trainable_weights[0].value)).all()
