import numpy as np
from subject import close

import tfp_flows as tff

IMAGES = np.random.default_rng(0).uniform(0.02, 0.98, size=(30, 4, 4, 1))
TINY = {"hidden_channels": 3, "num_blocks": 1, "seed": 1, "dtype": "float64"}


def flow_of(image_shape=(4, 4, 1), num_levels=2, **arguments):
    return tff.RealNVPImage(image_shape, num_levels, **{**TINY, **arguments})


def names(bijectors):
    return [type(b).__name__ for b in bijectors]


def couplings(flow):
    levels = flow.bijectors[-1].levels
    return [b for level in levels for b in level.bijectors if isinstance(b, tff.Coupling)]


def test_steps_are_those_of_the_paper():
    flow = flow_of()
    assert names(flow.bijectors) == ["Logit", "MultiScale"]
    first, last = flow.bijectors[1].levels
    step = ["Coupling", "BatchNorm"]
    expected = [*step * 3, "Squeeze", *step * 3, "Invert", "Squeeze"]
    assert names(first.bijectors) == expected
    assert names(last.bijectors) == step * 4
    assert flow.bijectors[1].latent_shapes == ((2, 2, 2), (2, 2, 2))


def test_masks_alternate_as_in_the_code():
    masks = [coupling.parameters["mask"] for coupling in couplings(flow_of())]
    assert [bool(mask[0, 0, 0]) for mask in masks] == [
        *(True, False, True),
        *(True, False, True),
        *(True, False, True, False),
    ]
    board, half = masks[0], masks[3]
    np.testing.assert_array_equal(board[:2, :2, 0], [[True, False], [False, True]])
    np.testing.assert_array_equal(half[0, 0], [True, True, False, False])


def test_widths_double_and_scales_start_as_in_the_code():
    networks = [c.conditioner.network for c in couplings(flow_of())]
    assert [n.hidden_channels for n in networks] == [3] * 3 + [6] * 3 + [6] * 4
    assert [n.tanh_scale for n in networks] == [0.0] * 3 + [1.0] * 3 + [0.0] * 4
    assert [n.mask is None for n in networks] == [False] * 3 + [True] * 3 + [False] * 4


def test_logit_is_that_of_the_code():
    flow = flow_of(num_levels=1, batch_norm=False)
    z, log_det = flow.inverse_and_log_det(IMAGES)
    # At first all couplings are the identity.
    u = 0.05 + 0.9 * IMAGES
    close(z, np.reshape(np.log(u) - np.log(1.0 - u), [30, 16]))
    slope = np.log(0.9) - np.log(u) - np.log(1.0 - u)
    close(log_det, slope.sum(axis=(1, 2, 3)))
