"""One seed for many parts."""

import numpy as np

__all__ = ["split_seed"]


def split_seed(seed: int | None, count: int) -> list:
    """Returns `count` independent integer seeds derived from `seed`; Nones from None."""
    if seed is None:
        return [None] * count
    return [int(state) for state in np.random.SeedSequence(seed).generate_state(count)]
