"""Who depends on whom under each mask of a cycle, against back-propagation."""

import numpy as np
import pytest
import tensorflow as tf

import tfp_flows as tff

FORMS = {
    "plain": {"hidden_units": (32, 32)},
    "narrow": {"hidden_units": (4,)},
    "residual": {"hidden_units": (24, 24), "residual": True},
    "direct": {"hidden_units": (16,), "direct": True},
    "context": {"hidden_units": (32, 32), "context_size": 2, "residual": True},
    "one_ordering": {"hidden_units": (32, 32), "fixed_ordering": [4, 1, 6, 2, 3, 5]},
}


def network(seed=1, **form):
    net = tff.MaskCycleMLP(
        2, event_size=6, num_masks=3, mask_seed=7, zero_last_layer=False, seed=seed, **form
    )
    net.build((None, 6 + form.get("context_size", 0)))
    return net


def dependence(net, member):
    """Whether output i of a variable depends on input j: `[2, 6, inputs]`."""
    size = 6 + net.context_size
    x = tf.constant(np.random.default_rng(0).normal(size=(16, size)), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = member(x)
    jacobian = tape.batch_jacobian(outputs, x).numpy()
    return np.abs(jacobian).max(axis=0).reshape(2, 6, size) > 0


@pytest.mark.parametrize("mask", range(3))
@pytest.mark.parametrize("form", FORMS)
def test_outputs_depend_on_lower_degrees_only(form, mask):
    net = network(**FORMS[form])
    depends = dependence(net, net.member(mask))
    degrees = net._ranks[0][mask].numpy() + 1
    allowed = degrees[None, :] < degrees[:, None]
    assert not (depends[:, :, :6] & ~allowed).any()
    if form != "narrow":
        np.testing.assert_array_equal(depends[:, :, :6].any(axis=0), allowed)
    assert depends[:, :, 6:].all()


def test_masks_differ_in_order_and_in_connections():
    ranks = network(**FORMS["plain"])._ranks
    assert [w.shape for w in ranks] == [(3, 6), (3, 32), (3, 32)]
    for of_all_masks in ranks:
        rows = of_all_masks.numpy()
        np.testing.assert_array_equal(np.sort(rows), [np.arange(rows.shape[1])] * 3)
        assert len({tuple(row) for row in rows}) == 3


def test_fixed_ordering_is_that_of_every_mask():
    net = network(**FORMS["one_ordering"])
    np.testing.assert_array_equal(net._ranks[0] + 1, [[4, 1, 6, 2, 3, 5]] * 3)
    assert not np.array_equal(net._ranks[1][0], net._ranks[1][1])


def test_some_variables_can_be_put_first():
    net = network(**FORMS["plain"])
    first = np.array([False, True, False, True, False, False])
    member = net.member(1).with_first(tf.constant(first))
    degrees = member._of_variables.numpy()
    assert degrees[first].max() < degrees[~first].min()
    before = net._ranks[0][1].numpy()
    for part in (first, ~first):
        np.testing.assert_array_equal(np.argsort(degrees[part]), np.argsort(before[part]))
    depends = dependence(net, member)[:, :, :6]
    np.testing.assert_array_equal(depends.any(axis=0), degrees[None] < degrees[:, None])


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="`num_masks` of at least 1; got 0"):
        tff.MaskCycleMLP(2, (4,), 3, num_masks=0)
    with pytest.raises(ValueError, match="`ordering`"):
        tff.MaskCycleMLP(2, (4,), 3, num_masks=2, fixed_ordering=[1, 1, 2])
