"""Bits per dimension, in one convention."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from tensorflow.types.experimental import TensorLike

from tfp_flows.core.arguments import check_positive, check_size, require


@dataclasses.dataclass(frozen=True)
class BitsPerDimension:
    """Bits per dimension of integer data, with the log-density that determines them.

    ```none
    P(k) = integral of the density over the bin of the integers k
    bits = -log2 P(k) / event_size
         = log2(bins_per_unit) - log_density / (event_size * log(2))
    ```

    The density is that of the data scaled to `bins_per_unit` bins per unit: 256 for 8-bit
    data in `[0, 1]`, 32 for 5-bit data in `[0, 1]`, 128 for 8-bit data in `[-1, 1]`, and 1
    for the integers themselves, with log-density `log P(k)`. Preprocessing, such as a
    logit, must be part of the flow.

    Attributes:
      bits: bits per dimension, mean over the rows.
      two_standard_errors: two standard errors of `bits`.
      log_density: mean over the rows, in nats.
      event_size: number of entries of a row.
      bins_per_unit: number of bins in a unit of the scaled data.
      num_rows: number of rows.

    >>> import tfp_flows
    >>> converted = tfp_flows.bits_per_dimension([1980.5, 1990.5], 784, bins_per_unit=256)
    >>> round(converted.bits, 3), round(converted.two_standard_errors, 3)
    (4.346, 0.018)
    """

    bits: float
    two_standard_errors: float
    log_density: float
    event_size: int
    bins_per_unit: float
    num_rows: int

    def __str__(self) -> str:
        return f"{self.bits:.3f} ± {self.two_standard_errors:.3f} bits per dimension"


def bits_per_dimension(
    log_density: TensorLike, event_size: int, *, bins_per_unit: float
) -> BitsPerDimension:
    """Converts log-densities to bits per dimension.

    Args:
      log_density: nats of each row, `[...]`, or their mean.
      event_size: number of entries of a row, D.
      bins_per_unit: number of bins in a unit of the scaled data.

    Returns:
      A `BitsPerDimension`.

    Raises:
      ValueError: if there are no rows, or a number is not above 0.

    >>> import tfp_flows
    >>> round(tfp_flows.bits_per_dimension(1980.5, 784, bins_per_unit=256).bits, 3)
    4.356
    """
    check_size("event_size", event_size)
    check_positive("bins_per_unit", bins_per_unit)
    log_density = np.ravel(np.asarray(log_density, np.float64))
    require(len(log_density), "`log_density` of one row, at least", "none")
    nats_per_bit = event_size * math.log(2.0)
    mean, count = float(log_density.mean()), len(log_density)
    error = log_density.std(ddof=1) / math.sqrt(count) if count > 1 else math.nan
    return BitsPerDimension(
        bits=math.log2(bins_per_unit) - mean / nats_per_bit,
        two_standard_errors=2.0 * float(error) / nats_per_bit,
        log_density=mean,
        event_size=event_size,
        bins_per_unit=bins_per_unit,
        num_rows=count,
    )
