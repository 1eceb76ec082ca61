"""The fit of an amortised posterior: simulations -> conditional density -> checks."""

from __future__ import annotations

import dataclasses
import functools
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from tfp_flows.core.arguments import (
    check_flag,
    check_integer,
    check_members,
    check_minutes,
    check_seed,
    require,
)
from tfp_flows.core.rows import random_split
from tfp_flows.inference.amortized.calibration import Judge
from tfp_flows.inference.amortized.data_form import DataForm
from tfp_flows.inference.amortized.features import check_summary, fit_features
from tfp_flows.inference.amortized.interval_ends import with_fitted_ends
from tfp_flows.inference.amortized.learned_likelihood import LearnedLikelihood
from tfp_flows.inference.amortized.normal_tails import with_normal_tails
from tfp_flows.inference.amortized.observation_checks import Extent, Surroundings
from tfp_flows.inference.amortized.pairs import (
    LEAST_SIMULATIONS,
    GivenPairs,
    Pairs,
    support_of_pairs,
)
from tfp_flows.inference.amortized.posterior import AmortizedPosterior
from tfp_flows.inference.amortized.simulator import JointSimulator, PriorSimulator
from tfp_flows.inference.amortized.truncation import TruncatedPrior
from tfp_flows.networks.layer_arguments import split_seed

_SHARE_OF_SUMMARY = 0.3  # share of the time for a summary network
# Simulations that judge weights by a learned likelihood: in a trial, and at first.
_IN_TRIAL, _AT_FIRST = 100, 300
_NUM_ROUNDS = 4  # number of rounds with an observation in focus


def fit_amortized_posterior(
    model: Any,
    *,
    observed: str | Sequence[str] | None = None,
    simulator: Callable | None = None,
    vectorized: bool = True,
    num_processes: int = 1,
    support: Any = None,
    summary: str | keras.layers.Layer | None = None,
    missing: bool = False,
    focus: Any = None,
    num_rounds: int | None = None,
    learn_likelihood: bool | None = None,
    num_simulations: int = 10_000,
    max_minutes: float | None = None,
    backup: str | os.PathLike | None = None,
    seed: int | None = 0,
    verbose: int | str = "auto",
) -> AmortizedPosterior:
    """Simulates once, and fits the posterior of any observation.

    This is neural posterior estimation:

    ```none
    theta ~ prior,  x ~ model given theta                   num_simulations times
    q(u | x) by maximum likelihood, u = support^-1(theta)   fit_density(u, features(x))
    ```

    Heavy tails of the prior, such as those of the logarithm of a scale, are normal in the
    coordinates u, and flows have light tails, since posteriors do: otherwise a few draws
    far out would carry the standard deviations of positive parameters.

    The model has one of three forms:

    ```python
    tfp_flows.fit_amortized_posterior(joint, observed="y")  # a joint distribution of TFP
    tfp_flows.fit_amortized_posterior(prior, simulator=f)  # x = f(theta), N at once
    tfp_flows.fit_amortized_posterior((theta, x))  # simulated elsewhere
    ```

    A tenth of the simulations (a fifth below 2,000) is kept from training and judges the
    fit as a whole: `print(amortized.report)`. Few simulations are then all fitted again.
    `print(amortized(x).report)` judges the posterior of one observation. For a joint
    distribution, whose density is known, this is by importance weights, which `resample`
    uses; with a `simulator` of N draws at once, by 1,000 simulations with its draws, too.

    >>> import tensorflow as tf
    >>> from tensorflow_probability import distributions as tfd
    >>> import tfp_flows
    >>> model = tfd.JointDistributionNamedAutoBatched(
    ...     {"mean": tfd.Normal(0.0, 1.0), "y": lambda mean: tfd.Normal([mean, mean], 0.5)}
    ... )
    >>> amortized = tfp_flows.inference.fit_amortized_posterior(
    ...     model, observed="y", num_simulations=200, max_minutes=0.03
    ... )
    >>> posterior = amortized([0.4, 0.6])
    >>> posterior.sample(5, seed=1)["mean"].shape
    TensorShape([5])
    >>> amortized(0.1 * tf.ones([3, 2])).sample(5, seed=1)["mean"].shape
    TensorShape([5, 3])

    Args:
      model: a joint distribution; a prior, which is any `tfd.Distribution` of continuous
        parts; or a pair of parameters, `[N, D]` or a structure of arrays `[N, *event]`, and
        data, `[N, *shape]` or a dictionary of such arrays.
      observed: names of the observed parts of a joint distribution.
      simulator: function from the parts of N parameters to N data, with a prior: an array
        of numbers, `[N, *shape]`, or a dictionary of such arrays. It gets the parts as
        NumPy arrays: those of a dictionary as keywords, those of a list one by one; and an
        integer `seed`, if it has an argument of that name.
      vectorized: whether `simulator` takes N parameters at once; if not, it is called with
        one after another, and a bar shows the progress.
      num_processes: number of processes that call a `simulator` of one draw at a time, by
        joblib. The simulations are the same for any number.
      support: bijectors from all reals to the support of each part, with pairs; None leaves
        a part unconstrained.
      summary: what the density sees of data of one array: a summary of a "set" of
        exchangeable rows, `[R]` or `[R, C]`, of a "series", `[T]` or `[T, C]`, or of an
        "image", `[H, W]` or `[H, W, C]`; or the output of a Keras layer from `[N, *shape]`
        to `[N, S]`. Networks summarise; of a set of numbers, quantiles, mean and standard
        deviation do. None takes the numbers themselves, which suits up to some dozens; of a
        joint distribution, those whose order its density does not see are taken as sets.
      missing: whether NaN in data is a missing cell. If not, simulations with NaN are left
        out. Sets with fewer rows are filled up with rows of NaN. A Keras layer then sees
        the last axis twice: numbers, with 0 for missing ones, and whether each is known.
      focus: the observation whose posterior is wanted, if there is one. Simulations then
        come in rounds. After each, the prior is truncated to where the posterior of this
        observation has mass, and the next round simulates there. The result is for this
        observation, and for others whose posterior lies in the region. For any other
        observation, the report says "not reliable".
      num_rounds: number of rounds with `focus`; 4 if None.
      learn_likelihood: whether to learn the density of the data given parameters, too, in
        about the same time. Draws are then weighed by it, as by a known density, if this
        is nearer to the truth of the simulations that are kept from training:
        `amortized.report.weights`. It pays where data given parameters are simpler than
        parameters given data, as with several modes. None learns it with a `simulator` if
        a short trial gains something, and there is no `max_minutes`.
      num_simulations: number of simulations, with a model or a prior, of all rounds.
      max_minutes: wall time for training, without the simulations; no bound if None. Each
        round has an equal share.
      backup: path of a `.npz` file that keeps the simulations. If it exists, an interrupted
        call goes on from it, and a call for more simulations adds to it. A `simulator` then
        has to repeat its data, by an argument `seed`. With `focus`, a further file for each
        further round is beside it.
      seed: integer that determines simulations and fit; random if None.
      verbose: as in `fit_density`.

    Returns:
      An `AmortizedPosterior`.

    Raises:
      ValueError: if the model has none of these forms; fewer than 100 simulations are
        finite; data have other shapes than those simulated first; `focus` comes with pairs,
        which cannot be simulated; `backup` with a simulator that does not repeat its data;
        or `learn_likelihood` with pairs, whose prior has no known density, with a joint
        distribution, whose density is known, or with `missing`.

    Reference:
      Papamakarios, Murray (2016), Fast epsilon-free inference of simulation models with
      Bayesian conditional density estimation. https://arxiv.org/abs/1605.06376
      Greenberg, Nonnenmacher, Macke (2019), Automatic posterior transformation for
      likelihood-free inference. https://arxiv.org/abs/1905.07488
      Deistler, Gonçalves, Macke (2022), Truncated proposals for scalable and hassle-free
      simulation-based inference. https://arxiv.org/abs/2210.04815
    """
    start = time.monotonic()
    check_seed("seed", seed)
    check_integer("num_simulations", num_simulations)
    check_flag("missing", missing)
    if learn_likelihood is not None:
        check_flag("learn_likelihood", learn_likelihood)
    check_minutes("max_minutes", max_minutes)
    words = "a `simulator` with `num_processes` above 1"
    require(num_processes == 1 or simulator is not None, words, "none")
    words = "a `simulator` with vectorized=False"
    require(vectorized is True or simulator is not None, words, "none")
    if learn_likelihood:
        words = "a prior and a `simulator` with `learn_likelihood`"
        require(simulator is not None, words, "no `simulator`")
        require(not missing, "`learn_likelihood` or `missing`", "both")
    num_rounds = _checked_rounds(focus, num_rounds, max_minutes, backup)
    each, rest = divmod(num_simulations, num_rounds)
    counts = [each] * (num_rounds - 1) + [each + rest]
    form_of = functools.partial(DataForm.from_batch, is_missing_allowed=missing)
    if isinstance(model, tuple) and len(model) == 2:
        require(simulator is None and observed is None, "pairs alone", "a simulator too")
        require(backup is None, "no `backup` with pairs", backup)
        words = "no `focus` with pairs, since its rounds simulate"
        require(focus is None, words, "one", " Give a prior and a simulator.")
        theta, x = model
        hint = " Give a function as `simulator=`, beside the prior."
        require(not callable(x), "pairs of arrays", "a function", hint)
        source: Any = GivenPairs(theta, x, support_of_pairs(theta, support), form_of(x))
    else:
        require(support is None, "no `support` with a model, which has its own", support)
        options = {"vectorized": vectorized, "num_processes": num_processes}
        source = _simulator(model, observed, simulator, form_of=form_of, **options)
    check_summary(summary, source.form)  # before the simulations
    if focus is not None:
        focus = _row_in_focus(focus, source.form, counts)
        source.parameters(1, 0)  # raises errors before the first round
    if learn_likelihood is None and (
        simulator is None or missing or max_minutes or not source.has_log_prior
    ):
        learn_likelihood = False
    training = _Training(summary, missing, learn_likelihood, max_minutes, verbose)
    amortized = _fit_rounds(source, focus, counts, backup, training, seed)
    seconds = time.monotonic() - start
    amortized.report = dataclasses.replace(amortized.report, seconds=seconds)
    return amortized


def _checked_rounds(focus, num_rounds, max_minutes, backup):
    """Returns the number of rounds, after checks of the arguments that go with `focus`."""
    if focus is None:
        require(num_rounds is None, "`num_rounds` with `focus`", num_rounds)
        return 1
    words = "no `max_minutes` with `backup` and `focus`"
    hint = " A clock ends training elsewhere each time, and simulations change."
    require(backup is None or max_minutes is None, words, max_minutes, hint)
    return check_integer("num_rounds", _NUM_ROUNDS if num_rounds is None else num_rounds)


def _simulator(model, observed, simulator, **options):
    """Returns the `Simulator` of a joint distribution, or of a prior and a function."""
    words = "a joint distribution with `observed`, a prior with `simulator`, or pairs"
    check_members("model", model, ("sample", "log_prob", "event_shape"), words)
    if simulator is None:
        words = "`observed`, names of observed parts"
        require(observed is not None, words, None, " A prior needs `simulator`.")
        return JointSimulator(model, observed)
    require(observed is None, "`observed` or `simulator`", "both")
    return PriorSimulator(model, simulator, **options)


@dataclasses.dataclass(frozen=True)
class _Training:
    """How the posterior of a round is fitted; see `fit_amortized_posterior`."""

    summary: str | keras.layers.Layer | None
    missing: bool
    learn_likelihood: bool | None  # None: if a trial gains something
    max_minutes: float | None
    verbose: int | str

    @property
    def minutes(self) -> tuple[float | None, float | None]:
        """Wall time for a summary network, and for each density: of parameters and data."""
        if self.max_minutes is None:
            return None, None
        share = 0.0 if self.summary is None else _SHARE_OF_SUMMARY
        for_densities = (1.0 - share) * self.max_minutes
        return share * self.max_minutes, for_densities / (1 + bool(self.learn_likelihood))

    @property
    def options(self) -> dict[str, Any]:
        """The options of the fit of each density."""
        _, for_density = self.minutes
        return {"max_minutes": for_density, "verbose": self.verbose}


def _fit_rounds(source, focus, counts, backup, training, seed):
    """Returns the `AmortizedPosterior` of the last round; the first has the whole prior.

    `counts` are the numbers of simulations of the rounds, which share the time.
    """
    amortized = prior = None
    pairs = []
    if training.max_minutes is not None:
        share = training.max_minutes / len(counts)
        training = dataclasses.replace(training, max_minutes=share)
    before_the_last = dataclasses.replace(training, learn_likelihood=False)
    seeds = [seed, *split_seed(seed, len(counts))[1:]]
    for index, (count, round_seed) in enumerate(zip(counts, seeds, strict=True)):
        for_draws, *seeds_of_fit, for_prior = split_seed(round_seed, 5)
        if amortized is not None:
            prior = TruncatedPrior.around(amortized, focus, source, for_prior)
        path, shows_bar = _path_of_round(backup, index), training.verbose != 0
        new = source.pairs(count, for_draws, path, shows_bar=shows_bar, prior=prior)
        if prior is None:
            _, for_fit, _ = seeds_of_fit
            source.support, new = _fitted_support(source.support, new, training, for_fit)
        pairs.append(new)
        # In the region, simulations of all rounds are draws of the truncated prior.
        together = Pairs.joined(pairs)
        if prior is not None:
            together = together.take(prior.contains_rows(together.u))
        how = training if index == len(counts) - 1 else before_the_last
        amortized = _fit_round(together, source, how, prior, *seeds_of_fit)
    return amortized


def _path_of_round(backup, index):
    """Path of the simulations of a round; the first has that of the user."""
    if backup is None or index == 0:
        return backup
    return f"{os.fspath(backup).removesuffix('.npz')}.round{index + 1}.npz"


def _fitted_support(support, pairs, training, seed):
    """Returns the support whose coordinates suit a flow, and the pairs in these."""
    u = pairs.u
    if training.summary is None:  # a regression on data without a summary tells little
        support, u = with_fitted_ends(support, pairs, seed)
    support, u = with_normal_tails(support, u)
    return support, pairs._replace(u=u)


def _fit_round(pairs, source, training, prior, for_summary, for_fit, for_checks):
    """Returns the `AmortizedPosterior` of simulations from one prior."""
    # Here, so that a fit of one posterior does not load the rooms of densities and tables.
    from tfp_flows.density.data import Data
    from tfp_flows.density.fit import fit_and_judge

    train, held_out, usable = _split(pairs.usable(training.missing), for_fit)
    for_network, _ = training.minutes
    exchangeable = None
    if training.summary is None:
        exchangeable = source.exchangeable_summary(usable)
    features = fit_features(
        training.summary,
        source.form,
        train,
        simulations=usable,
        exchangeable=exchangeable,
        seed=for_summary,
        max_minutes=for_network,
        verbose=training.verbose,
    )
    rows = [Data(part.u, features(part.x)) for part in (train, held_out, usable)]
    known, others, _ = (part.context for part in rows)
    fit = fit_and_judge(*rows, light_tails=True, seed=for_fit, **training.options)
    numbers = None
    if features.network is not None:
        numbers = [features.numbers(part.x) for part in (train, held_out)]
    judge = Judge(len(pairs.u) - len(usable.u), prior, numbers)
    report = judge.calibration(fit, for_checks)
    learned = None
    varies = _has_density(features, known)
    if training.learn_likelihood is not False and varies.any():
        swapped = [Data(part.context[:, varies], part.x) for part in rows]
        judge_weights = functools.partial(judge.weights, fit, source.log_prior)
        weights, density = _learn_likelihood(swapped, judge_weights, training, for_checks)
        report = dataclasses.replace(report, weights=weights)
        if weights.is_used:
            learned = LearnedLikelihood(density, varies, source.prior)
    # Simulated with draws of a posterior, to check means, if no density is known.
    can_simulate = isinstance(source, PriorSimulator) and source.has_log_prior
    return AmortizedPosterior(
        fit.density,
        source.support,
        source.form,
        features,
        report=report,
        surroundings=Surroundings.from_simulations(known, others),
        extent=Extent.from_simulations(
            features.with_numbers(known, train.x),
            features.with_numbers(others, held_out.x),
        ),
        prior=prior,
        ranges=usable.ranges(source.support),
        pin=source.pin,
        simulator=source if can_simulate else None,
        likelihood=learned,
    )


def _learn_likelihood(rows, judge, training, seed):
    """Returns the `WeightsReport` of the learned density of data, and this density.

    `judge` returns the former of the `Fit` of the latter.
    """
    from tfp_flows.density.fit import fit_and_judge

    for_fit, for_weights = split_seed(seed, 2)
    # The whole fit follows a trial that gains something.
    for is_trial in (True, False) if training.learn_likelihood is None else (False,):
        fit = fit_and_judge(*rows, seed=for_fit, is_trial=is_trial, **training.options)
        count = _IN_TRIAL if is_trial else _AT_FIRST
        weights = judge(fit, for_weights, count=count, is_trial=is_trial)
        if weights.gain <= 0.0:
            return weights, fit.density
    if not weights.is_clear and len(fit.held_out.x) > _AT_FIRST:
        weights = judge(fit, for_weights)  # by more simulations
    return weights, fit.density


def _split(usable, seed):
    """Returns simulations for training, others that are held out, and all."""
    from tfp_flows.density.data import checked_data
    from tfp_flows.density.rules import held_out_share

    checked_data(usable.u, None, argument="parameters")  # refuses constant ones
    share = held_out_share(len(usable.u))
    for_split, *_ = split_seed(seed, 4)  # `fit_and_judge` takes the others
    return *random_split(usable, share, for_split), usable


def _has_density(features, x):
    """Which features, of `x`, have a density: they vary, and do not follow from others."""
    varies = np.ptp(x, axis=0) > 0.0
    if features.summary is not None:
        is_derived = features.summary.is_derived
        varies[: len(is_derived)] &= ~is_derived  # which numbers are known comes after
    return varies


def _row_in_focus(focus, form, counts):
    """Returns the observation in focus as a row, after checks of it and of the rounds."""
    row = form.to_rows(focus, "focus")
    require(row.ndim == 1, "`focus` of one observation", f"a batch of {row.shape[:-1]}")
    words = f"`num_simulations` of {LEAST_SIMULATIONS} for each of {len(counts)} rounds"
    require(counts[0] >= LEAST_SIMULATIONS, words, sum(counts))
    return row
