"""The fit of a density to rows of numbers: rules -> components -> weights -> report."""

from __future__ import annotations

import dataclasses
import time
import typing

import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow.types.experimental import TensorLike

from tfp_flows.core.arguments import check_instance, check_minutes, check_seed, require
from tfp_flows.core.rows import random_split
from tfp_flows.core.statistics import check_resolution
from tfp_flows.density.baselines import fit_gaussian
from tfp_flows.density.data import Data, checked_data, columns_of
from tfp_flows.density.fitted import FittedDensity
from tfp_flows.density.regressions import fit_regressions
from tfp_flows.density.report import judge
from tfp_flows.density.rules import MOST_HELD_OUT, FlowRule, held_out_share, rules_for
from tfp_flows.distributions.bases import standard_normal
from tfp_flows.distributions.distribution_checks import check_event_size
from tfp_flows.distributions.flow_distribution import FlowDistribution
from tfp_flows.distributions.mixture import Mixture
from tfp_flows.distributions.reordered import Reordered
from tfp_flows.networks.layer_arguments import split_seed
from tfp_flows.tables.describe_columns import describe_numbers
from tfp_flows.tables.table_density import TableDensity
from tfp_flows.training.callbacks import progress
from tfp_flows.training.density_estimator import DensityEstimator
from tfp_flows.training.row_batches import epoch_orders, row_batches

_ROWS_A_CALL = 4096  # validation rows that are scored at once, to bound the memory
_VALIDATION_SHARE = 0.1
# Share of the time for the conditional splines; flows take longer.
_SHARE_OF_SPLINES = 0.3


def fit_density(
    rows: TensorLike,
    context: TensorLike | None = None,
    *,
    sample_weight: TensorLike | None = None,
    flow: tfp.bijectors.Bijector | None = None,
    seed: int | None = 0,
    max_minutes: float | None = None,
    max_steps: int | None = None,
    verbose: int | str = "auto",
) -> FittedDensity:
    """Fits a density to rows of numbers, `p(y)` or `p(y | context)`, and reports on it.

    ```none
    p(y) = sum over k of w_k product over j of (mean over networks of
                                                p(y_j | y before j in the k-th order))
         + (1 - sum over k of w_k) flow(y)
    ```

    The first components are products of conditional spline densities in up to four orders
    of the variables, each the mean of several networks; the last is a `NeuralSplineFlow`.
    Tables of fewer than 500 rows have no flow, tables of 5,000 rows and more the flow
    alone (20,000 rows of one variable). With 15 columns or more, and fewer than six
    rows a column, a Gaussian is a further component; with a context, a mixture of linear
    regressions is one, and with several variables and 500 rows or more, two `MAF`s.
    `rules_for` chooses sizes and training from the number of rows and columns. Training
    averages the flow's weights, with a learning rate that falls to a hundredth, and
    keeps the best weights. The weights of the components make held-out rows most
    probable.

    No training sees the held-out rows: a fifth of a small table, and a tenth of a larger
    one, but at most 20,000. The report scores them. Small tables are then fitted again to
    all rows: the components in use, whose orders share the networks by their weights.

    >>> import numpy as np
    >>> import tfp_flows
    >>> x = np.random.default_rng(0).normal(size=(300, 2)) ** 2 * [1.0, 1000.0]
    >>> density = tfp_flows.fit_density(x, max_minutes=0.2)
    >>> density.log_prob(x).shape, density.sample(5, seed=1).shape
    (TensorShape([300]), TensorShape([5, 2]))
    >>> density.report.gain > 0.5  # nats a row above a Gaussian, of held-out rows
    True

    Args:
      rows: `[N, D]`, of any numeric dtype and in any units: an array, nested lists, or a
        data frame of numbers. The density of data frames refuses frames with other columns,
        or in another order.
      context: `[N, C]`; None for a density without a context.
      sample_weight: `[N]`: a row of weight 2 counts as two, one of weight 0 as none. Rules
        go by Kish's effective number of rows, and the report by held-out rows drawn by
        their weights. None if all rows count alike.
      flow: a bijector to fit in place of these components: a flow of `event_size` D and
        `context_size` C. It is trained where it is, and never on the held-out rows.
      seed: integer that determines initial weights, held-out rows, and the order of rows;
        random if None.
      max_minutes: wall time for all training, within which learning rates fall; no bound
        if None. Compilation, which takes some seconds for each component, and the report
        come on top of a short time.
      max_steps: training steps of a flow at most, over the second half of which its
        learning rate falls; 60 times the square root of N if None. More steps take longer,
        and explain some large tables of many dependences better.
      verbose: "auto" writes a line of progress to the standard error if a fit takes more
        than some seconds; 0 for silence.

    Returns:
      A `FittedDensity`: a `Mixture` with `report`.

    Raises:
      ValueError: if there are fewer than 20 rows, with weights effective rows; they are no
        numbers, not finite, or have a constant column; weights are negative, not finite, or
        all 0; or `flow` has another size.
    """
    data = checked_data(rows, context, sample_weight)
    check_seed("seed", seed)
    check_minutes("max_minutes", max_minutes)
    if flow is not None:
        _check_flow(flow, data)
    share = held_out_share(data.num_rows)
    for_split, *_ = split_seed(seed, 4)  # `fit_and_judge` takes the others
    train, held_out = random_split(data, share, for_split)
    fit = fit_and_judge(
        train,
        held_out,
        data,
        flow=flow,
        seed=seed,
        max_minutes=max_minutes,
        max_steps=max_steps,
        verbose=verbose,
        columns=columns_of(rows, context),
    )
    return fit.density


class Fit(typing.NamedTuple):
    """A fitted density, and the mixture and rows by which it was judged.

    Attributes:
      density: the `FittedDensity`.
      judged: the `Mixture` that was fitted to `train`. It has the components of `density`,
        unless `density` was fitted again to all rows.
      train: `Data` of the training rows of `judged`.
      held_out: `Data` of the rows that judged it.
    """

    density: FittedDensity
    judged: Mixture
    train: Data
    held_out: Data


def fit_and_judge(
    train: Data,
    held_out: Data,
    all_rows: Data,
    *,
    seed: int | None,
    max_minutes: float | None,
    verbose: int | str,
    max_steps: int | None = None,
    flow: tfp.bijectors.Bijector | None = None,
    columns: list[dict[str, str]] | None = None,
    light_tails: bool = False,
    is_trial: bool = False,
) -> Fit:
    """Returns the `Fit` of a density to `train`, which `held_out` judges.

    A small table is fitted again to `all_rows`. `columns`: see `FittedDensity`;
    `light_tails`: see `rules_for`. `is_trial`: see `Rules.for_trial`. Other arguments: see
    `fit_density`.
    """
    start = time.monotonic()
    sizes = all_rows.num_rows, all_rows.x.shape[1], all_rows.context_size
    rules = rules_for(*sizes, max_steps, light_tails=light_tails)
    if flow is not None:
        rules = rules.with_flow(flow.name)
    if is_trial:
        rules = rules.for_trial()
    _, first, second, scoring = split_seed(seed, 4)
    # Half of the time is for the second fit, if there is one.
    minutes = None if max_minutes is None else max_minutes / (1 + rules.refits)

    components = _fit_components(train, rules, flow, first, minutes, verbose)
    report, judged, weights = judge(components, train, held_out, all_rows, rules, scoring)
    components = judged.components
    if rules.refits:
        rules = rules.for_all_rows(weights)
        components = _fit_components(all_rows, rules, flow, second, minutes, verbose)
    density = FittedDensity(
        components,
        weights[weights > 0.0],
        report=dataclasses.replace(report, seconds=time.monotonic() - start),
        columns=columns,
    )
    return Fit(density, judged, train, held_out)


def _check_flow(flow, data):
    check_instance("flow", flow, tfp.bijectors.Bijector, "a bijector")
    size, width = getattr(flow, "context_size", 0), data.context_size
    require(size == width, f"`flow` with `context_size` {width}, as the context", size)
    check_event_size(flow, data.x.shape[1], "rows of {} numbers")


def _fit_components(data, rules, flow, seed, max_minutes, verbose):
    """Returns the components of the mixture, fitted to `Data`."""
    for_splines, for_flows = _minutes_for_each(rules, max_minutes)
    seeds = iter(split_seed(seed, len(rules.splines) + len(rules.flows) + 1))
    components = [
        _fit_splines(data, rule, next(seeds), for_splines, verbose)
        for rule in rules.splines
    ]
    for rule in rules.flows.values():
        for_flow = next(seeds)
        made = new_flow(rule, data, for_flow) if flow is None else flow
        components.append(_fit_flow(made, data, rule, for_flow, for_flows, verbose))
    if rules.has_gaussian:
        dtype, for_regressions = least_dtype(data), next(seeds)
        if data.context is None:
            components.append(fit_gaussian(data, dtype))
        else:
            components.append(fit_regressions(data, dtype, for_regressions))
    return components


def _minutes_for_each(rules, max_minutes):
    """Returns the minutes for each order of splines and for each flow; None: no bound."""
    if max_minutes is None:
        return None, None
    share = _SHARE_OF_SPLINES if rules.flows else 1.0
    share = share if rules.splines else 0.0
    return (
        share * max_minutes / max(len(rules.splines), 1),
        (1.0 - share) * max_minutes / max(len(rules.flows), 1),
    )


def _fit_splines(data, rule, seed, max_minutes, verbose):
    """Returns the conditional splines of an order, a distribution of rows in float64."""
    frame = {f"x{j}": data.x[:, j] for j in rule.order}
    given = () if data.context is None else data.context.T
    context = {f"c{j}": column for j, column in enumerate(given)}
    table = TableDensity(
        describe_numbers(frame | context), context=list(context), seed=seed, **rule.options
    )
    weight = {"sample_weight": data.weight}
    table.fit(frame | context, max_minutes=max_minutes, verbose=verbose, **weight)
    is_given = rule.order == tuple(range(len(rule.order)))
    return table.distribution if is_given else Reordered(table.distribution, rule.order)


def new_flow(rule: FlowRule, data: Data, seed: int | None) -> tfp.bijectors.Bijector:
    """Returns the flow of a rule for these rows, with initial weights by the seed."""
    return rule.constructor(
        data.x.shape[1],
        context_size=data.context_size,
        seed=seed,
        dtype=least_dtype(data),
        **rule.options,
    )


def least_dtype(data: Data) -> str:
    """Returns float32, or float64 if float32 cannot tell the rows apart.

    It must also tell apart what a linear regression on the context leaves of them.
    """
    given = [] if data.context is None else [data.context, data.residuals()]
    try:
        for part in (data.x, *given):
            check_resolution(part, tf.float32, "rows")
    except ValueError:
        return "float64"
    return "float32"


def _fit_flow(flow, data, rule, seed, max_minutes, verbose):
    """Returns the distribution of a flow, fitted to `Data`."""
    base = standard_normal(data.x.shape[1], dtype=flow.dtype or tf.float32)
    distribution = FlowDistribution(base, flow)
    for_split, for_orders = split_seed(seed, 2)
    share = min(_VALIDATION_SHARE, MOST_HELD_OUT / len(data.x))
    train, validation = random_split(data, share, for_split)
    model = DensityEstimator(distribution)
    # XLA takes longer to compile autoregressive splines than it saves.
    model.compile(rule.optimizer(), jit_compile=False)
    model.initialize(train.inputs, sample_weight=train.weight)
    batch_size = min(rule.batch_size, len(train.x))
    num_epochs = -(-rule.max_steps // rule.steps_per_epoch)
    num_rows = num_epochs * rule.steps_per_epoch * batch_size
    num_passes = -(-num_rows // len(train.x)) + 1
    orders = epoch_orders(len(train.x), for_orders, 0, num_passes)
    callbacks = rule.callbacks(None if max_minutes is None else 60.0 * max_minutes)
    shown, verbose = progress(verbose, num_epochs)
    at_start = model.evaluate(
        validation.inputs,
        sample_weight=validation.weight,
        batch_size=_ROWS_A_CALL,
        verbose=0,
    )
    weights_at_start = model.get_weights()
    history = model.fit(
        row_batches(train.batch, orders, batch_size),
        steps_per_epoch=rule.steps_per_epoch,
        epochs=num_epochs,
        validation_data=validation.batch,
        validation_batch_size=_ROWS_A_CALL,
        callbacks=callbacks + shown,
        verbose=verbose,
    )
    # With few rows and many columns, the start may explain more than any trained weights.
    if not min(history.history["val_loss"]) < at_start:
        model.set_weights(weights_at_start)
    return distribution
