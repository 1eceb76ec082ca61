"""The fit of an amortised posterior: simulations -> conditional density -> checks."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any

from tfp_flows.core.arguments import check_integer, check_number, check_seed, require
from tfp_flows.density.fit import fit_density
from tfp_flows.inference.amortized.calibration import judge_calibration
from tfp_flows.inference.amortized.observation import Surroundings
from tfp_flows.inference.amortized.posterior import AmortizedPosterior
from tfp_flows.inference.amortized.simulator import (
    DataForm,
    finite_pairs,
    from_pairs,
    simulator_of,
)
from tfp_flows.networks.layer_arguments import split_seed

_LEAST_SIMULATIONS = 100
_CHECKED_SHARE, _MOST_CHECKED = 0.1, 1_000


def fit_amortized_posterior(
    model: Any,
    *,
    observed: str | Sequence[str] | None = None,
    simulator: Callable | None = None,
    vectorized: bool = True,
    support: Any = None,
    num_simulations: int = 10_000,
    max_minutes: float | None = None,
    seed: int | None = 0,
    verbose: int | str = "auto",
) -> AmortizedPosterior:
    """Simulates once, and fits the posterior of any observation (neural posterior estimation).

    ```none
    theta ~ prior,  x ~ model given theta                     num_simulations times
    q(u | x) by maximum likelihood, u = support^-1(theta)     fit_density(u, context=x)
    ```

    The model has one of three forms:

    ```python
    tfp_flows.fit_amortized_posterior(joint, observed="y")  # a joint distribution of TFP
    tfp_flows.fit_amortized_posterior(prior, simulator=f)  # x = f(theta), N at once
    tfp_flows.fit_amortized_posterior((theta, x))  # simulated elsewhere
    ```

    A tenth of the simulations, at most 1,000, is kept from training and judges the fit as a
    whole: `print(amortized.report)`. `print(amortized(x).report)` judges the posterior of
    one observation. For a joint distribution, whose density is known, this is by
    importance weights, which `resample` uses.

    >>> from tensorflow_probability import distributions as tfd
    >>> import tfp_flows
    >>> model = tfd.JointDistributionNamedAutoBatched(
    ...     {"mean": tfd.Normal(0.0, 1.0), "y": lambda mean: tfd.Normal([mean, mean], 0.5)}
    ... )
    >>> amortized = tfp_flows.inference.fit_amortized_posterior(
    ...     model, observed="y", num_simulations=400, max_minutes=0.3
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
      simulator: function from the parts of N parameters to N data, with a prior. It gets
        the parts as NumPy arrays: those of a dictionary as keywords, those of a list one by
        one.
      vectorized: whether `simulator` takes N parameters at once; if not, it is called with
        one after another.
      support: bijectors from all reals to the support of each part, with pairs; None leaves
        a part unconstrained.
      num_simulations: number of simulations, with a model or a prior.
      max_minutes: wall time for training, without the simulations; no bound if None.
      seed: integer that determines simulations and fit; random if None.
      verbose: as in `fit_density`.

    Returns:
      An `AmortizedPosterior`.

    Raises:
      ValueError: if the model has none of these forms; fewer than 100 simulations are
        finite; or data have other shapes than those simulated first.

    Reference:
      Papamakarios, Murray (2016), Fast epsilon-free inference of simulation models with
      Bayesian conditional density estimation. https://arxiv.org/abs/1605.06376
      Greenberg, Nonnenmacher, Macke (2019), Automatic posterior transformation for
      likelihood-free inference. https://arxiv.org/abs/1905.07488
    """
    start = time.monotonic()
    check_seed("seed", seed)
    check_integer("num_simulations", num_simulations)
    if max_minutes is not None:
        check_number("max_minutes", max_minutes, "above 0", lambda m: m > 0.0)
    for_draws, for_split, for_fit, for_checks = split_seed(seed, 4)
    source = None
    if isinstance(model, tuple) and len(model) == 2:
        require(simulator is None and observed is None, "pairs alone", "a simulator too")
        theta, x = model
        space, form = from_pairs(theta, support), DataForm.from_batch(x)
        rows = form.to_rows(x)
        u = space.bijector.inverse(theta).numpy()
        words = f"pairs of {len(u)} parameters and as many data"
        require(len(rows) == len(u), words, f"{len(rows)} data")
        pairs, num_dropped = finite_pairs(u, rows)
    else:
        require(support is None, "no `support` with a model, which has its own", support)
        source = simulator_of(model, observed, simulator, vectorized)
        space, form = source.support, source.form
        pairs, num_dropped = source.pairs(num_simulations, for_draws)
    words = f"{_LEAST_SIMULATIONS} finite simulations, at least"
    require(len(pairs.u) >= _LEAST_SIMULATIONS, words, len(pairs.u))
    count = min(_MOST_CHECKED, round(_CHECKED_SHARE * len(pairs.u)))
    train, checked = pairs.split(count, for_split)
    density = fit_density(
        train.u, train.x, seed=for_fit, max_minutes=max_minutes, verbose=verbose
    )
    report = judge_calibration(density, train, checked, num_dropped, for_checks)
    return AmortizedPosterior(
        density,
        space,
        form,
        report=dataclasses.replace(report, seconds=time.monotonic() - start),
        surroundings=Surroundings(train.x, checked.x),
        simulator=source,
    )
