"""The coordinates that a fit is made in, with the density and the support in them."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from tfp_flows.bijectors.flow_chain import FlowChain
from tfp_flows.distributions.flow_distribution import FlowDistribution
from tfp_flows.distributions.named_parts import named_parts
from tfp_flows.distributions.named_parts import part_names
from tfp_flows.distributions.unconstrained_density import UnconstrainedDensity

if TYPE_CHECKING:
    from tfp_flows.distributions.joint_support import JointSupport
    from tfp_flows.models.reparametrisation import Reparametrisation
    from tfp_flows.models.weighted_draws import WeightedDraws

__all__ = ["FitSpace"]


class FitSpace:
    """A density in the unconstrained coordinates x, or in those that a map makes x of.

    Attributes:
      density: an `UnconstrainedDensity`, of u.
      support: a `JointSupport`, from u to the parts.

    Args:
      density: of x.
      support: from x to the parts.
      coordinates: `Reparametrisation` from u to x; None where u is x.
    """

    def __init__(
        self,
        density: UnconstrainedDensity,
        support: JointSupport,
        coordinates: Reparametrisation | None = None,
    ) -> None:
        self.density, self.support, self._map = density, support, None
        if coordinates is not None:
            self._map = coordinates.bijector(density.dtype)
            self.support = support.mapped(self._map)
            self.density = UnconstrainedDensity(density.target_log_prob, self.support)

    def unconstrained(self, u: np.ndarray) -> np.ndarray:
        """Returns the x, `[N, D]`, of u."""
        if self._map is None or not len(u):
            return u
        return self._map.forward(tf.constant(u, self.density.dtype)).numpy().astype(float)

    def coordinates(self, x: np.ndarray) -> np.ndarray:
        """Returns the u, `[N, D]`, of x; without rows of which there is none."""
        if self._map is None or not len(x):
            return x
        u = self._map.inverse(tf.constant(x, self.density.dtype)).numpy().astype(float)
        return u[np.isfinite(u).all(axis=1)]

    def flatten(self, u: np.ndarray) -> np.ndarray:
        """Returns rows, `[N, D]`, as those of the parts, `[N, E]`."""
        parts = self.support.bijector.forward(tf.constant(u, self.density.dtype))
        rows = [np.reshape(part, [len(u), -1]) for part in tf.nest.flatten(parts)]
        return np.concatenate(rows, axis=1).astype(np.float64)

    def entry_names(self, u: np.ndarray) -> list[str]:
        """Returns the names of the E columns that `flatten` makes of rows, `[N, D]`."""
        parts = self.support.bijector.forward(tf.constant(u[:1], self.density.dtype))
        return [
            name + "".join(f"[{i}]" for i in index)
            for name, part in named_parts(parts, part_names(parts)).items()
            for index in np.ndindex(part.shape[1:])
        ]

    def variable_names(self, u: np.ndarray) -> list[str]:
        """Returns, for each entry of a row `[D]`, the name of what it moves most."""
        rows = self.flatten(np.concatenate([u[None], u + np.diag(1e-2 + 1e-2 * np.abs(u))]))
        moves = np.abs(rows[1:] - rows[0]) / (np.abs(rows[0]) + 1e-30)
        names = self.entry_names(u[None])
        return [names[k] for k in np.nan_to_num(moves).argmax(axis=1)]

    def of_x(
        self, distribution: FlowDistribution, weighted: WeightedDraws
    ) -> tuple[FlowDistribution, WeightedDraws]:
        """Returns the distribution of x, given that of u, and its weighted draws."""
        if self._map is None:
            return distribution, weighted
        chain = FlowChain([self._map, *distribution.bijector.bijectors])
        moved = dataclasses.replace(weighted, x=self.unconstrained(weighted.x))
        return FlowDistribution(distribution.distribution, chain), moved
