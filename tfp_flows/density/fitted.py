"""The result of a fit: a mixture of distributions with a report."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy.typing as npt

from tfp_flows.core.arguments import check_column_names
from tfp_flows.density.report import DensityReport
from tfp_flows.distributions.mixture import Mixture
from tfp_flows.training.density_estimator import DensityEstimator


class FittedDensity(Mixture):
    """A density with a report, as `fit_density` returns it.

    Args:
      components: see `Mixture`.
      weights: see `Mixture`.
      report: the `DensityReport`, or its fields as a dict.
      columns: names of the columns of fitted data frames, as `DensityEstimator` has them;
        frames with other names, or in another order, are refused. Without names of the
        rows, or of the context, any frame will do in their place.
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
        columns: Sequence[dict[str, str]] | None = None,
        name: str = "fitted_density",
    ) -> None:
        super().__init__(components, weights, name=name)
        if not isinstance(report, DensityReport):
            report = DensityReport.from_plain(report)
        self._report = report
        self._set_untracked("columns", columns)

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
        are_all = len(self.columns or ()) == self.event_shape[0] + self.context_size
        DensityEstimator(self, columns=self.columns if are_all else None).save(path)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        added = {"report": self.report.to_plain(), "columns": self.columns}
        return super().get_config() | added

    def _checked_value(self, value):
        check_column_names("value", value, self._names("modelled"))
        return super()._checked_value(value)

    def _checked(self, context):
        check_column_names("context", context, self._names("context"))
        return super()._checked(context)

    def _names(self, role):
        return [c["name"] for c in self.columns or () if c["role"] == role]
