"""Estimators for scikit-learn: `fit_density`, and a `TableDensity` as a regressor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, DensityMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from tfp_flows.core.arguments import check_unmasked, require
from tfp_flows.core.rows import by_parts, rows_of_positive_weight
from tfp_flows.density.fit import fit_density
from tfp_flows.tables.describe_columns import describe_columns
from tfp_flows.tables.grids import FIRST_INEXACT
from tfp_flows.tables.prediction.prediction import Prediction
from tfp_flows.tables.table_density import TableDensity

__all__ = ["FlowDensity", "FlowRegressor"]

# Proposed kinds that become numbers, since new rows may have other values.
_LISTED = ("ordered", "boolean", "constant", "identifier")
_BLOCK = 64  # rows; predictions are computed for multiples of this number of rows
_TABLE_OPTIONS = ("num_members", "num_bins", "hidden_units", "dropout")
_FIT_OPTIONS = (
    "epochs",
    "batch_size",
    "learning_rate",
    "patience",
    "validation_split",
    "calibration_split",
)


class FlowDensity(DensityMixin, BaseEstimator):
    """The density of rows of numbers, estimated by `fit_density`.

    Scores are log-densities, also of whole numbers, as with `KernelDensity`. A fit needs 20
    rows.

    >>> import numpy as np
    >>> from tfp_flows.sklearn import FlowDensity
    >>> x = np.random.default_rng(0).normal(size=(200, 2))
    >>> density = FlowDensity(max_minutes=0.1, random_state=0).fit(x)
    >>> density.score_samples(x).shape, density.sample(5, random_state=1).shape
    ((200,), (5, 2))

    Args:
      max_minutes, max_steps: see `fit_density`.
      random_state: integer that determines the fit; random if None.

    Attributes:
      density_: the `FittedDensity`, with its `report`.
    """

    def __init__(
        self,
        *,
        max_minutes: float | None = None,
        max_steps: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.max_minutes = max_minutes
        self.max_steps = max_steps
        self.random_state = random_state

    def fit(
        self, X: npt.ArrayLike, y: Any = None, sample_weight: npt.ArrayLike | None = None
    ) -> FlowDensity:
        """Fits the density to rows, `[N, D]`, with weights, `[N]`; y is not used."""
        X = _validated(self, X, ensure_min_samples=2)
        self.density_ = fit_density(
            X,
            sample_weight=sample_weight,
            seed=_seed_from(self.random_state),
            max_minutes=self.max_minutes,
            max_steps=self.max_steps,
            verbose=0,
        )
        return self

    def score_samples(self, X: npt.ArrayLike) -> np.ndarray:
        """Returns the log-densities of rows, `[N]` nats."""
        check_is_fitted(self)
        rows = _validated(self, X, reset=False)
        scores = by_parts(self.density_.log_prob, _padded(rows))
        return scores[: len(rows)].astype(np.float64)

    def score(self, X: npt.ArrayLike, y: Any = None) -> float:
        """Returns the sum of the log-densities, as `KernelDensity` does."""
        return float(np.sum(self.score_samples(X)))

    def sample(self, n_samples: int = 1, random_state: Any = None) -> np.ndarray:
        """Draws rows, `[n_samples, D]`."""
        check_is_fitted(self)
        return self.density_.sample(n_samples, seed=_seed_from(random_state)).numpy()


class FlowRegressor(RegressorMixin, BaseEstimator):
    """The density of a target given features, `p(y | x)`, estimated by a `TableDensity`.

    ```none
    predict            E[y | x]; with return_std, the standard deviation too
    predict_quantiles  quantiles of y given x
    predict_interval   intervals of y given x; with conformal, of guaranteed coverage
    score              R^2 of predict, as for every regressor of scikit-learn
    log_prob           log p(y | x)
    ```

    Features are numbers. Features outside the support of their column, such as -1 in a
    positive column, are moved to the nearest number inside, with a warning.
    `describe_columns` proposes the kinds, with "real" or "integer" in place of a list of
    values; `kinds` override them, for the columns "x0", "x1", ..., or the names of a data
    frame, and "y". `columns_` has the chosen kinds.

    >>> import numpy as np
    >>> from tfp_flows.sklearn import FlowRegressor
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(200, 2))
    >>> y = x[:, 0] + 0.1 * rng.normal(size=200)
    >>> regressor = FlowRegressor(epochs=2, num_members=1, random_state=0).fit(x, y)
    >>> regressor.predict(x[:3]).shape, regressor.predict_quantiles(x[:3]).shape
    ((3,), (3, 3))

    Args:
      kinds: dictionary by name of a column; a value is a kind, or a dictionary of entries
        of `Column`.
      num_members, num_bins, hidden_units, dropout: see `TableDensity`.
      epochs, batch_size, learning_rate, patience, validation_split: see `FitOptions`.
      calibration_split: share of the rows, in [0, 1), that is kept out of all training and
        validation, for `predict_interval` with `conformal=True`.
      random_state: integer that determines the fit; random if None.

    Attributes:
      columns_: the `TableColumns` with the chosen kinds.
      table_: the fitted `TableDensity`.
      history_: losses of its fit, by epoch.
    """

    def __init__(
        self,
        *,
        kinds: Mapping[str, Any] | None = None,
        num_members: int | None = None,
        num_bins: int | None = None,
        hidden_units: Sequence[int] | None = None,
        dropout: float | None = None,
        epochs: int = 500,
        batch_size: int | None = None,
        learning_rate: float = 2e-3,
        patience: int | None = None,
        validation_split: float = 0.1,
        calibration_split: float = 0.0,
        random_state: Any = None,
    ) -> None:
        self.kinds = kinds
        self.num_members = num_members
        self.num_bins = num_bins
        self.hidden_units = hidden_units
        self.dropout = dropout
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.patience = patience
        self.validation_split = validation_split
        self.calibration_split = calibration_split
        self.random_state = random_state

    def fit(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        sample_weight: npt.ArrayLike | None = None,
    ) -> FlowRegressor:
        """Fits the density to features, `[N, F]`, and targets, `[N]`.

        Weights, `[N]`: a row of weight 2 counts as two, and one of weight 0 is left out.
        """
        X, y = _validated(self, X, y, y_numeric=True, ensure_min_samples=2)
        (X, y), _, weight = rows_of_positive_weight((X, y), None, sample_weight)
        target = np.asarray(y, np.float64)
        words = "`y` that varies, to have a density"
        require(np.ptp(target) > 0.0, words, f"{target[0]:g} alone")
        features = self._frame(X)
        words = "features that are not named 'y', as the target is"
        require("y" not in features, words, list(features))
        frame = features | {"y": target}
        table = TableDensity(
            self._columns(frame),
            context=list(features),
            seed=_seed_from(self.random_state),
            **{name: getattr(self, name) for name in _TABLE_OPTIONS},
        )
        options = {name: getattr(self, name) for name in _FIT_OPTIONS}
        self.history_ = table.fit(frame, sample_weight=weight, verbose=0, **options).history
        self.columns_, self.table_ = table.columns, table
        return self

    def _columns(self, frame):
        """Returns the description of the columns, which `kinds` override."""
        kinds = {} if self.kinds is None else self.kinds
        are_entries = isinstance(kinds, Mapping) and all(
            isinstance(given, (str, Mapping)) for given in kinds.values()
        )
        words = "`kinds`, a dictionary of kinds or of entries of `Column`, by name"
        require(are_entries, words, repr(kinds))
        unknown = sorted(set(kinds) - set(frame))
        require(not unknown, f"`kinds` of {list(frame)}", f"those of {unknown}")
        columns = describe_columns(frame, as_recorded=False)
        for column in list(columns):
            # New rows may have other values than the training rows.
            if column.kind in _LISTED and column.name not in kinds:
                kind = "integer" if _are_counts(frame[column.name]) else "real"
                columns.change(column.name, kind=kind, spikes=[], reason="as a number")
        for name, given in kinds.items():
            columns.change(name, **({"kind": given} if isinstance(given, str) else given))
        return columns

    def predict(
        self, X: npt.ArrayLike, return_std: bool = False
    ) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """Returns means of y given features, `[N]`; perhaps also standard deviations."""
        frame = self._inside(X)
        try:
            predicted = self.table_.predict({k: _padded(x) for k, x in frame.items()})
        except ValueError:
            self.table_.predict(frame)  # raises an error on a row of X
            raise
        count = len(next(iter(frame.values())))
        mean = predicted.mean()[:count]
        return (mean, predicted.stddev()[:count]) if return_std else mean

    def predict_quantiles(
        self, X: npt.ArrayLike, quantiles: npt.ArrayLike = (0.05, 0.5, 0.95)
    ) -> np.ndarray:
        """Returns quantiles of y given features, `[N, Q]`; for one number, `[N]`."""
        return self.predict_distribution(X).quantile(quantiles)

    def predict_interval(
        self, X: npt.ArrayLike, level: float = 0.9, conformal: bool = False
    ) -> np.ndarray:
        """Returns the ends of intervals of y given features, `[N, 2]`, in units of y.

        Args:
          X: features, `[N, F]`.
          level: probability of the intervals, in (0, 1).
          conformal: whether they hold the y of new rows with a probability of at least
            `level` however good the fit is (`TableDensity.predict_interval`).

        Raises:
          ValueError: if `level` is out of its range; or with `conformal`, if
            `calibration_split` was 0 in the fit.

        >>> import numpy as np
        >>> from tfp_flows.sklearn import FlowRegressor
        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=(200, 1))
        >>> y = x[:, 0] + np.exp(x[:, 0]) * rng.normal(size=200)
        >>> options = {"epochs": 1, "num_members": 1, "random_state": 0}
        >>> regressor = FlowRegressor(calibration_split=0.3, **options).fit(x, y)
        >>> regressor.predict_interval(x[:5], 0.8, conformal=True).shape
        (5, 2)
        """
        return self.table_.predict_interval(self._inside(X), level, conformal=conformal)

    def predict_distribution(self, X: npt.ArrayLike) -> Prediction:
        """Returns the distributions of y given features, a `Prediction`."""
        return self.table_.predict(self._inside(X))

    def log_prob(self, X: npt.ArrayLike, y: npt.ArrayLike) -> np.ndarray:
        """Returns `log p(y | x)` of rows, `[N]` nats."""
        return self.predict_distribution(X).log_prob(np.asarray(y, np.float64))

    def _frame(self, X):
        default = [f"x{i}" for i in range(X.shape[1])]
        names = list(getattr(self, "feature_names_in_", default))
        is_given_once = len(set(names)) == len(names)
        require(is_given_once, "a name for each column of `X`", names)
        return {str(name): X[:, i] for i, name in enumerate(names)}

    def _inside(self, X):
        """Returns features as a frame, with numbers moved into their supports."""
        check_is_fitted(self)
        X = _validated(self, X, reset=False)
        return self.table_.clip_context(self._frame(X))


def _validated(estimator, X, *y, **options):
    """Returns X, or X and y, in float64 after the checks of scikit-learn."""
    for name, value in zip("Xy", (X, *y), strict=False):
        check_unmasked(name, value)
        # scikit-learn takes the integers of dates.
        kind = getattr(getattr(value, "dtype", None), "kind", None)
        require(kind not in ("m", "M"), f"`{name}` of numbers", "dates or durations")
    return validate_data(estimator, X, *y, dtype=np.float64, **options)


def _seed_from(random_state):
    """Returns an integer seed from scikit-learn's `random_state`; None for None."""
    if random_state is None or isinstance(random_state, (int, np.integer)):
        return None if random_state is None else int(random_state)
    return int(check_random_state(random_state).randint(2**31 - 1))


def _padded(rows):
    """Returns rows, `[N, ...]`, and repeats of the last row up to a multiple of 64.

    The rounding of matrix products depends on the number of rows, but the result for a row
    of a scikit-learn estimator must not.
    """
    missing = -len(rows) % _BLOCK
    return np.concatenate([rows, np.repeat(rows[-1:], missing, axis=0)])


def _are_counts(values):
    """Whether numbers are whole, and not all equal or too large for float64."""
    is_whole = len(np.unique(values)) > 1 and bool((values == np.floor(values)).all())
    return is_whole and bool(np.abs(values).max() < FIRST_INEXACT)
