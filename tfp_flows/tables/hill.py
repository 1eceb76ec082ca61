"""Hill's estimator of how heavy a tail is."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["is_heavy_tailed", "tail_index"]

_LEAST = 10
_SHARE = 0.05


def tail_index(values: npt.ArrayLike) -> float:
    """Returns the tail index of the heavier tail of `values`, about their median.

    ```none
    P(distance > d) ~ d^-index,   1 / index = mean of log(d_i / d_k) over the k largest
    ```

    A normal tail has a large index; of 2 or less there is no variance. Infinity where
    there are too few rows for a tail.

    >>> import numpy as np
    >>> from tfp_flows.tables.hill import tail_index
    >>> rng = np.random.default_rng(0)
    >>> round(tail_index(rng.standard_cauchy(10_000)), 1)
    1.0
    >>> tail_index(rng.normal(size=10_000)) > 4.0
    True

    Args:
      values: `[N]` finite numbers; the 5 % farthest on either side count.

    Reference:
      Hill (1975), A simple general approach to inference about the tail of a distribution.
      https://doi.org/10.1214/aos/1176343247
    """
    numbers = np.asarray(values, np.float64)
    distances = numbers - np.median(numbers)
    return float(min(_one_sided(distances), _one_sided(-distances)))


def is_heavy_tailed(values: npt.ArrayLike, most: float = 3.0) -> bool:
    """Whether the tail index is below `most`, by two of its standard errors.

    >>> import numpy as np
    >>> from tfp_flows.tables.hill import is_heavy_tailed
    >>> rng = np.random.default_rng(0)
    >>> is_heavy_tailed(rng.normal(size=400)), is_heavy_tailed(rng.standard_cauchy(400))
    (False, True)

    Args:
      values: `[N]` finite numbers.
      most: 3 is where the third moment begins to exist.
    """
    count = max(int(_SHARE * np.size(values)), 1)
    return bool(tail_index(values) * (1.0 + 2.0 / np.sqrt(count)) < most)


def _one_sided(distances):
    tail = np.sort(distances[distances > 0.0])[::-1]
    count = int(_SHARE * len(distances))
    if count < _LEAST or len(tail) <= count:
        return np.inf
    mean = np.mean(np.log(tail[:count] / tail[count]))
    return 1.0 / mean if mean > 0.0 else np.inf
