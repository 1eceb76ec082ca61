"""The coordinates of a fit: the density, the support and the names of its variables."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfp_flows.bijectors.flow_chain import FlowChain
from tfp_flows.distributions.flow_distribution import FlowDistribution
from tfp_flows.inference.modes import Gaussian
from tfp_flows.inference.parts import named_parts, part_names
from tfp_flows.inference.reparametrisation import Reparametrisation
from tfp_flows.inference.support import JointSupport
from tfp_flows.inference.target import UnconstrainedDensity


class FitSpace:
    """A density in coordinates u, which are the unconstrained variables x or mapped to x.

    Attributes:
      density: the `UnconstrainedDensity` of u.
      support: the `JointSupport` from u to the parts.
      prior: draws of the target's prior that have a finite u, `[P, D]`.

    The arguments are those of x, and the map from u to x; None if u is x. There are no
    draws of the prior if it is None.
    """

    def __init__(
        self,
        density: UnconstrainedDensity,
        support: JointSupport,
        coordinates: Reparametrisation | None = None,
        prior: np.ndarray | None = None,
    ) -> None:
        self.density, self.support, self._map = density, support, None
        self.prior = np.zeros([0, density.event_size]) if prior is None else prior
        if coordinates is not None:
            self._map = coordinates.bijector(density.dtype)
            self.support = support.mapped(self._map)
            self.density = density.mapped(self._map)
            if len(self.prior):
                x = tf.constant(self.prior, density.dtype)
                u = self._map.inverse(x).numpy().astype(float)
                self.prior = u[np.isfinite(u).all(axis=1)]

    def mapped(self, coordinates: Reparametrisation) -> FitSpace:
        """Returns the space of other coordinates of x, given the space of x."""
        return FitSpace(self.density, self.support, coordinates, self.prior)

    def unconstrained(self, u: np.ndarray) -> np.ndarray:
        """Maps u to x, `[N, D]`."""
        if self._map is None or not len(u):
            return u
        return self._map.forward(tf.constant(u, self.density.dtype)).numpy().astype(float)

    def flatten(self, u: np.ndarray) -> np.ndarray:
        """Maps u, `[N, D]`, to the entries of all parts, `[N, E]`."""
        parts = self.support.bijector.forward(tf.constant(u, self.density.dtype))
        rows = [np.reshape(part, [len(u), -1]) for part in tf.nest.flatten(parts)]
        return np.concatenate(rows, axis=1).astype(np.float64)

    def entry_names(self, u: np.ndarray) -> list[str]:
        """Returns the names of the E columns of `flatten(u)`."""
        parts = self.support.bijector.forward(tf.constant(u[:1], self.density.dtype))
        return [
            name + "".join(f"[{i}]" for i in index)
            for name, part in named_parts(parts, part_names(parts)).items()
            for index in np.ndindex(part.shape[1:])
        ]

    def variable_names(self, draws: np.ndarray) -> list[str]:
        """Returns the name of the entry that each variable of `[N, D]` moves most."""
        u = Gaussian.from_draws(draws).mean
        rows = self.flatten(np.concatenate([u[None], u + np.diag(1e-2 + 1e-2 * np.abs(u))]))
        moves = np.abs(rows[1:] - rows[0]) / (np.abs(rows[0]) + 1e-30)
        names = self.entry_names(u[None])
        return [names[k] for k in np.nan_to_num(moves).argmax(axis=1)]

    def distribution_from_u(self, distribution: FlowDistribution) -> FlowDistribution:
        """Maps a distribution of u to that of x."""
        if self._map is None:
            return distribution
        chain = FlowChain([self._map, *distribution.bijector.bijectors])
        return FlowDistribution(distribution.distribution, chain)
