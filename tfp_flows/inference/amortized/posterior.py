"""An amortised posterior, and the posterior given one observation."""

from __future__ import annotations

import copy
import dataclasses
import functools
import math
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from tensorflow.types.experimental import TensorLike

from tfp_flows.core.arguments import (
    check_instance,
    check_integer,
    check_members,
    check_seed,
    require,
)
from tfp_flows.core.compiled import graph_function
from tfp_flows.core.inputs import check_context, check_value
from tfp_flows.core.serialization import RebuiltFromConfig, serialize
from tfp_flows.distributions import draws
from tfp_flows.distributions.distribution_wrapper import DistributionWrapper
from tfp_flows.distributions.mixture import Mixture
from tfp_flows.inference.amortized.calibration import CalibrationReport
from tfp_flows.inference.amortized.data_form import DataForm
from tfp_flows.inference.amortized.features import Features, Scale
from tfp_flows.inference.amortized.learned_likelihood import LearnedLikelihood
from tfp_flows.inference.amortized.normal_tails import without_normal_tails
from tfp_flows.inference.amortized.number_summary import NumberSummary
from tfp_flows.inference.amortized.observation_checks import (
    Extent,
    ImportanceWeights,
    ObservationReport,
    Surroundings,
    judge_observation,
)
from tfp_flows.inference.amortized.predictive_check import mean_check
from tfp_flows.inference.amortized.simulator import (
    JointSimulator,
    PriorSimulator,
    Simulator,
)
from tfp_flows.inference.amortized.truncation import Conditioned, TruncatedPrior
from tfp_flows.inference.checks.importance import WeightedDraws, systematic_rows
from tfp_flows.inference.parts import named, parts_from_rows, rows_from_parts
from tfp_flows.inference.support import JointSupport, without_functions
from tfp_flows.inference.surrogate import FlowPosterior
from tfp_flows.training.density_estimator import DensityEstimator
from tfp_flows.training.loading import load

# Number of weighted draws of a report; and the largest number: for `resample`, and for
# uneven weights of a learned likelihood, since `fit_posterior` cannot help there.
_NUM_DRAWS, _MOST_DRAWS = 10_000, 100_000
_NUM_PREDICTIVE = 1_000  # data simulated with draws of the posterior of one observation
_EFFECTIVE_FOR_ONE = 2  # effective draws for each row of `resample`: few are alike


class CompiledFunctions(NamedTuple):
    """Compiled functions of features, `[N, S]`, of N observations."""

    draw: Callable  # from features and a stateless seed to parts, `[N, *event]`
    log_prob: Callable  # from features and parts, `[N, *event]`, to `[N]`


class AmortizedPosterior(RebuiltFromConfig, DistributionWrapper):
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
    >>> amortized.can_be_saved
    True
    >>> amortized.save("posterior.keras")
    >>> loaded = tfp_flows.inference.AmortizedPosterior.load("posterior.keras")
    >>> bool(tf.reduce_all(loaded([1.0]).sample(seed=1) == amortized([1.0]).sample(seed=1)))
    True

    For files, and for commands that score and draw rows, it is a conditional distribution
    of rows: parameters `[M]` given data `[K]`, the `context`.

    ```none
    p(theta | x) = density(u | features(x)) |det d support^-1 / d theta|
    ```

    With a truncated prior, it is normalised on the prior's region.

    Args:
      distribution: density of the unconstrained parameters u given features, not truncated.
      support: `JointSupport` of the parameters.
      form: `DataForm` of an observation.
      features: `Features` of observations.
      report: the checks of all observations together.
      surroundings: `Surroundings` of an observation.
      extent: `Extent` of its numbers, and of their summary; None in files without one.
      prior: the `TruncatedPrior` of the last round; None if it is that of the model.
      likelihood: the `LearnedLikelihood`; None if there is none.
      ranges: those of `Pairs`; None if they are not known.
      pin: the model's density, as in `Simulator`, for importance weights; None if it is
        not known. Files and pickles do not hold it.
      simulator: the `Simulator`, for the check of `num_predictive`; None if there is none.
        Files and pickles do not hold it.
      name: name of the distribution.

    Attributes:
      num_predictive: number of simulations, with draws of the posterior of an observation,
        by which its report checks the means; 0 for no check. It is 1,000 with a `simulator`
        that takes N draws at once, and 0 otherwise. Set it before you read a report.
    """

    def __init__(
        self,
        distribution: Mixture,
        support: JointSupport,
        form: DataForm,
        features: Features,
        *,
        report: CalibrationReport,
        surroundings: Surroundings,
        extent: Extent | None = None,
        prior: TruncatedPrior | None = None,
        likelihood: LearnedLikelihood | None = None,
        ranges: np.ndarray | None = None,
        pin: Callable | None = None,
        simulator: Simulator | None = None,
        name: str = "amortized_posterior",
    ) -> None:
        super().__init__(distribution, name=name)
        self.support, self.form, self.features = support, form, features
        self.report, self.surroundings, self.extent = report, surroundings, extent
        self.prior, self.ranges = prior, ranges
        self.likelihood, self.pin, self.simulator = likelihood, pin, simulator
        is_fast = simulator is not None and not simulator.is_slow
        self.num_predictive = _NUM_PREDICTIVE if is_fast else 0
        self._shapes = support.event_shapes

    def __call__(self, x: Any) -> ConditionedPosterior:
        """Returns the posterior given an observation, or given each of a batch.

        Args:
          x: an observation in the form of the simulated data, `[*batch, *shape]`, or a
            dictionary of its parts.

        Raises:
          ValueError: if x has another form, or a number that is not finite.
        """
        return ConditionedPosterior(self, self.form.to_rows(x))

    def save(self, path: str | os.PathLike) -> None:
        """Saves the posterior of any observation, with its checks, to a `.keras` file.

        The simulator, which may be any code, is not saved. `tfp_flows.load(path)` returns a
        `DensityEstimator` of the same posterior as a conditional distribution of rows:
        parameters `[M]` given data `[K]`.

        Args:
          path: path of the file; ends in `.keras`.

        Raises:
          ValueError: if the support of one parameter depends on another, or has bijectors
            that files cannot hold.
        """
        serialize(without_functions(self.support.bijector))  # raises before a file opens
        DensityEstimator(self, columns=self.columns).save(path)

    @property
    def can_be_saved(self) -> bool:
        """Whether `save` works: files can hold the support of each parameter."""
        try:
            serialize(without_functions(self.support.bijector))
        except ValueError:
            return False
        return True

    @classmethod
    def load(
        cls,
        path: str | os.PathLike,
        model: Any = None,
        *,
        observed: str | Sequence[str] | None = None,
        simulator: Callable | None = None,
        custom_modules: Sequence[Any] = (),
    ) -> AmortizedPosterior:
        """Returns the posterior that `save` has written, without running code of the file.

        Args:
          path: path of the file.
          model: the joint distribution, for importance weights of observations; or the
            prior, for weights by a learned likelihood. Files hold a prior without
            functions: then None is enough.
          observed: names of the observed parts of a joint distribution.
          simulator: function from the parts of N parameters to N data, with a prior as
            `model`, for checks of single observations.
          custom_modules: modules of a summary network of your own, as in `tfp_flows.load`.

        Raises:
          ValueError: if the file holds something else, or the model has other parameters or
            data.
        """
        loaded = load(path, custom_modules=custom_modules).distribution
        words = "a file of `AmortizedPosterior.save`"
        check_instance("path", loaded, AmortizedPosterior, words)
        words = "a prior as `model`, and no `observed`, with `simulator`"
        has_prior = model is not None and observed is None
        got = "no `model`" if model is None else "`observed`"
        require(simulator is None or has_prior, words, got)
        if model is not None:
            loaded._take_model(model, observed, simulator)
        elif loaded.likelihood is not None and loaded.likelihood.prior is None:
            warnings.warn(
                "The file has a learned likelihood, but no prior, which has functions: "
                "draws have no weights. Give the prior as `model`.",
                stacklevel=2,
            )
        return loaded

    def _take_model(self, model, observed, simulator):
        """Takes what files do not hold, for checks of single observations."""
        words = "the joint distribution or the prior of this file"
        check_members("model", model, ("sample", "log_prob", "event_shape"), words)
        # The support in coordinates that no fit has changed.
        support = without_normal_tails(self.support).softly_clipped()
        hint = ""
        if observed is None:
            prior = JointSupport.from_distribution(model, "model")
            fits = support.equals(prior.softly_clipped())
            hint = " A joint distribution needs `observed`, a prior does not."
            if self.likelihood is not None:
                self.likelihood = dataclasses.replace(self.likelihood, prior=model)
            if simulator is not None and fits:
                self._take_simulator(model, simulator)
        else:
            names = [*self.form.shapes]
            if not isinstance(observed, str | None) and {*observed} == {*names}:
                observed = names  # an observation's row has the order of the fit
            source = JointSimulator(model, observed)
            has_shapes = source.form.shapes == self.form.shapes
            fits = has_shapes and support.equals(source.support)
            self.pin = source.pin
        words = "the `model` of this file"
        require(fits, words, f"{model.name}, of other shapes or supports", hint)

    def _take_simulator(self, prior, simulator):
        missing = self.form.is_missing_allowed
        form_of = functools.partial(DataForm.from_batch, is_missing_allowed=missing)
        source = PriorSimulator(prior, simulator, vectorized=True, form_of=form_of)
        found, expected = source.form.shapes, self.form.shapes
        words = f"`simulator` of data with the shapes {expected} of this file"
        require(found == expected, words, found)
        source.support = self.support
        self.simulator, self.num_predictive = source, _NUM_PREDICTIVE

    @property
    def density(self) -> Mixture:
        """The density of the unconstrained parameters given features of the data."""
        return self.distribution

    @property
    def dtype(self) -> tf.DType:
        """The dtype of the parameters."""
        return self.support.dtype

    @property
    def event_shape(self) -> tf.TensorShape:
        """`[M]`: the numbers of all parameters."""
        sizes = [shape.num_elements() for shape in tf.nest.flatten(self._shapes)]
        return tf.TensorShape([sum(sizes)])

    @property
    def context_size(self) -> int:
        """K, the numbers of an observation."""
        return self.form.size

    @property
    def columns(self) -> list[dict[str, Any]]:
        """Descriptions of the M numbers of the parameters, and of the K of the data."""
        rows = [("modelled", key or "theta", shape) for key, shape in _leaves(self._shapes)]
        rows += [("context", key or "x", shape) for key, shape in self.form.shapes.items()]
        columns: list[dict[str, Any]] = [
            {"name": f"{key}{list(index) or ''}", "role": role}
            for role, key, shape in rows
            for index in np.ndindex(*shape)
        ]
        ranges = np.full([2, len(columns)], np.nan) if self.ranges is None else self.ranges
        for column, (least, greatest) in zip(columns, ranges.T.tolist(), strict=True):
            if least <= greatest:  # some simulation has the number
                column |= {"least": least, "greatest": greatest}
        return columns

    def conditioned(self, row: np.ndarray) -> Conditioned:
        """Returns the density of the unconstrained parameters given data, `[..., K]`."""
        features = self.features(row)
        return Conditioned(self.distribution, features, dtype=self.dtype, prior=self.prior)

    @functools.cached_property
    def _weights(self) -> ImportanceWeights | None:
        """Importance weights of draws; None if the model's density is not known."""
        if self._is_learned:
            learned: Any = self.likelihood
            pin, size = learned.pin(self.support), len(learned.varies)
            return ImportanceWeights(pin, self.support, size, self.features)
        if self.pin is None:
            return None
        return ImportanceWeights(self.pin, self.support, self.form.size)

    @functools.cached_property
    def has_splines(self) -> bool:
        """Whether conditional splines are a component.

        They draw number by number: a graph of this takes longer to build than dozens of
        calls without one.
        """
        # Here, so that a file without them does not load the room of tables.
        from tfp_flows.tables.distribution import TableDistribution

        parts = self.distribution.submodules
        return any(isinstance(part, TableDistribution) for part in parts)

    @functools.cached_property
    def compiled(self) -> CompiledFunctions:
        """Compiled functions of N posteriors, each given features, `[N, S]`."""
        bijector, mixture, dtype = self.support.bijector, self.distribution, self.dtype
        parts = tf.nest.map_structure(
            lambda shape: tf.TensorSpec([None, *shape], dtype), self._shapes
        )
        features = tf.TensorSpec([None, mixture.context_size], mixture.dtype)

        def draw(features, seed):
            rows = mixture.draw_rows(tf.shape(features)[0], seed, features)
            return bijector.forward(tf.cast(rows, dtype))

        def log_prob(features, parts):
            conditioned = Conditioned(mixture, features, dtype=dtype)
            return FlowPosterior(conditioned, bijector).log_prob(parts)

        seed = tf.TensorSpec([2], tf.int32)
        return CompiledFunctions(
            graph_function(draw, input_signature=[features, seed]),
            graph_function(log_prob, input_signature=[features, parts]),
        )

    def __copy__(self) -> AmortizedPosterior:
        return self.__deepcopy__({id(value): value for value in vars(self).values()})

    def __deepcopy__(self, memo: dict) -> AmortizedPosterior:
        """Copies the weights; shares the support, and functions of the user's model."""
        learned: Any = self.likelihood
        functions = self.pin, self.simulator, learned and learned.prior
        for shared in (self.support, *functions):
            memo[id(shared)] = shared
        traced = ("compiled", "has_splines", "_weights")
        state = {name: value for name, value in vars(self).items() if name not in traced}
        copied = object.__new__(type(self))
        copied.__dict__.update(copy.deepcopy(state, memo))
        return copied

    @property
    def _is_learned(self) -> bool:
        """Whether weights are those of a learned likelihood."""
        return self.likelihood is not None and self.likelihood.prior is not None

    def log_prob(
        self, value: TensorLike, *, context: TensorLike, training: bool = False
    ) -> tf.Tensor:
        """Returns log-densities of parameters, `[..., M]`, given data, `[..., K]`."""
        del training  # nothing is trained
        value = check_value(value, "value", 1, self.event_shape, self.dtype)
        parts = parts_from_rows(value, self._shapes)
        return self._given(context).log_prob(parts)

    def sample(
        self,
        sample_shape: int | Sequence[int] = (),
        seed: int | TensorLike | None = None,
        *,
        context: TensorLike,
    ) -> tf.Tensor:
        """Draws parameters, `[*sample_shape, ..., M]`, given data, `[..., K]`."""
        parts = self._given(context).sample(sample_shape, seed=seed)
        return rows_from_parts(parts, self._shapes)

    def _given(self, context):
        row = np.asarray(context, np.float64)
        check_context(row, self.context_size, tf.float64, self.name)
        self.form.check_finite(row, "context")
        return ConditionedPosterior(self, row)

    def get_config(self) -> dict:
        """Returns the entries of a file, from which `from_config` builds the posterior."""
        summary = self.features.summary
        description = {
            "dtype": self.dtype.name,
            "form": self.form.to_plain(),
            "scale": _as_lists(self.features.scale._asdict()),
            "report": self.report.to_plain(),
            "surroundings": _as_lists(vars(self.surroundings)),
            "extent": self.extent and _as_lists(vars(self.extent)),
            "prior": self.prior and self.prior.to_plain(),
            "varies": self.likelihood and self.likelihood.varies.tolist(),
            "exchangeable": summary and summary.to_plain(),  # as early files say
            "ranges": None if self.ranges is None else self.ranges.tolist(),
        }
        description = {k: plain for k, plain in description.items() if plain is not None}
        return {
            "distribution": self.distribution,
            "support": without_functions(self.support.bijector),
            "network": self.features.network,
            "description": description,
            "previous": self.prior and self.prior.previous,
            "likelihood": self.likelihood and self.likelihood.density,
            "likelihood_prior": self.likelihood and self.likelihood.saved_prior,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict) -> AmortizedPosterior:
        """Builds the posterior from the result of `get_config`."""
        distribution, description = config["distribution"], config["description"]
        previous: Any = config.get("previous")
        likelihood: Any = config.get("likelihood")
        its_prior = config.get("likelihood_prior")

        def made(build: Callable, name: str) -> Any:
            return build(description[name]) if name in description else None

        scale = Scale(**_as_arrays(description["scale"]))
        summary = made(NumberSummary.from_plain, "exchangeable")
        size, dtype = distribution.event_shape[0], tf.as_dtype(description["dtype"])
        return cls(
            distribution,
            JointSupport(config["support"], size, dtype),
            DataForm.from_plain(description["form"]),
            Features(scale, config["network"], summary),
            report=CalibrationReport.from_plain(description["report"]),
            surroundings=Surroundings(**_as_arrays(description["surroundings"])),
            extent=made(lambda plain: Extent(**_as_arrays(plain)), "extent"),
            prior=made(functools.partial(TruncatedPrior.from_plain, previous), "prior"),
            likelihood=made(
                lambda varies: LearnedLikelihood(likelihood, np.array(varies), its_prior),
                "varies",
            ),
            ranges=made(np.asarray, "ranges"),
            name=config["name"],
        )

    @property
    def _parts(self):
        previous = self.prior and self.prior.previous
        learned = self.likelihood and self.likelihood.density
        return (self.distribution, self.features.network, previous, learned)


class _Judged(NamedTuple):
    """The report on one observation, and the weighted draws that it judges."""

    report: ObservationReport
    weighted: WeightedDraws | None
    is_adapted: bool  # whether these are draws of an adapted distribution


class ConditionedPosterior(FlowPosterior):
    """The posterior given an observation, or given each of a batch of observations.

    It is a `tfd.Distribution` over the parameters, in the structure of the model. Draws
    never leave the support, and `log_prob` is normalised on it.

    After a fit with `focus`, the prior is truncated, the log-density is that of the
    truncated posterior, and draws lie in the region of the prior. For an observation whose
    posterior hardly reaches this region, some draws may lie outside; its report says
    "not reliable".

    >>> import numpy as np
    >>> import tfp_flows
    >>> rng = np.random.default_rng(0)
    >>> theta = rng.normal(size=(300, 1)).astype("float32")
    >>> pairs = (theta, rng.normal(theta, 0.5))
    >>> amortized = tfp_flows.inference.fit_amortized_posterior(pairs, max_minutes=0.03)
    >>> isinstance(amortized([1.0]), tfp_flows.inference.ConditionedPosterior)
    True
    >>> amortized([[1.0], [0.5]]).log_prob(np.float32([[0.8], [0.4]])).shape
    TensorShape([2])

    Args:
      amortized: the `AmortizedPosterior`.
      row: observations as rows of numbers, `[*batch, K]`.
      name: name of the distribution.
    """

    def __init__(
        self, amortized: AmortizedPosterior, row: np.ndarray, *, name: str = "posterior"
    ) -> None:
        conditioned = amortized.conditioned(row)
        super().__init__(conditioned, amortized.support.bijector, name=name)
        self._amortized, self._row = amortized, row
        self._more: Any = None  # weighted draws of the last large `resample`

    @functools.cached_property
    def report(self) -> ObservationReport:
        """Whether the posterior of this observation can be relied on, with reasons.

        The first call draws 10,000 draws, and weighs them with a model of known density or
        a learned likelihood. Up to 100,000 are weighed by a learned one, in some seconds.
        With a `simulator`, it simulates `num_predictive` times, and checks the means.

        Raises:
          ValueError: for a batch of observations.
        """
        return self._judged.report

    @property
    def has_weights(self) -> bool:
        """Whether `resample` has weighted draws; raises as `report` for a batch."""
        return self._judged.weighted is not None

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
        weighted = self._judged.weighted
        if weighted is None:
            raise ValueError(
                "Expected weights, of a joint distribution with `observed` or of a learned "
                "likelihood that is used (`amortized.report.weights`); got none."
            )
        if weighted.ess and not self._judged.is_adapted:
            weighted = self._enough_for(n, weighted)
        return self._resampled(weighted.x, weighted.weights, n, seed)

    @functools.cached_property
    def _judged(self) -> _Judged:
        words = "one observation; index `amortized(x[i]).report` for those of a batch"
        require(self._row.ndim == 1, words, f"a batch of shape {self._row.shape[:-1]}")
        amortized, weighted, adapted = self._amortized, None, None
        if amortized._weights is not None:
            weighted = self._weighted(_NUM_DRAWS)
            if not weighted.are_reliable:
                adapted = amortized._weights.adapted(self._row, weighted)
                if amortized._is_learned and not adapted.are_reliable:
                    weighted, adapted = self._weighted(_MOST_DRAWS), None
        features, prior = amortized.features(self._row), amortized.prior
        distance_checks = [amortized.surroundings.check(features)]
        if amortized.extent is not None:
            row = amortized.features.with_numbers(features, self._row)
            distance_checks.append(amortized.extent.check(row))
        entries = None
        if weighted is None:
            drawn = rows_from_parts(self.sample(_NUM_DRAWS, seed=0), amortized._shapes)
            entries = np.asarray(drawn, np.float64)
        report = judge_observation(
            distance_checks,
            amortized.report,
            weighted,
            adapted,
            mass=None if prior is None else prior.mass(self._row),
            entries=entries,
            predictive=self._predictive_check(adapted or weighted),
            is_learned=amortized._is_learned,
        )
        return _Judged(report, adapted or weighted, adapted is not None)

    def _predictive_check(self, weighted):
        """The check by simulations, or None, of the draws that the report advises."""
        amortized, count, seed = self._amortized, self._amortized.num_predictive, 0
        source: Any = amortized.simulator
        if source is None or count == 0 or amortized.form.is_missing_allowed:
            return None
        if weighted is None:
            u = self.distribution.sample(count, seed=seed)
            log_density = self.distribution.log_prob(u).numpy()
        elif weighted.are_reliable:
            rows = systematic_rows(weighted.weights, count, np.random.default_rng(seed))
            u, log_density = weighted.x[rows], weighted.log_p[rows]
        else:
            return None  # these draws fail anyway
        u = np.asarray(u, np.float64)
        simulated = amortized.features(source.given(u, seed).x)
        log_likelihood = log_density - source.log_prior(u)
        return mean_check(u, log_likelihood, simulated, amortized.features(self._row))

    def _enough_for(self, n, weighted):
        """Returns weighted draws: these, or more if some of n rows would be alike."""
        share = max(weighted.ess, 1.0) / len(weighted.x)
        count = min(_MOST_DRAWS, math.ceil(_EFFECTIVE_FOR_ONE * n / share))
        if count <= len(weighted.x):
            return weighted
        if self._more is None or len(self._more.x) != count:
            self._more = self._weighted(count)
        return self._more

    def _weighted(self, count):
        weights: Any = self._amortized._weights
        return weights.weighted(self.distribution, self._row, count)

    def _call_sample_n(self, sample_shape, seed, **kwargs):
        if not self._is_compiled or self._amortized.has_splines:
            return super()._call_sample_n(sample_shape, seed, **kwargs)
        context = self.distribution.context
        shape = draws.joint_shape(sample_shape, context)
        features = draws.context_rows(context, shape)
        parts = self._amortized.compiled.draw(features, draws.stateless(seed))
        return tf.nest.map_structure(
            lambda part: tf.reshape(part, tf.concat([shape, part.shape[1:]], axis=0)), parts
        )

    def _log_prob(self, value, **kwargs):
        if not self._is_compiled:
            return super()._log_prob(value, **kwargs)
        context = self.distribution.context
        self._check_shapes(value)
        parts = tf.nest.flatten(value)
        events = [event.rank for event in tf.nest.flatten(self.event_shape)]
        batch = context.shape[:-1]
        for part, rank in zip(parts, events, strict=True):
            outer = part.shape[: part.shape.rank - rank]
            batch = tf.broadcast_static_shape(batch, outer)

        def as_rows(tensor, rank):
            event = tensor.shape[tensor.shape.rank - rank :]
            return tf.reshape(tf.broadcast_to(tensor, batch + event), [-1, *event])

        rows = tf.nest.pack_sequence_as(value, [*map(as_rows, parts, events)])
        log_probs = self._amortized.compiled.log_prob(as_rows(context, 1), rows)
        return tf.reshape(log_probs, batch)

    @property
    def _is_compiled(self):
        """Whether a call of now runs as a compiled function: one for all observations."""
        return self._amortized.prior is None and tf.executing_eagerly()

    def _batch_shape(self):
        return self.distribution.batch_shape

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return {}

    def copy(self, **overrides: object) -> ConditionedPosterior:
        """Returns the posterior of the same data, with some arguments replaced."""
        arguments = {"amortized": self._amortized, "row": self._row, "name": self.name}
        return type(self)(**{**arguments, **overrides})

    def __copy__(self) -> ConditionedPosterior:
        return self.copy()

    def __deepcopy__(self, memo: dict) -> ConditionedPosterior:
        return self.copy()

    def __reduce__(self) -> tuple:
        raise TypeError(
            "Expected draws, which can be pickled; got the posterior of an observation, "
            "whose simulator need not be."
        )


def _as_lists(arrays: Mapping[str, np.ndarray]) -> dict[str, list]:
    return {name: array.tolist() for name, array in arrays.items()}


def _as_arrays(lists: Mapping[str, list]) -> dict[str, np.ndarray]:
    return {name: np.asarray(entries) for name, entries in lists.items()}


def _leaves(shapes, key=""):
    """Names and shapes of all parts, such as "outer.inner" of nested ones."""
    parts = named(shapes)
    if not parts:
        yield key, shapes
    for name, part in parts.items():
        yield from _leaves(part, f"{key}.{name}" if key else str(name))
