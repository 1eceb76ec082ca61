"""An amortised posterior, and the posterior given one observation."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tfp_flows.core.arguments import check_instance, check_integer, check_seed, require
from tfp_flows.distributions.mixture import Mixture
from tfp_flows.inference.amortized.calibration import CalibrationReport
from tfp_flows.inference.amortized.conditioned import Conditioned
from tfp_flows.inference.amortized.observation_checks import (
    ImportanceWeights,
    ObservationReport,
    judge_observation,
)
from tfp_flows.inference.amortized.saved import PosteriorOfRows
from tfp_flows.inference.amortized.simulator import make_simulator
from tfp_flows.inference.checks.importance import WeightedDraws
from tfp_flows.inference.support import JointSupport, without_functions
from tfp_flows.inference.surrogate import FlowPosterior
from tfp_flows.training.density_estimator import DensityEstimator
from tfp_flows.training.loading import load

# Number of weighted draws of a report; and the largest number: for `resample`, and for
# uneven weights of a learned likelihood, since `fit_posterior` cannot help there.
_NUM_DRAWS, _MOST_DRAWS = 10_000, 100_000


class AmortizedPosterior:
    """The posterior of any observation, as `fit_amortized_posterior` returns it.

    ```none
    amortized(x)           the posterior given x, a `tfd.Distribution` over the parameters
    amortized(x).report    whether it can be relied on, with reasons
    amortized.report       the checks of all observations together
    ```

    >>> import numpy as np
    >>> import tensorflow as tf
    >>> import tfp_flows
    >>> rng = np.random.default_rng(0)
    >>> theta = rng.normal(size=(300, 1)).astype("float32")
    >>> pairs = (theta, rng.normal(theta, 0.5))
    >>> amortized = tfp_flows.inference.fit_amortized_posterior(pairs, max_minutes=0.03)
    >>> amortized([1.0]).sample(5, seed=1).shape
    TensorShape([5, 1])
    >>> amortized([1.0]).has_weights  # for `resample`
    False
    >>> amortized.save("posterior.keras")
    >>> loaded = tfp_flows.inference.AmortizedPosterior.load("posterior.keras")
    >>> bool(tf.reduce_all(loaded([1.0]).sample(seed=1) == amortized([1.0]).sample(seed=1)))
    True

    Args:
      rows: the same posterior as a distribution of rows of numbers.
      pin: the model's density, as in `Simulator`, for importance weights; None if it is
        not known.
      log_prior: function of parameters that returns their log-densities under the prior,
        for weights by the learned likelihood of `rows`; None for no such weights.
    """

    def __init__(
        self,
        rows: PosteriorOfRows,
        *,
        pin: Callable | None = None,
        log_prior: Callable | None = None,
    ) -> None:
        self.rows, self._weights, self._is_learned = rows, None, False
        if rows.likelihood is not None and log_prior is not None:
            varies: Any = rows.varies
            pin = functools.partial(rows.learned_log_prob, log_prior)
            self._weights = ImportanceWeights(pin, rows.support, len(varies))
            self._is_learned = True
        elif pin is not None:
            self._weights = ImportanceWeights(pin, rows.support, rows.form.size)

    @property
    def density(self) -> Mixture:
        """The density of the unconstrained parameters given features of the data."""
        return self.rows.distribution

    @property
    def report(self) -> CalibrationReport:
        """The checks of all observations together."""
        return self.rows.report

    def __call__(self, x: Any) -> ConditionedPosterior:
        """Returns the posterior given an observation, or given each of a batch.

        Args:
          x: an observation in the form of the simulated data, `[*batch, *shape]`, or a
            dictionary of its parts.

        Raises:
          ValueError: if x has another form, or a number that is not finite.
        """
        return ConditionedPosterior(self, self.rows.form.to_rows(x))

    def save(self, path: str | os.PathLike) -> None:
        """Saves the posterior of any observation, with its checks, to a `.keras` file.

        The simulator, which may be any code, is not saved. `tfp_flows.load(path)` returns a
        `DensityEstimator` of the same posterior as a conditional distribution of rows:
        parameters `[M]` given data `[K]`.

        Args:
          path: path of the file; ends in `.keras`.

        Raises:
          ValueError: if the support of one parameter depends on another.
        """
        without_functions(self.rows.support.bijector)  # raises before it opens a file
        DensityEstimator(self.rows, columns=self.rows.columns).save(path)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike,
        model: Any = None,
        *,
        observed: str | Sequence[str] | None = None,
        custom_modules: Sequence[Any] = (),
    ) -> AmortizedPosterior:
        """Returns the posterior that `save` has written, without running code of the file.

        Args:
          path: path of the file.
          model: for importance weights of observations, the joint distribution; or the
            prior, if a likelihood was learned. None if its density is not known.
          observed: names of the observed parts of a joint distribution.
          custom_modules: modules of a summary network of your own, as in `tfp_flows.load`.

        Raises:
          ValueError: if the file holds something else, or the model has other parameters or
            data.
        """
        rows = load(path, custom_modules=custom_modules).distribution
        words = "a file of `AmortizedPosterior.save`"
        check_instance("path", rows, PosteriorOfRows, words)
        pin = log_prior = None
        if model is not None:
            if rows.likelihood is not None and observed is None:
                support = JointSupport.from_distribution(model, "model").softly_clipped()
                same = rows.support.equals(support)
                log_prior = model.log_prob
            else:
                names = [*rows.form.shapes]
                if not isinstance(observed, str | None) and {*observed} == {*names}:
                    observed = names  # an observation's row has the order of the fit
                source = make_simulator(model, observed, None)
                same = source.form.shapes == rows.form.shapes
                same = same and rows.support.equals(source.support)
                pin = source.pin
            words = "the `model` of this file"
            require(same, words, f"{model.name}, of other shapes or supports")
        return cls(rows, pin=pin, log_prior=log_prior)

    def conditioned(self, row: np.ndarray) -> Conditioned:
        """Returns the posterior of the unconstrained parameters given rows of data.

        Args:
          row: observations as rows of numbers, `[*batch, K]`.
        """
        return self.rows.conditioned(row)


class ConditionedPosterior(FlowPosterior):
    """The posterior given an observation, or given each of a batch of observations.

    It is a `tfd.Distribution` over the parameters, in the structure of the model. Draws
    never leave the support, and `log_prob` is normalised on it.

    After a fit with `focus`, the prior is truncated, the log-density is that of the
    truncated posterior, and draws lie in the region of the prior. For an observation whose
    posterior hardly reaches this region, some draws may lie outside; its report says
    "not reliable".

    Args:
      amortized: the `AmortizedPosterior`.
      row: observations as rows of numbers, `[*batch, K]`.
      name: name of the distribution.
    """

    def __init__(
        self, amortized: AmortizedPosterior, row: np.ndarray, *, name: str = "posterior"
    ) -> None:
        conditioned = amortized.conditioned(row)
        super().__init__(conditioned, amortized.rows.support.bijector, name=name)
        self._amortized, self._row = amortized, row
        self._more: Any = None  # weighted draws of the last large `resample`

    @functools.cached_property
    def report(self) -> ObservationReport:
        """Whether the posterior of this observation can be relied on, with reasons.

        With a model of known density or a learned likelihood, the first call draws and
        weighs 10,000 draws. Up to 100,000 are weighed by a learned one, in some seconds.

        Raises:
          ValueError: for a batch of observations.
        """
        return self._judged[0]

    @property
    def has_weights(self) -> bool:
        """Whether `resample` has weighted draws; raises as `report` for a batch."""
        return self._judged[1] is not None

    def resample(self, n: int, seed: int | None = None) -> Any:
        """Draws from importance-weighted draws, if draws have weights.

        Weights follow from the density of a joint distribution, or a learned likelihood.
        Up to 100,000 draws are weighted, so that few of the `n` rows are alike.

        Args:
          n: number of draws.
          seed: integer; random if None.

        Returns:
          Parts, `[n, *event]` each.

        Raises:
          ValueError: if there are no weights, or none is above 0.
        """
        check_integer("n", n)
        check_seed("seed", seed)
        _, weighted, is_adapted = self._judged
        if weighted is None:
            raise ValueError(
                "Expected weights, of a joint distribution with `observed` or of a learned "
                "likelihood that is used (`amortized.report.weights`); got none."
            )
        if weighted.ess and not is_adapted:
            weighted = self._enough_for(n, weighted)
        return self._resampled(weighted.x, weighted.weights, n, seed)

    @functools.cached_property
    def _judged(self) -> tuple[ObservationReport, WeightedDraws | None, bool]:
        """The report, the weighted draws that it judges, and whether these are adapted."""
        words = "one observation; index `amortized(x[i]).report` for those of a batch"
        require(self._row.ndim == 1, words, f"a batch of shape {self._row.shape[:-1]}")
        amortized, weighted, adapted = self._amortized, None, None
        if amortized._weights is not None:
            weighted = self._weighted(_NUM_DRAWS)
            if not weighted.are_reliable:
                adapted = amortized._weights.adapted(self._weighted_row, weighted)
                if amortized._is_learned and not adapted.are_reliable:
                    weighted, adapted = self._weighted(_MOST_DRAWS), None
        rows = amortized.rows
        surroundings = rows.surroundings.check(rows.features(self._row))
        mass = None if rows.prior is None else rows.prior.mass(self._row)
        report = judge_observation(
            surroundings,
            amortized.report,
            weighted,
            adapted,
            mass,
            is_learned=amortized._is_learned,
        )
        return report, adapted or weighted, adapted is not None

    def _enough_for(self, n, weighted):
        """Returns weighted draws: these, or more if n rows would repeat effective ones."""
        count = min(_MOST_DRAWS, math.ceil(len(weighted.x) * n / max(weighted.ess, 1.0)))
        if count <= len(weighted.x):
            return weighted
        if self._more is None or len(self._more.x) != count:
            self._more = self._weighted(count)
        return self._more

    @property
    def _weighted_row(self):
        """Returns the observation in the form that the weights take."""
        amortized = self._amortized
        return amortized.rows.features(self._row) if amortized._is_learned else self._row

    def _weighted(self, count):
        weights: Any = self._amortized._weights
        return weights.weighted(self.distribution, self._weighted_row, count)

    def _batch_shape(self):
        return self.distribution.batch_shape

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return {}

    def __deepcopy__(self, memo: dict) -> ConditionedPosterior:
        return type(self)(self._amortized, self._row, name=self.name)

    def __reduce__(self) -> tuple:
        raise TypeError(
            "Expected draws, which can be pickled; got the posterior of an observation, "
            "whose simulator need not be."
        )
