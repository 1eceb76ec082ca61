import numpy as np

import tfp_flows as tff

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
