"""The rules by which `fit_density` chooses networks and training, from rows and columns."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import keras

from tfp_flows.core.arguments import check_size
from tfp_flows.tables.network_sizes import NetworkSizes
from tfp_flows.training.averaging import averaging_adam

# Rows from which on one flow explains rows better than the mean of several networks.
_MANY_ROWS = 20_000
# Rows below which there is no flow, since it overfits.
_FEW_ROWS = 500
# Rows below which all rows are fitted again after the held-out ones were scored.
_REFITTED_ROWS = 2_000
# Rows that are held out, and that validate, at most: enough for an error of .01 nats.
MOST_HELD_OUT = 20_000
# Weights of the conditional splines, of some hundred variables, above which there are none.
_MOST_WEIGHTS = 20_000_000
# By the least number of rows: widths and dropout of the layers of flows.
_FLOWS = {0: (64, 0.2), 3_000: (64, 0.1), 20_000: (128, 0.05), 300_000: (256, 0.0)}
# Steps between two looks at the validation rows.
_LEAST_STEPS, _MOST_STEPS = 50, 500


@dataclasses.dataclass(frozen=True)
class Rules:
    """What `fit_density` does with a table, and why.

    Attributes:
      splines: options of the conditional splines, `TableDensity(columns, **splines)`;
        empty if there are none.
      has_flow: whether there is a neural spline flow.
      flow: options of the flow, `NeuralSplineFlow(event_size, **flow)`.
      batch_size: rows of a training step of the flow.
      steps_per_epoch: its training steps between two looks at the validation rows.
      patience: such looks without improvement after which the learning rate falls to a
        quarter. After the third time, training ends.
      held_out: share of the rows that no training sees, for the report.
      refits: whether the final fit is to all rows, after the report.
      reasons: sentences for the report.

    >>> from tfp_flows.density import rules_for
    >>> rules_for(1_000, 6).flow["hidden_units"]
    (64, 64, 64)
    """

    splines: dict[str, Any]
    has_flow: bool
    flow: dict[str, Any]
    batch_size: int
    steps_per_epoch: int
    patience: int
    held_out: float
    refits: bool
    reasons: tuple[str, ...]

    def with_flow(self, name: str) -> Rules:
        """Returns the rules for one given flow in place of all components."""
        reasons = (f"the given flow `{name}`",)
        return dataclasses.replace(
            self, splines={}, has_flow=True, refits=False, reasons=reasons
        )

    def optimizer(self) -> keras.optimizers.Optimizer:
        """Returns Adam, whose averaged weights are about those of the last epoch."""
        return averaging_adam(1e-3, self.steps_per_epoch, global_clipnorm=5.0)

    def callbacks(self) -> list[keras.callbacks.Callback]:
        """Returns callbacks of `fit` that average, lower the rate, stop and restore."""
        return [
            keras.callbacks.SwapEMAWeights(swap_on_epoch=True),
            keras.callbacks.ReduceLROnPlateau(
                "val_loss", factor=0.25, patience=self.patience, min_delta=1e-4
            ),
            keras.callbacks.EarlyStopping(
                "val_loss", patience=3 * self.patience, restore_best_weights=True
            ),
        ]


def rules_for(num_rows: int, event_size: int, context_size: int = 0) -> Rules:
    """Returns the rules for a table.

    The numbers were chosen on tables of R's packages and on simulated rows, and confirmed
    on others (docs/results.md).

    >>> from tfp_flows.density import rules_for
    >>> rules_for(100_000, 6).splines
    {}

    Args:
      num_rows: N, of all rows.
      event_size: number of variables, D.
      context_size: width of the context.
    """
    check_size("num_rows", num_rows)
    check_size("event_size", event_size)
    check_size("context_size", context_size, 0)
    many, few = num_rows >= _MANY_ROWS, num_rows < _FEW_ROWS
    refits = num_rows < _REFITTED_ROWS
    splines = vars(NetworkSizes().by_rows(num_rows))
    num_members, width = splines["num_members"], splines["hidden_units"][0]
    # Each network sees five features a variable.
    num_inputs = 5 * (event_size + context_size) + width
    if many or num_members * event_size * width * num_inputs > _MOST_WEIGHTS:
        splines = {}
    has_flow = not (splines and few)
    flow_width, flow_dropout = [v for k, v in _FLOWS.items() if num_rows >= k][-1]
    batch_size = int(2 ** min(max(round(math.log2(num_rows / 16)), 5), 8 + many))
    reasons = []
    if splines:
        reasons.append(
            f"conditional splines: the mean of {num_members} networks of width {width} for "
            "each variable"
        )
    if has_flow:
        reasons.append(
            f"a neural spline flow of width {flow_width} and dropout {flow_dropout}"
        )
    return Rules(
        splines=splines,
        has_flow=has_flow,
        flow={"hidden_units": (flow_width,) * 3, "dropout": flow_dropout},
        batch_size=batch_size,
        steps_per_epoch=min(max(num_rows // batch_size, _LEAST_STEPS), _MOST_STEPS),
        patience=6,
        held_out=0.2 if refits else min(0.1, MOST_HELD_OUT / num_rows),
        refits=refits,
        reasons=tuple(reasons),
    )
