"""The masks of a cycle: how they differ, and what can be fixed or put first."""

import numpy as np
import tensorflow as tf

import tfp_flows as tff


def network(**options):
    net = tff.networks.OrderAgnosticMLP(
        2, (32, 32), 6, num_masks=3, mask_seed=7, zero_last_layer=False, seed=1, **options
    )
    net.build((None, 6))
    return net


def test_masks_differ_in_order_and_in_connections():
    ranks = network()._ranks
    assert [w.shape for w in ranks] == [(3, 6), (3, 32), (3, 32)]
    for from_all_masks in ranks:
        rows = from_all_masks.numpy()
        np.testing.assert_array_equal(np.sort(rows), [np.arange(rows.shape[1])] * 3)
        assert len({tuple(row) for row in rows}) == 3


def test_fixed_ordering_is_that_of_every_mask():
    net = network(fixed_ordering=[4, 1, 6, 2, 3, 5])
    np.testing.assert_array_equal(net._ranks[0] + 1, [[4, 1, 6, 2, 3, 5]] * 3)
    assert not np.array_equal(net._ranks[1][0], net._ranks[1][1])


def test_some_variables_can_be_put_first():
    net = network()
    first = np.array([False, True, False, True, False, False])
    member = net.member(1).with_first(tf.constant(first))
    degrees = member._from_variables.numpy()
    assert degrees[first].max() < degrees[~first].min()
    before = net._ranks[0][1].numpy()
    for part in (first, ~first):
        np.testing.assert_array_equal(np.argsort(degrees[part]), np.argsort(before[part]))
    x = tf.constant(np.random.default_rng(0).normal(size=(16, 6)), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = member(x)
    depends = np.abs(tape.batch_jacobian(outputs, x)).max(axis=0).reshape(2, 6, 6) > 0.0
    np.testing.assert_array_equal(depends.any(axis=0), degrees[None] < degrees[:, None])
