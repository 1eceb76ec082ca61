"""The density estimator with the methods of scikit-learn's `KernelDensity`."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import DensityMixin
from sklearn.utils.validation import check_is_fitted
from sklearn.utils.validation import validate_data

from tfp_flows.sklearn.flow_estimator import FlowEstimator
from tfp_flows.sklearn.flow_estimator import in_blocks
from tfp_flows.sklearn.flow_estimator import seed_of
from tfp_flows.tables.column import KINDS

__all__ = ["FlowDensity"]


class FlowDensity(DensityMixin, FlowEstimator):
    """The density of rows of numbers, by a `TableDensity`.

    All columns are real or heavy-tailed, as `describe_columns` proposes, so that scores are
    densities as of `KernelDensity`; `kinds` give others. What was chosen is `columns_`.

    >>> import numpy as np
    >>> from tfp_flows.sklearn import FlowDensity
    >>> x = np.random.default_rng(0).normal(size=(200, 2))
    >>> density = FlowDensity(epochs=2, num_members=1, random_state=0).fit(x)
    >>> density.score_samples(x).shape, density.sample(5, random_state=1).shape
    ((200,), (5, 2))

    Args:
      kinds: a kind, or a dictionary of entries of `Column`, by name of a column: "x0",
        "x1", ..., or as a data frame names them.
      **options: `num_members`, `num_bins`, `hidden_units`, `dropout` of `TableDensity`;
        and `epochs`, `batch_size`, `learning_rate`, `patience`, `validation_split` of its
        `fit`.
      random_state: integer that determines the fit; random if None.
    """

    def fit(self, X: npt.ArrayLike, y: Any = None) -> FlowDensity:  # noqa: N803
        """Fits it to rows, `[N, D]`; y is not used."""
        X = validate_data(self, X, dtype=np.float64, ensure_min_samples=2)  # noqa: N806
        frame = self._frame(X)
        # A density of length, whatever values the training rows happen to have.
        self._fit(frame, set(KINDS) - {"real", "heavy-tailed"}, set(frame))
        return self

    def score_samples(self, X: npt.ArrayLike) -> np.ndarray:  # noqa: N803
        """Returns the log-densities of rows, `[N]` nats."""
        check_is_fitted(self, "table_")
        rows: np.ndarray = validate_data(self, X, dtype=np.float64, reset=False)
        return self.table_.log_prob(self._frame(in_blocks(rows)))[: len(rows)]

    def score(self, X: npt.ArrayLike, y: Any = None) -> float:  # noqa: N803
        """Returns the sum of the log-densities, as `KernelDensity` does."""
        return float(np.sum(self.score_samples(X)))

    def sample(self, n_samples: int = 1, random_state: Any = None) -> np.ndarray:
        """Draws rows, `[n_samples, D]`."""
        check_is_fitted(self, "table_")
        drawn = self.table_.sample(n_samples, seed=seed_of(random_state))
        return np.stack([drawn[name].astype(np.float64) for name in drawn], axis=1)
