"""The result of a fit: a flow posterior with weighted draws and a report."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow_probability as tfp
from numpy.typing import ArrayLike

from tfp_flows.core.arguments import check_integer, check_seed
from tfp_flows.distributions.flow_distribution import FlowDistribution
from tfp_flows.inference.checks.verdict import PosteriorReport
from tfp_flows.inference.surrogate import FlowPosterior


class FittedPosterior(FlowPosterior):
    """A posterior with a report, as `fit_posterior` returns it.

    It is copied, pickled and checkpointed like a `FlowPosterior`. Copies and pickles also
    hold the report and the weighted draws.

    Args:
      distribution: `FlowDistribution` of the unconstrained vector x, `[D]`.
      support: bijector from x to the parts.
      report: a `PosteriorReport`.
      draws: draws of an importance sample, unconstrained, `[S, D]`.
      weights: their weights, which sum to 1, `[S]`.
      name: name of the distribution.

    >>> import tensorflow_probability as tfp
    >>> import tfp_flows
    >>> target = tfp.distributions.MultivariateNormalDiag([1.0, 2.0], [1.0, 1e-3])
    >>> posterior = tfp_flows.fit_posterior(target, seed=0, max_gradients=100_000)
    >>> isinstance(posterior, tfp_flows.inference.FittedPosterior)
    True
    >>> posterior.resample(5).shape, posterior.has_weights
    (TensorShape([5, 2]), True)
    """

    def __init__(
        self,
        distribution: FlowDistribution,
        support: tfp.bijectors.Bijector,
        *,
        report: PosteriorReport,
        draws: ArrayLike,
        weights: ArrayLike,
        name: str = "fitted_posterior",
    ) -> None:
        """Takes the arguments that the class describes."""
        super().__init__(distribution, support, name=name)
        self._report = report
        self._draws = np.asarray(draws)
        self._weights = np.asarray(weights, np.float64)

    @property
    def has_weights(self) -> bool:
        """Whether `resample` has weighted draws, which is so after every fit."""
        return True

    @property
    def report(self) -> PosteriorReport:
        """The verdict on this posterior, with its reasons and numbers."""
        return self._report

    def resample(self, n: int, seed: int | None = None) -> Any:
        """Draws from the weighted draws of the report, by their weights.

        The result follows the target if the verdict is "reliable" or "reliable after
        resampling". Other seeds draw from the same weighted draws, whose effective number
        is `report.ess`.

        Args:
          n: number of draws.
          seed: integer; random if None.

        Returns:
          Parts, `[n, *event]` each, in the structure of `sample`.
        """
        check_integer("n", n)
        check_seed("seed", seed)
        return self._resampled(self._draws, self._weights, n, seed)

    def copy(self, **overrides: object) -> FittedPosterior:
        """Returns a posterior with the same weights and some arguments replaced."""
        return type(self)(**{"support": self.support, **self._arguments(), **overrides})

    def __copy__(self) -> FittedPosterior:
        return self.copy()

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return {}

    def _arguments(self):
        arguments = super()._arguments()
        arguments |= {"report": self._report, "draws": self._draws}
        return arguments | {"weights": self._weights}
