"""The networks of a row's cells: of its codes, and of its numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tfp_flows.core.arguments import check_arguments
from tfp_flows.core.arguments import check_integer
from tfp_flows.core.arguments import check_number
from tfp_flows.distributions.categorical_made import CategoricalMADE
from tfp_flows.networks.column_mlps import ColumnMLPs
from tfp_flows.networks.conditioner import Conditioner
from tfp_flows.networks.hidden_units import check_hidden_units
from tfp_flows.networks.seeds import split_seed
from tfp_flows.tables.cell_features import CellFeatures
from tfp_flows.transformers.spline import RationalQuadraticSpline

__all__ = ["RowNetworks", "check_sizes"]


def check_sizes(
    *,
    num_members: int,
    num_bins: int,
    hidden_units: Sequence[int],
    dropout: float,
    seed: int | None,
) -> None:
    """Raises `ValueError` if one of a table's options is out of its range."""
    check_arguments({"seed": seed})
    check_integer("num_members", num_members)
    check_hidden_units(hidden_units, residual=True)
    check_number("dropout", dropout, "from 0 to below 1", lambda share: 0.0 <= share < 1.0)
    RationalQuadraticSpline(num_bins)  # which refuses other numbers


class RowNetworks:
    """Builds networks of one size, for M members.

    Args:
      hidden_units: widths of their hidden layers, all equal.
      dropout: share of their hidden units that a step of training drops.
      num_members: M.
      context_size: number of features of the context.
    """

    def __init__(
        self,
        hidden_units: Sequence[int],
        dropout: float,
        num_members: int,
        context_size: int,
    ) -> None:
        self._hidden_units = hidden_units
        self._dropout = dropout
        self._num_members = num_members
        self._context_size = context_size

    def of_codes(
        self, num_values: Sequence[int], seed: int | None
    ) -> list[CategoricalMADE]:
        """Returns the members' distributions of codes; none where there are no codes."""
        seeds = split_seed(seed, self._num_members) if num_values else []
        return [
            CategoricalMADE(
                num_values,
                hidden_units=self._hidden_units,
                residual=True,
                direct=True,
                dropout=self._dropout,
                context_size=self._context_size,
                standardize_context=False,
                seed=member,
            )
            for member in seeds
        ]

    def of_numbers(
        self, cells: CellFeatures, num_parameters: int, seed: int | None
    ) -> Conditioner | None:
        """Returns the networks of the numbers: each sees context, codes, numbers before."""
        if not cells.num_numbers:
            return None
        numbers = np.arange(cells.num_numbers)[:, None]
        before = cells.column_of_each[None, :] < numbers
        of_context = np.ones([len(numbers), self._context_size], bool)
        seen = np.concatenate([of_context, before], axis=1)
        network = ColumnMLPs(
            num_parameters,
            self._hidden_units,
            seen,
            num_members=self._num_members,
            dropout=self._dropout,
            seed=seed,
            dtype="float32",
        )
        has_dropout = self._dropout > 0.0
        return Conditioner(network, seen.shape[1], dropout_in_training=has_dropout)
