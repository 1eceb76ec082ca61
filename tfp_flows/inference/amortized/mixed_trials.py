"""Trials with categories or integers: their form, and their density by tables' networks."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from tfp_flows.core.arguments import require
from tfp_flows.core.check import Check, lined_up, plus_minus, reasons_of
from tfp_flows.core.rows import by_parts, random_split
from tfp_flows.core.statistics import standard_error
from tfp_flows.distributions import draws
from tfp_flows.inference.amortized.data_form import DataForm, entries, parts_of_data
from tfp_flows.networks.layer_arguments import split_seed

if TYPE_CHECKING:
    from tfp_flows.tables.table_density import TableDensity

_HELD_OUT, _MOST_HELD_OUT = 0.1, 2_000  # share of the simulations, and their number
_NUM_PARAMETERS = 100  # draws of the parameters, over which densities are averaged
_MUCH = 0.05  # difference of shares in a region that matters
VERDICTS = ("good", "not to be relied on")


@dataclasses.dataclass(frozen=True)
class MixedForm:
    """The columns of trials of texts, booleans, integers and numbers, as in `DataForm`."""

    shapes: dict[str | None, tuple[int, ...]]

    @property
    def columns(self) -> dict[str | None, list[str]]:
        """Names of the columns of each part: one for each entry."""
        return {
            part: [f"{part or 'x'}{list(index) or ''}" for index in np.ndindex(*shape)]
            for part, shape in self.shapes.items()
        }

    def simulated_rows(self, x: Any, count: int) -> np.ndarray:
        """Returns the data of `count` simulations, a structured array `[count]`."""
        return self._joined(entries(self.shapes, x, _cells, "data", count))

    def to_rows(self, x: Any) -> np.ndarray:
        """Returns trials of a user, a structured array `[*batch]`."""
        return self._joined(entries(self.shapes, x, _known_cells))

    def _joined(self, parts):
        """A structured array `[*batch]` of the entries of parts, `[*batch, size]` each."""
        columns = {
            name: array[..., k]
            for part, array in parts.items()
            for k, name in enumerate(self.columns[part])
        }
        (batch,) = {cells.shape for cells in columns.values()}
        rows = np.empty(batch, [(name, cells.dtype) for name, cells in columns.items()])
        for name, cells in columns.items():
            rows[name] = cells
        return rows


def form_of_trials(x: Any) -> DataForm | MixedForm:
    """Returns the form of N trials, arrays or a data frame, by the types of their parts."""
    parts = {
        name: _cells("data" if name is None else f"data {name!r}", part)
        for name, part in parts_of_data(x).items()
    }
    if all(part.dtype.kind == "f" for part in parts.values()):
        return DataForm.from_batch(x)
    return MixedForm({name: part.shape[1:] for name, part in parts.items()})


class TrialCells:
    """Trials as rows of codes and numbers, which the density of mixed trials takes.

    `table` is the density of the columns of the form given parameters.
    """

    def __init__(self, form: MixedForm, table: TableDensity) -> None:
        self._form, self._table = form, table

    @property
    def size(self) -> int:
        """Number of cells of a trial."""
        return self._table.distribution.event_shape[0]

    def to_rows(self, x: Any) -> np.ndarray:
        """Returns the cells of trials, `[*batch, size]`; refuses some that cannot occur."""
        trials = self._form.to_rows(x)
        require(trials.size, "`x` of one trial, at least", "none")
        rows = trials.reshape(-1)
        frame = self._frame(rows)
        cells, _ = self._table.encode(frame)
        is_possible = np.isfinite(self._table.log_prob(frame))
        words = "`x` that can occur, by the simulations"
        require(is_possible.all(), words, rows[np.argmin(is_possible)])
        return cells.reshape(*trials.shape, -1)

    def possible_rows(self, rows: np.ndarray) -> np.ndarray:
        """Returns the cells, `[n, size]`, of those of N simulated trials that can occur."""
        are_unknown = self._table.unknown_cells(self._frame(rows)).values()
        known = rows[~np.any([*are_unknown], axis=0)]
        is_possible = np.isfinite(self._table.log_prob(self._frame(known)))
        return self._table.encode(self._frame(known[is_possible]))[0]

    def _frame(self, rows):
        return _frame(rows, np.zeros([len(rows), len(self._table.context)]))


@dataclasses.dataclass(frozen=True)
class MixedTrialsReport:
    """How well a density of mixed trials explains simulations it has not seen.

    Attributes:
      verdict: "good", or "not to be relied on": a check failed.
      reasons: sentences that say why, and what to try.
      log_likelihood: mean log-density of held-out trials given their parameters, in nats;
        of categories and integers, log-probabilities.
      log_likelihood_error: its standard error.
      gain: the same less the log-density given other parameters, averaged over draws of
        these: what a trial tells of the parameters, in nats.
      gain_error: its standard error.
      num_simulations: number of simulations that were fitted.
      num_held_out: number of the others.
      checks: all checks, from which verdict and reasons follow.
    """

    verdict: str
    reasons: tuple[str, ...]
    log_likelihood: float
    log_likelihood_error: float
    gain: float
    gain_error: float
    num_simulations: int
    num_held_out: int
    checks: tuple[Check, ...]

    def __str__(self) -> str:
        counts = f"{self.num_simulations:,} fitted, {self.num_held_out:,} held out"
        likelihood = plus_minus(self.log_likelihood, self.log_likelihood_error)
        rows = [
            ("verdict", self.verdict),
            ("simulations", counts),
            ("log-likelihood", f"{likelihood} nats a trial"),
            ("parameters tell", f"{plus_minus(self.gain, self.gain_error)} nats a trial"),
            *((check.name, check.result) for check in self.checks),
        ]
        return lined_up(rows, self.reasons)


def fit_mixed_trials(
    form: MixedForm,
    rows: np.ndarray,
    u: np.ndarray,
    *,
    seed: int | None,
    max_minutes: float | None,
    verbose: int | str,
) -> tuple[Any, TrialCells, MixedTrialsReport]:
    """Fits the density of mixed trials given parameters.

    `rows` are a structured array `[N]`, and `u` unconstrained parameters, `[N, D]`. Seed,
    time and `verbose` are as in `fit_density`. The first result is the `TableDistribution`
    of cells given u.
    """
    from tfp_flows.tables.columns import TableColumns
    from tfp_flows.tables.describe_columns import describe_columns, describe_numbers
    from tfp_flows.tables.table_density import TableDensity

    for_order, for_fit, for_checks = split_seed(seed, 3)
    share = min(_HELD_OUT, _MOST_HELD_OUT / len(rows))
    train, held_out = random_split((rows, u), share, for_order)
    frame = _frame(rows, u)
    names = list(rows.dtype.names or ())
    context = [name for name in frame if name not in names]
    # All simulations are described: a rare category may be only among the held-out ones.
    columns = describe_columns(frame, names, as_recorded=False)
    numbers = describe_numbers({name: frame[name] for name in context})
    table = TableDensity(TableColumns([*columns, *numbers]), context=context, seed=for_fit)
    table.fit(_frame(*train), max_minutes=max_minutes, verbose=verbose)
    cells = TrialCells(form, table)
    x, _ = table.encode(_frame(*held_out))
    report = _judge(table.distribution, x, held_out[1], train[1], for_checks)
    return table.distribution, cells, report


def _judge(density, x, u, others, seed):
    """The report of a density, by held-out cells and their parameters."""
    # Here, so that a fit of one posterior does not load the room of densities.
    from tfp_flows.density.checks import held_out_rows, shares_in_region

    scores = _log_prob(density, x, u)
    rng = np.random.default_rng(seed)
    chosen = others[rng.choice(len(others), min(_NUM_PARAMETERS, len(others)), False)]
    by_others = [_log_prob(density, x, np.broadcast_to(one, u.shape)) for one in chosen]
    gains = scores - (np.logaddexp.reduce(by_others, axis=0) - math.log(len(chosen)))
    drawn = density.sample(seed=draws.stateless(seed), context=u).numpy()
    shares = shares_in_region(scores, _log_prob(density, drawn, u))
    enough = held_out_rows(len(x), "simulations", "Simulate more.")
    checks = (enough, _coverage_check(shares))
    reasons = reasons_of(checks)
    return MixedTrialsReport(
        verdict=VERDICTS[bool(reasons)],
        reasons=reasons,
        log_likelihood=float(scores.mean()),
        log_likelihood_error=standard_error(scores),
        gain=float(gains.mean()),
        gain_error=standard_error(gains),
        num_simulations=len(others),
        num_held_out=len(x),
        checks=checks,
    )


def _coverage_check(shares):
    """Checks that the region of highest density holds as many trials as draws."""
    threshold = max(_MUCH, 3.0 * shares.deviation)
    advice = (
        f"The region that holds {shares.of_samples:.0%} of the draws holds "
        f"{shares.of_rows:.0%} of the held-out trials: the density is not calibrated. "
        "Simulate more."
    )
    distance = abs(shares.of_rows - shares.of_samples)
    return Check.at_most("90 % region, distance", distance, threshold, advice)


def _log_prob(density, x, u):
    """Log-densities of cells given parameters, `[N]`."""
    return by_parts(lambda x, u: density.log_prob(x, context=u), x, u)


def _frame(rows, u):
    """Columns of trials and of their parameters by name."""
    parameters = {f"parameter {j} of the trial": column for j, column in enumerate(u.T)}
    return {name: rows[name] for name in rows.dtype.names} | parameters


def _known_cells(which, part):
    """An array as `_cells` returns it, without missing cells."""
    array = _cells(which, part)
    count = 0 if array.dtype.kind != "f" else int(np.isnan(array).sum())
    require(not count, f"{which} without missing cells", f"{count} NaN")
    return array


def _cells(which, part):
    """An array of numbers, booleans or texts, of a user's array or list."""
    require(not np.ma.is_masked(part), f"{which} without masked cells", "some")
    array = np.asarray(part)
    if array.dtype.kind == "U" and not hasattr(part, "dtype"):
        array = np.asarray(part, object)  # a list, in which one text makes all texts
    if array.dtype.kind == "O":  # such as the texts of a data frame
        are_texts = {isinstance(cell, str) for cell in array.flat}
        require(len(are_texts) < 2, f"{which} of texts, or of numbers", "both")
        array = np.array(array.tolist())
    words = f"{which} of numbers, booleans or texts"
    require(array.dtype.kind in "fiubU", words, array.dtype)
    return array
