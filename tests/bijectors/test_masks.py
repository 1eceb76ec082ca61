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
    ],
)
def test_masks_written_out(mask, expected):
    assert mask.dtype == bool
    np.testing.assert_array_equal(mask, expected)
