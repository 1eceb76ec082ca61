"""The distribution that a round of a fit starts from, and its training, compiled."""

from __future__ import annotations

import typing

from tfp_flows.models.posterior_training import PosteriorTraining
from tfp_flows.models.starting_flow import starting_flow

if typing.TYPE_CHECKING:
    from tfp_flows.distributions.flow_distribution import FlowDistribution
    from tfp_flows.distributions.unconstrained_density import UnconstrainedDensity
    from tfp_flows.models.fit_checkpoint import Start

__all__ = ["compiled_training"]


def compiled_training(
    density: UnconstrainedDensity, start: Start, *, seed: int, seconds: float
) -> tuple[FlowDistribution, PosteriorTraining]:
    """Returns what `starting_flow` makes of a start, and its `PosteriorTraining`.

    Args:
      density: an `UnconstrainedDensity`.
      start: a `Start`.
      seed: of the weights and of the noise.
      seconds: wall time that XLA may take; without it, if that is too short.
    """

    def made(by_xla):
        flow = starting_flow(start.gaussians, start.log_masses, seed=seed, dtype=dtype)
        return flow, PosteriorTraining(density, flow, seed=seed, by_xla=by_xla)

    dtype = density.dtype
    distribution, training = made(by_xla=True)
    # XLA that was left alone holds the first one's variables until it ends.
    if training.compile(seconds):
        return distribution, training
    distribution, again = made(by_xla=False)
    again.is_timed_out = training.is_timed_out
    return distribution, again
