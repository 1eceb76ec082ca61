"""The rules by which `fit_density` chooses networks and training, from rows and columns."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from tfp_flows.bijectors.flow_chain import FlowChain
from tfp_flows.bijectors.standardize import Decorrelate
from tfp_flows.core.arguments import check_flag, check_integer, check_size
from tfp_flows.flows.maf import MAF
from tfp_flows.flows.neural_spline_flow import NeuralSplineFlow
from tfp_flows.tables.networks import MOST_WEIGHTS, NetworkSizes, weights_of_member
from tfp_flows.training.averaging import averaging_adam
from tfp_flows.training.callbacks import StopAfter

# From this number of rows on, a flow is the only component: in the same time, it explains
# the rows as well as together with conditional splines. Splines of one variable are fast.
_MANY_ROWS, _MANY_ROWS_OF_ONE = 5_000, 20_000
# Rows below which there is no flow, since it overfits.
_FEW_ROWS = 500
# With fewer rows a column, a Gaussian is a component of wide tables: networks overfit, and
# are up to some nats behind it if it is right.
_FEW_ROWS_A_COLUMN, _MANY_COLUMNS = 6, 15
# Rows below which all rows are fitted again after the held-out ones were scored.
_REFITTED_ROWS = 2_000
# Largest number of held-out rows, and of validation rows: enough for an error of 0.01 nats.
MOST_HELD_OUT = 20_000
# Networks of the conditional splines in each order of the variables: another order may
# explain the rows much better, and a mixture of several is better than each.
_NETWORKS_OF_ORDER = 2
# Least number of rows -> width and dropout of the layers, of neural spline flows and MAFs.
_SPLINE_FLOWS = {0: (64, 0.2), 3_000: (64, 0.1), 20_000: (128, 0.05), 300_000: (256, 0.0)}
_MAFS = {0: (128, 0.2), 3_000: (128, 0.1), 20_000: (256, 0.05)}
# With light tails and at least so many rows, the `MAF` and a second `MAF` of residuals have
# no dropout, whose noise limits how narrow a density can be.
_ROWS_WITHOUT_DROPOUT = 3_000
_ROWS_OF_LARGE_BATCHES = 20_000  # from here on, a training step has 512 rows, not 256
# Bound of splines where tails are light. Beyond it, a draw has the scale of all rows, not
# the one given the context: with a bound of 3, one of 400 draws.
_BOUND_OF_LIGHT_TAILS = 6.0
# Steps of a spline flow of one variable: more are slower, and no better.
_STEPS_OF_ONE = 2
# Bounds of the steps between two looks at the validation rows.
_LEAST_OF_EPOCH, _MOST_OF_EPOCH = 50, 500
# Looks without improvement after which the learning rate falls; after 18, training ends.
_PATIENCE = 6
# Step size of a network of width 64; wider ones have smaller steps, in proportion.
_RATE_AT_WIDTH_64 = 6e-3
# Training steps at most, times the square root of the number of rows: 6,000 for 10,000.
_STEPS_PER_ROOT = 60
_TRIAL_FACTOR = 8  # a trial has so many times fewer steps


@dataclasses.dataclass(frozen=True)
class SplineRule:
    """Conditional splines of the variables in one order.

    Attributes:
      order: the variables in the order in which each is given those before it.
      options: of `TableDensity(columns, **options)`.

    >>> from tfp_flows.density import rules_for
    >>> rule = rules_for(100, 3).splines[1]
    >>> rule.order, rule.options["num_members"]
    ((2, 1, 0), 2)
    """

    order: tuple[int, ...]
    options: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class FlowRule:
    """How `fit_density` makes and trains a flow.

    Attributes:
      constructor: constructor of the flow, `constructor(event_size, **options)`.
      options: its options.
      batch_size: rows of a training step.
      steps_per_epoch: training steps between two looks at the validation rows.
      learning_rate: Adam's step size, which falls over the second half of `max_steps`.
      max_steps: training steps after which training ends.

    >>> import numpy as np
    >>> import tfp_flows
    >>> rule = tfp_flows.density.rules_for(10_000, 2).given_flow
    >>> rule.batch_size
    256
    >>> flow = tfp_flows.NeuralSplineFlow(2, **rule.options, seed=0)
    >>> dist = tfp_flows.FlowDistribution(tfp_flows.standard_normal(2), flow)
    >>> model = tfp_flows.DensityEstimator(dist)
    >>> model.compile(rule.optimizer(), jit_compile=False)
    >>> x = np.random.default_rng(0).normal(size=(40, 2))
    >>> history = model.fit(x, validation_split=0.5, callbacks=rule.callbacks(), verbose=0)
    >>> len(history.history["val_loss"])
    1
    """

    constructor: Callable
    options: dict[str, Any]
    batch_size: int
    steps_per_epoch: int
    learning_rate: float
    max_steps: int

    def optimizer(self) -> keras.optimizers.Optimizer:
        """Returns Adam, whose averaged weights are about those of the last epoch."""
        rate, steps = self.learning_rate, self.steps_per_epoch
        return averaging_adam(rate, steps, global_clipnorm=5.0)

    def callbacks(self, seconds: float | None = None) -> list[keras.callbacks.Callback]:
        """Returns callbacks of `fit` that average, lower the rate, stop and restore.

        The learning rate falls linearly over the second half of `max_steps`, or of the
        time, and to a quarter after six looks at the validation rows without improvement.
        Training ends after 18.

        Args:
          seconds: wall time after which training ends; no bound if None.
        """
        return [
            keras.callbacks.SwapEMAWeights(swap_on_epoch=True),
            keras.callbacks.ReduceLROnPlateau(
                "val_loss", factor=0.25, patience=_PATIENCE, min_delta=1e-4
            ),
            keras.callbacks.EarlyStopping(
                "val_loss", patience=3 * _PATIENCE, restore_best_weights=True
            ),
            StopAfter(seconds, self.max_steps),
        ]


@dataclasses.dataclass(frozen=True)
class Rules:
    """What `fit_density` does with a table, and why.

    Attributes:
      splines: the `SplineRule` of each order of the variables; empty if there are none.
      flows: the `FlowRule` of each flow, by name.
      given_flow: the `FlowRule` that trains a flow which the user gives.
      has_gaussian: whether a Gaussian is a component, with a context a mixture of linear
        regressions on it.
      held_out: share of the rows that no training sees, for the report.
      refits: whether the final fit is to all rows, after the report.
      reasons: sentences for the report.

    >>> from tfp_flows.density import rules_for
    >>> rule = rules_for(1_000, 6).flows["neural spline flow"]
    >>> rule.constructor.__name__, rule.options["hidden_units"]
    ('NeuralSplineFlow', (64, 64, 64))
    """

    splines: tuple[SplineRule, ...]
    flows: dict[str, FlowRule]
    given_flow: FlowRule
    has_gaussian: bool
    held_out: float
    refits: bool
    reasons: tuple[str, ...]

    def with_flow(self, name: str) -> Rules:
        """Returns the rules for one given flow in place of all components."""
        return dataclasses.replace(
            self,
            splines=(),
            flows={name: self.given_flow},
            has_gaussian=False,
            refits=False,
            reasons=(f"the given flow `{name}`",),
        )

    def for_trial(self) -> Rules:
        """Returns the rules of a short fit, which tells whether a long one may pay.

        The `MAF` alone, or the spline flow if there is none, has an eighth of the steps.
        """
        name = "MAF" if "MAF" in self.flows else "neural spline flow"
        rule = self.flows.get(name, self.given_flow)
        steps = max(rule.max_steps // _TRIAL_FACTOR, 1)
        return dataclasses.replace(
            self,
            splines=(),
            flows={name: dataclasses.replace(rule, max_steps=steps)},
            refits=False,
            reasons=(f"a trial of {steps:,} steps of a {name}",),
        )

    def for_all_rows(self, weights: npt.ArrayLike) -> Rules:
        """Returns the rules of the fit to all rows, by the weights of the first fit.

        Components of weight 0 are left out. The orders of the conditional splines share
        their networks by weight, each at least one.

        Args:
          weights: of the splines' orders, the flows and the Gaussian, in this order.
        """
        for_splines, rest = np.split(np.asarray(weights), [len(self.splines)])
        networks = sum(rule.options["num_members"] for rule in self.splines)
        splines = [
            _with_networks(rule, round(networks * weight / for_splines.sum()))
            for rule, weight in zip(self.splines, for_splines, strict=True)
            if weight
        ]
        return dataclasses.replace(
            self,
            splines=tuple(splines),
            flows=dict(itertools.compress(self.flows.items(), rest)),
            has_gaussian=self.has_gaussian and bool(rest[-1]),
        )


def rules_for(
    num_rows: int,
    event_size: int,
    context_size: int = 0,
    max_steps: int | None = None,
    *,
    light_tails: bool = False,
) -> Rules:
    """Returns the rules for a table.

    The numbers were chosen on tables of R's packages and on simulated rows, and confirmed
    on others (docs/results.md, docs/tried_and_dropped.md).

    >>> from tfp_flows.density import rules_for
    >>> rules_for(100_000, 6).splines
    ()
    >>> [rule.order for rule in rules_for(1_000, 3).splines]
    [(0, 1, 2), (2, 1, 0), (2, 0, 1), (1, 2, 0)]

    Args:
      num_rows: N, of all rows.
      event_size: number of variables, D.
      context_size: width of the context.
      max_steps: as in `fit_density`.
      light_tails: whether flows have a normal base, and splines that reach it, since the
        variables given the context have light tails, such as parameters given data.
    """
    check_size("num_rows", num_rows)
    check_flag("light_tails", light_tails)
    check_size("event_size", event_size)
    check_size("context_size", context_size, 0)
    if max_steps is None:
        max_steps = round(_STEPS_PER_ROOT * math.sqrt(num_rows))
    check_integer("max_steps", max_steps, 1)
    splines = _splines(num_rows, event_size, context_size)
    is_wide = event_size >= _MANY_COLUMNS and num_rows < _FEW_ROWS_A_COLUMN * event_size
    spline_flow = _spline_flow(num_rows, event_size, max_steps, light_tails)
    flows = {}
    if num_rows >= _FEW_ROWS or not splines:
        flows["neural spline flow"] = spline_flow
        if context_size and event_size > 1:
            sizes = num_rows, max_steps, light_tails
            may_be_narrow = light_tails and num_rows >= _ROWS_WITHOUT_DROPOUT
            narrow = {"dropout": 0.0} if may_be_narrow else {}
            flows["MAF"] = _maf(MAF, *sizes, **narrow)
            flows["MAF of residuals"] = _maf(_residual_maf, *sizes)
            if may_be_narrow:
                second = _maf(_residual_maf, *sizes, **narrow)
                flows["second MAF of residuals"] = second
    return Rules(
        splines=splines,
        flows=flows,
        given_flow=spline_flow,
        has_gaussian=is_wide or context_size > 0,
        held_out=held_out_share(num_rows),
        refits=num_rows < _REFITTED_ROWS,
        reasons=_reasons(splines, flows, is_wide, context_size),
    )


def held_out_share(num_rows: int) -> float:
    """Returns the share of the rows that no training sees and the report scores."""
    return 0.2 if num_rows < _REFITTED_ROWS else min(0.1, MOST_HELD_OUT / num_rows)


def _splines(num_rows, event_size, context_size):
    """Conditional splines in some orders; none if there are many rows or columns."""
    if num_rows >= (_MANY_ROWS_OF_ONE if event_size == 1 else _MANY_ROWS):
        return ()
    options = vars(NetworkSizes().for_table(num_rows))
    width, count = options["hidden_units"][0], options["num_members"]
    # This allows 82 variables with 8 networks, and 118 with 4.
    if count * weights_of_member(width, event_size, context_size) > MOST_WEIGHTS:
        return ()
    orders = _orders(event_size, count // _NETWORKS_OF_ORDER)
    rules = [SplineRule(order, options) for order in orders]
    return tuple(_with_networks(rule, count // len(orders)) for rule in rules)


def _orders(size, count):
    """As given, reversed, and others that are drawn; all of them if there are few."""
    orders = [tuple(range(size)), tuple(range(size))[::-1]]
    rng = np.random.default_rng(0)
    count = min(count, math.factorial(min(size, 9)))
    while len(set(orders)) < count:
        orders.append(tuple(rng.permutation(size).tolist()))
    return list(dict.fromkeys(orders))[:count]


def _with_networks(rule, count):
    options = {**rule.options, "num_members": max(count, 1)}
    return dataclasses.replace(rule, options=options)


def _spline_flow(num_rows, event_size, max_steps, light_tails):
    options = _layers(_SPLINE_FLOWS, num_rows)
    if light_tails:
        options |= {"heavy_tails": False, "bound": _BOUND_OF_LIGHT_TAILS}
    if event_size == 1:
        options["num_steps"] = _STEPS_OF_ONE
    return _flow_rule(NeuralSplineFlow, options, num_rows, num_rows / 16, max_steps)


def _maf(constructor, num_rows, max_steps, light_tails, **others):
    options = {**_layers(_MAFS, num_rows), "residual": True, "activation": "silu"}
    options |= others
    if light_tails:
        options["heavy_tails"] = False
    return _flow_rule(constructor, options, num_rows, num_rows / 64, max_steps)


def _layers(sizes, num_rows):
    """Widths and dropout of the largest key that is at most `num_rows`."""
    width, dropout = [size for least, size in sizes.items() if num_rows >= least][-1]
    return {"hidden_units": (width,) * 3, "dropout": dropout}


def _flow_rule(constructor, options, num_rows, batch_size, max_steps):
    """The `FlowRule`, with batches of a power of two near `batch_size`."""
    most = 9 if num_rows >= _ROWS_OF_LARGE_BATCHES else 8
    batch_size = int(2 ** min(max(round(math.log2(batch_size)), 5), most))
    steps = min(max(num_rows // batch_size, _LEAST_OF_EPOCH), _MOST_OF_EPOCH)
    return FlowRule(
        constructor,
        options,
        batch_size=batch_size,
        steps_per_epoch=steps,
        learning_rate=_RATE_AT_WIDTH_64 * 64 / options["hidden_units"][0],
        max_steps=max_steps,
    )


def _reasons(splines, flows, is_wide, context_size):
    reasons = []
    if splines:
        count, options = len(splines), splines[0].options
        in_orders = f" in {count} orders of the variables" if count > 1 else ""
        networks = (
            f"{options['num_members']} networks of width {options['hidden_units'][0]}"
        )
        reasons.append(
            f"conditional splines{in_orders}: the mean of {networks} for each variable"
        )
    for name, rule in flows.items():
        width, dropout = rule.options["hidden_units"][0], rule.options["dropout"]
        reasons.append(f"a {name} of width {width} and dropout {dropout}")
    if context_size:
        reasons.append("up to eight linear regressions on the context")
    elif is_wide:
        reasons.append("a Gaussian")
    return tuple(reasons)


def _residual_maf(event_size, *, context_size, dtype, **options):
    """A `MAF` of what a linear regression on the context leaves.

    Its networks need not learn the regression, whose errors widen all that is narrow.
    """
    shared = {"context_size": context_size, "dtype": dtype}
    maf = MAF(event_size, **shared, **options)
    return FlowChain([Decorrelate(event_size, **shared), maf])
