import numpy as np
import pytest

from tfp_flows import masks

T, F = True, False


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        (masks.alternating(5), [T, F, T, F, T]),
        (masks.alternating(5, start=False), [F, T, F, T, F]),
        (masks.alternating(2), [T, F]),
        (masks.half(5), [T, T, F, F, F]),
        (masks.half(5, start=False), [F, F, T, T, T]),
        (masks.half(4), [T, T, F, F]),
        (masks.checkerboard((2, 3, 1))[..., 0], [[T, F, T], [F, T, F]]),
        (masks.checkerboard((1, 2, 2), start=False)[0], [[F, F], [T, T]]),
        (masks.channel_half((1, 2, 3))[0], [[T, F, F], [T, F, F]]),
        (masks.channel_half((1, 1, 3), start=False)[0, 0], [F, T, T]),
    ],
)
def test_masks_written_out(mask, expected):
    assert mask.dtype == bool
    np.testing.assert_array_equal(mask, expected)
