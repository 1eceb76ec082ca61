"""Whether the numbers of a column differ, and whether they still do in float32."""

import numpy as np

__all__ = ["is_coarse", "is_constant"]

# Rounding to a grid of `spread / _STEPS` adds less than .003 nats to an entropy.
_STEPS = 4.0
# Relative to a column's size, what is left over of calculations in float64.
_ROUNDING = 1e-12


def is_constant(column):
    """Whether all of `column`, `[N]`, float64, are one number, up to rounding."""
    return bool(np.ptp(column) <= _ROUNDING * np.abs(column).max())


def is_coarse(column):
    """Whether most of `column`, `[N]`, float64, would fall onto few numbers of float32.

    So do times near 1.7e9 that differ by seconds, since numbers of float32 are 128 apart
    there. Looked at is how far all numbers spread, and how far the middle half does, which
    a single number elsewhere does not hide.
    """
    quarters = np.percentile(column, [25.0, 50.0, 75.0])
    spreads_and_sizes = [
        (column.std(), np.abs(column).max()),
        (quarters[2] - quarters[0], np.abs(quarters[1])),
    ]
    return any(
        _ROUNDING * size < spread < _STEPS * np.spacing(np.float32(size))
        for spread, size in spreads_and_sizes
    )
