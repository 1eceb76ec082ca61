"""The sizes of a table's networks, by its number of rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from tfp_flows.core.arguments import check_number, check_size
from tfp_flows.networks.layer_arguments import check_hidden_units
from tfp_flows.transformers.spline import RationalQuadraticSpline


@dataclasses.dataclass(frozen=True)
class NetworkSizes:
    """The sizes of the networks of a `TableDensity`; None is a choice by number of rows.

    ```none
    rows          num_members  num_bins  hidden_units  dropout
    below 500               8         8  (64, 64)          0.2
    from 500 on             8        16  (64, 64)          0.2
    from 3,000 on           4        16  (64, 64)          0.1
    ```

    The numbers were chosen on tables of R's packages and on simulated rows, and confirmed
    on others (docs/results.md, docs/tried_and_dropped.md).

    >>> from tfp_flows.tables import NetworkSizes
    >>> NetworkSizes(dropout=0.0).by_rows(1_000)
    NetworkSizes(num_members=8, num_bins=16, hidden_units=(64, 64), dropout=0.0)

    Args:
      num_members: number of networks whose densities are averaged.
      num_bins: bins of each spline.
      hidden_units: widths of the hidden layers of each network, all equal.
      dropout: share of the hidden units that a step of training drops, in [0, 1).

    Raises:
      ValueError: if an argument is out of its range.
    """

    num_members: int | None = None
    num_bins: int | None = None
    hidden_units: Sequence[int] | None = None
    dropout: float | None = None

    def __post_init__(self) -> None:
        if self.num_members is not None:
            check_size("num_members", self.num_members)
        if self.num_bins is not None:
            RationalQuadraticSpline(self.num_bins)  # raises if there are too few
        if self.hidden_units is not None:
            check_hidden_units(self.hidden_units, residual=True)
        if self.dropout is not None:
            words = "from 0 to below 1"
            check_number("dropout", self.dropout, words, lambda p: 0.0 <= p < 1.0)

    def by_rows(self, num_rows: int) -> NetworkSizes:
        """Returns sizes without None for a number of training rows."""
        chosen = [sizes for least, sizes in _BY_ROWS.items() if num_rows >= least][-1]
        given = {k: v for k, v in vars(self).items() if v is not None}
        return dataclasses.replace(chosen, **given)


# By the least number of rows.
_BY_ROWS = {
    0: NetworkSizes(8, 8, (64, 64), 0.2),
    500: NetworkSizes(8, 16, (64, 64), 0.2),
    3_000: NetworkSizes(4, 16, (64, 64), 0.1),
}
