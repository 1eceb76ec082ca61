"""The regressor: a conditional flow of one target, as scikit-learn's estimators are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_is_fitted
from sklearn.utils.validation import validate_data

from tfp_flows.sklearn.flow_estimator import FlowEstimator
from tfp_flows.sklearn.flow_estimator import in_blocks
from tfp_flows.tables.prediction import Prediction

__all__ = ["FlowRegressor"]


class FlowRegressor(RegressorMixin, FlowEstimator):
    """The density of a target given features, `p(y | x)`, by a `TableDensity`.

    ```none
    predict            E[y | x];  with return_std its standard deviation, too
    predict_quantiles  quantiles of y given x
    score              R^2 of predict, as of every regressor of scikit-learn
    log_prob           log p(y | x)
    ```

    Features are numbers. Those of new rows that training rows cannot have, such as -1 in a
    positive column, are moved to the nearest that they can, with a warning. Kinds are those
    that `describe_columns` proposes, but "real" or "integer" in place of a list of values;
    `kinds` give others, for the columns "x0", "x1", ..., or as a data frame names them, and
    "y". What was chosen is `columns_`.

    >>> import numpy as np
    >>> from tfp_flows.sklearn import FlowRegressor
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(200, 2))
    >>> y = x[:, 0] + 0.1 * rng.normal(size=200)
    >>> regressor = FlowRegressor(epochs=2, num_members=1, random_state=0).fit(x, y)
    >>> regressor.predict(x[:3]).shape, regressor.predict_quantiles(x[:3]).shape
    ((3,), (3, 3))

    Args:
      kinds: a kind, or a dictionary of entries of `Column`, by name of a column.
      **options: `num_members`, `num_bins`, `hidden_units`, `dropout` of `TableDensity`;
        and `epochs`, `batch_size`, `learning_rate`, `patience`, `validation_split` of its
        `fit`.
      random_state: integer that determines the fit; random if None.
    """

    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike) -> FlowRegressor:  # noqa: N803
        """Fits it to features, `[N, F]`, and targets, `[N]`."""
        X, y = validate_data(  # noqa: N806
            self, X, y, dtype=np.float64, y_numeric=True, ensure_min_samples=2
        )
        frame = self._frame(X) | {"y": np.asarray(y, np.float64)}
        # Features and targets may take values that training rows do not have.
        self._fit(frame, {"ordered", "boolean", "constant", "identifier"}, {"y"})
        return self

    def predict(
        self,
        X: npt.ArrayLike,  # noqa: N803
        return_std: bool = False,
    ) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """Returns the means of y given features, `[N]`, and perhaps deviations, `[N]`."""
        check_is_fitted(self, "table_")
        rows: np.ndarray = validate_data(self, X, dtype=np.float64, reset=False)
        frame = self._frame(in_blocks(self._inside(rows)))
        predicted = self.table_.predict(frame)
        mean = predicted.mean()[: len(rows)]
        return (mean, predicted.stddev()[: len(rows)]) if return_std else mean

    def predict_quantiles(
        self,
        X: npt.ArrayLike,  # noqa: N803
        quantiles: Sequence[float] = (0.05, 0.5, 0.95),
    ) -> np.ndarray:
        """Returns quantiles of y given features, `[N, Q]`."""
        return self.predict_distribution(X).quantile(list(quantiles))

    def predict_distribution(self, X: npt.ArrayLike) -> Prediction:  # noqa: N803
        """Returns the distributions of y given features, a `Prediction`."""
        check_is_fitted(self, "table_")
        X = validate_data(self, X, dtype=np.float64, reset=False)  # noqa: N806
        return self.table_.predict(self._frame(self._inside(X)))

    def log_prob(self, X: npt.ArrayLike, y: npt.ArrayLike) -> np.ndarray:  # noqa: N803
        """Returns `log p(y | x)` of rows, `[N]` nats."""
        return self.predict_distribution(X).log_prob(np.asarray(y, np.float64))

    def _inside(self, X):  # noqa: N803
        frame = self.table_.clip_context(self._frame(X))
        return np.stack(list(frame.values()), axis=1)
