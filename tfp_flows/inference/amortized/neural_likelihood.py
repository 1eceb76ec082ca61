"""Neural likelihoods: the density of data given parameters, learned from simulations."""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from tfp_flows.core.arguments import (
    check_instance,
    check_integer,
    check_minutes,
    check_seed,
    require,
)
from tfp_flows.core.check import reasons_of
from tfp_flows.core.serialization import RebuiltFromConfig
from tfp_flows.distributions.distribution_wrapper import DistributionWrapper
from tfp_flows.inference.amortized.calibration import dropped_check
from tfp_flows.inference.amortized.data_form import DataForm
from tfp_flows.inference.amortized.mixed_trials import (
    MixedForm,
    MixedTrialsReport,
    TrialCells,
    fit_mixed_trials,
    form_of_trials,
)
from tfp_flows.inference.amortized.pairs import GivenPairs
from tfp_flows.inference.amortized.score_bias import ScoreBias
from tfp_flows.inference.amortized.simulator import PriorSimulator
from tfp_flows.inference.fit import fit_posterior
from tfp_flows.inference.fitted_posterior import FittedPosterior
from tfp_flows.inference.parts import (
    cast_parts,
    check_parts,
    from_arguments,
    parts_from_rows,
)
from tfp_flows.inference.support import JointSupport, outside_support, without_functions
from tfp_flows.networks.layer_arguments import split_seed

if TYPE_CHECKING:
    from tfp_flows.density.report import DensityReport


class NeuralLikelihood:
    """A learned density of data given parameters, as `fit_neural_likelihood` returns it.

    ```none
    log p(x_1, ..., x_T | theta) = sum over t of log density(x_t | theta)
    ```

    Args:
      density: conditional distribution of rows of data given unconstrained parameters: a
        `FittedDensity`, or a table's distribution of cells.
      prior: the prior, a `tfd.Distribution`.
      support: its `JointSupport`.
      form: `DataForm` of the data of one trial, or `TrialCells`.
      report: how well the density explains simulations that no training saw: a
        `DensityReport`, or a `MixedTrialsReport` of trials with categories or integers;
        `print` shows a table.
      most_trials: largest number of trials of which it is known that errors of posterior
        means are, in the root mean square, below half a posterior standard deviation
        (`ScoreBias`); None if it was not measured.

    >>> import numpy as np
    >>> import tfp_flows
    >>> from tensorflow_probability import distributions as tfd
    >>> prior = tfd.Sample(tfd.Normal(0.0, 1.0), 1)
    >>> def simulate(theta, seed):
    ...     return np.random.default_rng(seed).normal(theta, 0.5)
    >>> likelihood = tfp_flows.inference.fit_neural_likelihood(
    ...     prior, simulator=simulate, num_simulations=200, max_minutes=0.03
    ... )
    >>> trials = np.array([[0.9], [1.1], [0.7]])
    >>> likelihood.log_prob(trials, np.array([[1.0], [0.0]], "float32")).shape
    TensorShape([2])
    """

    def __init__(
        self,
        density: Any,
        prior: Any,
        support: JointSupport,
        form: DataForm | TrialCells,
        report: DensityReport | MixedTrialsReport,
        most_trials: int | None = None,
    ) -> None:
        self.density, self.prior, self.report = density, prior, report
        self.most_trials = most_trials
        self._support, self._form = support, form

    @property
    def conditional(self) -> OneTrial:
        """The density of one trial given the parameters as one vector, for exports.

        `tfp_flows.to_jax(likelihood.conditional)` is the likelihood as a function of JAX.
        `tfp_flows.DensityEstimator(likelihood.conditional).save(path)` writes it to a file,
        and `tfp_flows.load(path).distribution` reads it.
        """
        return OneTrial(self.density, self._support)

    def log_prob(self, x: Any, theta: Any) -> tf.Tensor:
        """Returns log-densities of independent trials together, `[*batch]`.

        They are minus infinity outside the support of the prior, where nothing was learned.

        Args:
          x: data of T trials, `[T, *shape]`, or of one, `[*shape]`; or a dictionary, or
            a data frame.
          theta: parameters in the structure of the prior, `[*batch, *event]` each.

        Raises:
          ValueError: if x has another form, or cannot occur: a category that no simulation
            has, or a number outside the support; or if theta has other parts.
        """
        rows = self._rows(x)
        check_parts("theta", theta, self.prior.event_shape)
        theta = cast_parts(theta, self.prior.event_shape, self._support.dtype)
        u = self._support.bijector.inverse(theta)
        return self._within_support(self._sum_over_trials(rows, u), theta, u)

    def target_log_prob_fn(self, x: Any) -> Callable:
        """Returns the unnormalised log-density of the parameters given T trials.

        It is a function of the parts of N draws, as `fit_posterior` and the kernels of
        `tfp.mcmc` take it: those of a dictionary as keywords, those of a list one by one.
        """
        rows = self._rows(x)

        def target_log_prob(*parts: Any, **named_parts: Any) -> tf.Tensor:
            theta = from_arguments(self.prior.dtype, parts, named_parts)
            u = self._support.bijector.inverse(theta)
            likelihood = self._sum_over_trials(rows, u)
            prior = self.prior.log_prob(theta)
            log_prob = prior + tf.cast(likelihood, prior.dtype)
            return self._within_support(log_prob, theta, u)

        return target_log_prob

    def posterior(self, x: Any, **options: Any) -> FittedPosterior:
        """Returns the posterior given independent trials, by `fit_posterior`.

        The posterior's report judges how well it fits the learned likelihood; `report`
        judges the likelihood itself, and a warning says if there are more than
        `most_trials`. Gradients go through a network for each trial: forty trials take
        minutes.

        Args:
          x: data of T trials, `[T, *shape]`, or of one, `[*shape]`.
          **options: options of `fit_posterior`, such as `seed` and `max_minutes`.
        """
        count = len(self._rows(x))
        if self.most_trials is not None and count > self.most_trials:
            warnings.warn(
                f"Expected at most {self.most_trials} trials; got {count}. Given more, "
                "errors of posterior means are not known to be below half a posterior "
                "standard deviation. Simulate more.",
                stacklevel=2,
            )
        return fit_posterior(
            self.prior, target_log_prob_fn=self.target_log_prob_fn(x), **options
        )

    def _rows(self, x):
        with tf.init_scope():  # data are read once, also while a function is traced
            rows = self._form.to_rows(x)
            words = "`x` of T trials, [T, ...], or of one"
            require(rows.ndim <= 2, words, f"a batch of shape {rows.shape[:-1]}")
            rows = rows.reshape(-1, self._form.size)
            return tf.constant(rows, self.density.dtype)

    def _sum_over_trials(self, rows, u):
        context = tf.cast(u, self.density.dtype)[..., None, :]
        log_probs = self.density.log_prob(rows, context=context)
        return tf.reduce_sum(log_probs, axis=-1)

    def _within_support(self, log_prob, theta, u):
        """Replaces log-densities of parameters outside the support of the prior."""
        # Bijectors return NaN outside their range, and infinity at its ends.
        is_inside = tf.reduce_all(tf.math.is_finite(u), axis=-1)
        outside = outside_support(theta, self.prior.event_shape, log_prob.dtype)
        return tf.where(is_inside, log_prob, outside)


class OneTrial(RebuiltFromConfig, DistributionWrapper):
    """The learned density of one trial's row, given parameters in their own units.

    The context is a vector: the parts of the prior, flattened, in the order of
    `tf.nest.flatten(prior.event_shape)`, in which a dictionary's keys are sorted. A row of
    mixed trials is first the codes of categories, then the numbers (`TableDensity.encode`).
    """

    def __init__(self, distribution: Any, support: JointSupport) -> None:
        super().__init__(distribution, name=f"one_trial_of_{distribution.name}")
        self._support = support
        self._shape = support.event_shapes

    @property
    def context_size(self) -> int:
        """Number of entries of all parameters."""
        return sum(shape.num_elements() for shape in tf.nest.flatten(self._shape))

    def log_prob(self, value: Any, *, context: Any) -> tf.Tensor:
        """Returns log-densities of rows, `[..., D]`, given parameters, `[..., C]`."""
        value = tf.convert_to_tensor(value, self.dtype)
        return self.distribution.log_prob(value, context=self._unconstrained(context))

    def sample(
        self, sample_shape: Any = (), seed: Any = None, *, context: Any
    ) -> tf.Tensor:
        """Draws rows, `[*sample_shape, *batch, D]`, given parameters, `[*batch, C]`."""
        context = self._unconstrained(context)
        return self.distribution.sample(sample_shape, seed=seed, context=context)

    def get_config(self) -> dict:
        """Returns the entries of a file, from which `from_config` builds the density."""
        support = without_functions(self._support.bijector)
        return {
            "distribution": self.distribution,
            "support": support,
            "event_size": self._support.event_size,
            "dtype": self._support.dtype,
        }

    @classmethod
    def from_config(cls, config: dict) -> OneTrial:
        """Builds the density from the result of `get_config`."""
        parts = config["support"], config["event_size"], config["dtype"]
        return cls(config["distribution"], JointSupport(*parts))

    def _unconstrained(self, context):
        context = tf.cast(tf.convert_to_tensor(context), self._support.dtype)
        theta = parts_from_rows(context, self._shape)
        return tf.cast(self._support.bijector.inverse(theta), self.dtype)


def fit_neural_likelihood(
    prior: Any,
    *,
    simulator: Callable | None = None,
    pairs: tuple[Any, Any] | None = None,
    vectorized: bool = True,
    num_processes: int = 1,
    num_simulations: int = 10_000,
    max_minutes: float | None = None,
    backup: str | os.PathLike | None = None,
    seed: int | None = 0,
    verbose: int | str = "auto",
) -> NeuralLikelihood:
    """Learns the density of a simulator's data given its parameters.

    It suits models of many independent trials, and data of few numbers: the density of one
    trial is learned, by a `NeuralSplineFlow`, and log-densities of trials are added.
    `likelihood.posterior(x)` is then found by `fit_posterior`. For the posterior of any
    observation in one pass, see `fit_amortized_posterior`.

    Errors of a trial add up: in posterior standard deviations, errors of posterior means
    grow as the root of the number of trials. For two parameters and 100 trials of a choice
    and a time, they are about 0.5 after 10,000 simulations, and 0.3 after 40,000. A fifth
    as many further simulations, at few parameters, measure this: see `most_trials`. Given
    more trials, simulate more.

    Simulations with numbers that are not finite are left out: the density is that given
    finite data, and a check of the report fails if they are many.

    The networks of `TableDensity` learn trials with texts, booleans or integers, such as a
    choice and a response time. They give categories and integers probabilities, and the
    numbers beside them a density.

    >>> import numpy as np
    >>> import tfp_flows
    >>> from tensorflow_probability import distributions as tfd
    >>> theta = np.random.default_rng(0).normal(size=(300, 1)).astype("float32")
    >>> x = np.random.default_rng(1).normal(theta, 0.5)
    >>> prior = tfd.Sample(tfd.Normal(0.0, 1.0), 1)
    >>> likelihood = tfp_flows.inference.fit_neural_likelihood(
    ...     prior, pairs=(theta, x), max_minutes=0.03
    ... )
    >>> likelihood.target_log_prob_fn(x[:5])(theta[:7]).shape
    TensorShape([7])

    Args:
      prior: a `tfd.Distribution`, joint or not, of continuous parts.
      simulator: function from the parts of N parameters to the data of one trial each, as
        in `fit_amortized_posterior`. The types of the arrays of a dictionary, or of the
        columns of a data frame, matter: floating-point numbers have a density; texts,
        booleans and integers have probabilities.
      pairs: parameters and data simulated elsewhere, in place of `simulator`. The
        parameters need not be draws of the prior.
      vectorized: whether `simulator` takes N parameters at once.
      num_processes: number of processes that call one which does not, by joblib.
      num_simulations: number of simulations.
      max_minutes: wall time for training; no bound if None.
      backup: path of a `.npz` file that keeps the simulations, as in
        `fit_amortized_posterior`.
      seed: integer that determines simulations and fit; random if None.
      verbose: as in `fit_density`.

    Returns:
      A `NeuralLikelihood`.

    Raises:
      ValueError: if there are not one of `simulator` and `pairs`, fewer than 100
        simulations are finite, or data have other shapes than those simulated first.

    Reference:
      Papamakarios, Sterratt, Murray (2019), Sequential neural likelihood.
      https://arxiv.org/abs/1805.07226
    """
    from tfp_flows.density.data import Data
    from tfp_flows.density.fit import fit_density, new_flow
    from tfp_flows.density.rules import rules_for

    check_seed("seed", seed)
    check_integer("num_simulations", num_simulations)
    check_minutes("max_minutes", max_minutes)
    for_draws, for_flow, for_fit, for_bias = split_seed(seed, 4)
    source = _source(prior, simulator, pairs, vectorized, num_processes)
    support, form = source.support, source.form
    shows_bar = verbose != 0
    simulations = source.pairs(num_simulations, for_draws, backup, shows_bar=shows_bar)
    usable = simulations.usable(allows_missing=False)
    left_out = dropped_check(len(simulations.u) - len(usable.u), len(usable.u))
    options: Any = {"seed": for_fit, "max_minutes": max_minutes, "verbose": verbose}
    density: Any
    if isinstance(form, MixedForm):
        density, form, report = fit_mixed_trials(form, usable.x, usable.u, **options)
    else:
        data = Data(usable.x, usable.u)
        rule = rules_for(len(data.x), data.x.shape[1], data.context_size).given_flow
        flow = new_flow(rule, data, for_flow)
        density = fit_density(data.x, data.context, flow=flow, **options)
        report = density.report
    checks, most_trials = [left_out], None
    if isinstance(source, PriorSimulator):
        bias = ScoreBias.from_simulations(
            density, source, form.possible_rows, usable.u, for_bias
        )
        if bias is not None:
            checks.append(bias.check())
            most_trials = bias.most_trials()
    report = _with_checks(report, checks)
    return NeuralLikelihood(density, prior, support, form, report, most_trials)


def _source(prior, simulator, pairs, vectorized, num_processes):
    """Returns a `PriorSimulator` of trials, or `GivenPairs`."""
    is_one = (simulator is None) != (pairs is None)
    require(is_one, "one of `simulator` and `pairs`", "both" if simulator else "neither")
    if simulator is not None:
        return PriorSimulator(
            prior,
            simulator,
            vectorized=vectorized,
            num_processes=num_processes,
            form_of=form_of_trials,
            argument="prior",
        )
    check_instance("pairs", pairs, tuple, "a tuple of parameters and data")
    require(len(pairs) == 2, "`pairs` of two, parameters and data", len(pairs))
    theta, x = pairs
    support = JointSupport.from_distribution(prior, "prior")
    return GivenPairs(theta, x, support, form_of_trials(x))


def _with_checks(report, more):
    """Returns a report with more checks, about the simulations."""
    checks, reasons = (*report.checks, *more), (*report.reasons, *reasons_of(more))
    verdict = "not to be relied on" if reasons_of(more) else report.verdict
    return dataclasses.replace(report, checks=checks, verdict=verdict, reasons=reasons)
