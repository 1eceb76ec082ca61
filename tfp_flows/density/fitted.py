"""The result of a fit: a mixture of distributions with a report."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy.typing as npt

from tfp_flows.density.report import DensityReport
from tfp_flows.distributions.mixture import Mixture
from tfp_flows.training.density_estimator import DensityEstimator


class FittedDensity(Mixture):
    """A density with a report, as `fit_density` returns it.

    Args:
      components: see `Mixture`.
      weights: see `Mixture`.
      report: the `DensityReport`, or its fields as a dict.
      name: name of the module.

    >>> import numpy as np
    >>> import tfp_flows
    >>> x = np.random.default_rng(0).normal(size=(200, 2))
    >>> density = tfp_flows.fit_density(x, max_minutes=0.1)
    >>> density.save("density.keras")
    >>> loaded = tfp_flows.load("density.keras").distribution
    >>> loaded.report.verdict == density.report.verdict
    True
    """

    def __init__(
        self,
        components: Sequence[Any],
        weights: npt.ArrayLike | None = None,
        *,
        report: DensityReport | dict[str, Any],
        name: str = "fitted_density",
    ) -> None:
        super().__init__(components, weights, name=name)
        if not isinstance(report, DensityReport):
            report = DensityReport.from_plain(report)
        self._report = report

    @property
    def report(self) -> DensityReport:
        """The verdict on this density, with its reasons and numbers."""
        return self._report

    def save(self, path: str | os.PathLike) -> None:
        """Saves the density and its report to a `.keras` file.

        `tfp_flows.load(path).distribution` returns them.

        Args:
          path: path of the file; ends in `.keras`.
        """
        DensityEstimator(self).save(path)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "report": self.report.to_plain()}
