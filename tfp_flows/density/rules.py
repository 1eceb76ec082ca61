"""The rules by which `fit_density` chooses networks and training, from rows and columns."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import keras

from tfp_flows.core.arguments import check_size

# Rows from which on one model is as good as several and the time goes into its training.
_MANY_ROWS = 20_000
# Rows below which there are no flows, which overfit, and time for a second fit to all rows.
_FEW_ROWS = 500
# Weights of the conditional splines above which only flows are fitted: 64 variables.
_MOST_WEIGHTS = 10_000_000
# Widths of the hidden layers of flows, by the least number of training rows.
_WIDTHS = {0: 64, 3_000: 128, 300_000: 256}
_DROPOUTS = {0: 0.2, 3_000: 0.1, 50_000: 0.05, 300_000: 0.0}
# Steps between two looks at the validation rows, at most.
_LONGEST_EPOCH = 500


@dataclasses.dataclass(frozen=True)
class Rules:
    """What `fit_density` does with a table, and why.

    Attributes:
      num_members: networks a variable whose conditional splines are averaged; 0: none.
      num_flows: number of neural spline flows.
      flow: options of these flows, `NeuralSplineFlow(event_size, **flow)`.
      batch_size: rows of a training step of a flow.
      steps_per_epoch: training steps between two looks at the validation rows.
      patience: such looks without improvement after which the learning rate falls to a
        quarter. After the third time, training ends.
      held_out: share of the rows that no training sees, for the report.
      refits: whether the final fit is to all rows, after the report.
      reasons: sentences for the report.

    >>> from tfp_flows.density import rules_for
    >>> rules_for(1_000, 6).flow["hidden_units"]
    (64, 64, 64)
    """

    num_members: int
    num_flows: int
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
            self, num_members=0, num_flows=1, refits=False, reasons=reasons
        )

    def optimizer(self) -> keras.optimizers.Optimizer:
        """Returns Adam, whose averaged weights are about those of the last epoch."""
        momentum = min(max(1.0 - 1.0 / self.steps_per_epoch, 0.9), 0.999)
        return keras.optimizers.Adam(
            1e-3, global_clipnorm=5.0, use_ema=True, ema_momentum=momentum
        )

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
    >>> rules_for(100_000, 6).num_flows
    1

    Args:
      num_rows: N, of all rows.
      event_size: number of variables, D.
      context_size: width of the context.
    """
    check_size("num_rows", num_rows)
    check_size("event_size", event_size)
    check_size("context_size", context_size, 0)
    many, few = num_rows >= _MANY_ROWS, num_rows < _FEW_ROWS
    num_members = 0 if many else 8
    # Each of D networks of a member sees five features a variable.
    num_weights = num_members * event_size * 64 * (5 * (event_size + context_size) + 150)
    if num_weights > _MOST_WEIGHTS:
        num_members = 0
    num_flows = 1 if many or not num_members else 0 if few else 2
    width, dropout = _by_rows(_WIDTHS, num_rows), _by_rows(_DROPOUTS, num_rows)
    batch_size = int(2 ** min(max(round(math.log2(num_rows / 16)), 5), 8 + many))
    steps = min(max(num_rows // batch_size, 1), _LONGEST_EPOCH)
    splines = f"conditional splines, the mean of {num_members} networks for each variable"
    flows = f"neural spline flows of width {width} and dropout {dropout}"
    reasons = [
        f"{splines}: {num_rows:,} rows" if num_members else "no conditional splines",
        f"{num_flows} {flows}" if num_flows else "no neural spline flows",
    ]
    return Rules(
        num_members=num_members,
        num_flows=num_flows,
        flow={"hidden_units": (width,) * 3, "dropout": dropout},
        batch_size=batch_size,
        steps_per_epoch=steps,
        patience=10,
        held_out=0.2 if few else 0.1,
        refits=few,
        reasons=tuple(reasons),
    )


def _by_rows(values, num_rows):
    return [value for least, value in values.items() if num_rows >= least][-1]
