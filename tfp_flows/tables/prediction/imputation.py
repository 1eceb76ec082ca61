"""Missing cells of rows, drawn given the other cells of their rows."""

from __future__ import annotations

import typing

import numpy as np
import tensorflow as tf

from tfp_flows.core.arguments import require
from tfp_flows.core.rows import take_rows
from tfp_flows.distributions import draws
from tfp_flows.tables.cells import (
    cells_of,
    dates_from_days,
    days_if_dates,
    is_missing,
)
from tfp_flows.tables.distribution import TableDistribution
from tfp_flows.tables.frames import Frame
from tfp_flows.tables.row_codec import RowCodec
from tfp_flows.tables.rules.functions import Function

_MOST_ROWS = 2**16  # number of rows that are completed at once, to bound the memory
_IMPOSSIBLE = -1e9  # log-weight of completions that must not be chosen
_MOST_ATTEMPTS = 20  # for rows none of whose completions can occur
_EXPECTED = "`frame` whose rows with missing cells can occur"


def imputed(
    distribution: TableDistribution,
    codec: RowCodec,
    frame: Frame,
    columns: dict[str, np.ndarray],
    context: np.ndarray | None,
    *,
    seed: tf.Tensor,
    num_candidates: int,
) -> dict[str, np.ndarray]:
    """Returns modelled columns, `[N]` by name, whose missing cells were drawn.

    Unless draws are exact, one of `num_candidates` completions of a row is chosen. An
    unknown category, a row with missing cells whose other cells cannot occur, and a row of
    which no drawn completion can occur raise `ValueError`.
    """
    is_imputed = codec.read(frame).is_missing.any(axis=1, keepdims=True)
    frame = _with_sources(frame, codec)
    rows = codec.read(frame)
    codec.refuse_unknown(frame, rows)
    is_wrong = is_imputed & ~rows.is_possible & ~rows.is_missing
    codec.refuse_cells(frame, is_wrong, _EXPECTED)
    incomplete = np.flatnonzero(rows.is_missing.any(axis=1))
    observed = rows.is_observed
    solver = RuleSolver(codec, columns | frame.take(codec.names), rows.x, observed)
    may_be_missing = not np.isnan(codec.codes_of_missing).all()
    is_exact = not (may_be_missing or solver.is_linked[incomplete].any())
    is_exact = is_exact and _draws_are_exact(distribution, observed[incomplete])
    count = 1 if is_exact else num_candidates
    completed, tried, part = np.array(rows.x), np.zeros(len(rows.x), int), 0
    while len(incomplete):
        index, incomplete = np.split(incomplete, [max(_MOST_ROWS // count, 1)])
        completed[index], can_occur = _chosen(
            distribution, solver, index, context, count, draws.fold_in(seed, part)
        )
        part += 1
        again = index[~(is_exact | can_occur)]
        tried[again] += count
        require(
            tried.max() < _MOST_ATTEMPTS * count,
            _EXPECTED,
            f"row {tried.argmax()}, none of whose {tried.max():,} completions can occur",
            " More `num_candidates` may find one.",
        )
        incomplete = np.concatenate([incomplete, again])
    return codec.decode(completed, columns)


def _chosen(distribution, solver, index, context, count, seed):
    """Chooses one of `count` completions of some rows, `[n]`, each by its weight.

    Returns entries, `[n, K + D]`, and whether a drawn completion of each row can occur.
    """
    draw_seed, choice_seed = draws.split(seed, 2)
    rows = np.repeat(index, count)
    solver, context = solver.for_rows(rows), take_rows(context, rows)
    candidates, weights = _completions(distribution, solver, context, draw_seed)
    candidates = tf.reshape(candidates, [len(index), count, -1])
    weights = tf.reshape(weights, [-1, count])
    chosen = draws.choose(candidates, weights, choice_seed).numpy()
    return chosen, (weights.numpy() > _IMPOSSIBLE).any(axis=1)


def _completions(distribution, solver, context, seed):
    """Returns a completion of each row of a solver, `[N, K + D]`, and its log-weight."""
    candidates, weights = distribution.complete(
        tf.constant(solver.x),
        tf.constant(solver.observed),
        seed,
        None if context is None else tf.constant(context),
        solve=solver.solve if solver.is_linked.any() else None,
    )
    # A cell that is imputed is not missing again.
    is_absent = (candidates == solver.codec.codes_of_missing) & ~solver.observed
    is_wrong = tf.reduce_any(is_absent, axis=1) | solver.violates(candidates.numpy())
    impossible = tf.constant(_IMPOSSIBLE, weights.dtype)
    return candidates, tf.maximum(tf.where(is_wrong, impossible, weights), impossible)


def _with_sources(frame, codec):
    """The rows with the missing sources of functions that follow from their values.

    A source stays missing if no cell of its column has the value, or several have it.
    Missing columns of exact sums and of compositions follow from the others too.
    """
    columns = frame.take(codec.names)
    absent = {name: is_missing(column) for name, column in columns.items()}
    _put_terms_of_sums(columns, frame, codec)
    _put_parts(columns, codec)
    for name in codec.names:
        for cells in _solutions(name, frame, codec):
            is_new = is_missing(columns[name]) & ~is_missing(cells)
            if is_new.any():
                columns[name] = np.where(is_new, cells, columns[name])
    where = {name: absent[name] & ~is_missing(columns[name]) for name in columns}
    if not any(cells.any() for cells in where.values()):
        return frame
    return Frame(frame.replaced(columns, where))


def _put_terms_of_sums(columns, frame, codec):
    """Puts missing totals and parts of exact sums, of which all other terms are there."""
    differences = codec.differences.values()
    sums = [d.names for d in differences if d.column.kind == "constant"]
    # In both orders, since a term that one sum gives may be a term of another.
    for total, *parts in [*sums, *reversed(sums)]:
        arrays = {n: columns.get(n, frame.columns[n]) for n in (total, *parts)}
        cells = {n: cells_of(n, array) for n, array in arrays.items()}
        terms = {n: cells[n].numbers() for n in cells}
        for name in set(terms) & set(columns):
            others = np.sum([terms[part] for part in parts if part != name], axis=0)
            value = others if name == total else terms[total] - others
            grid = codec.codecs[name].grid
            value = value if grid is None else grid.round_if_near(value)
            is_new = is_missing(columns[name]) & ~np.isnan(value)
            if cells[name].type == "boolean":
                value = value.astype(bool)
            if cells[name].type == "date":
                value, columns[name] = dates_from_days(value), cells[name].values
            columns[name] = np.where(is_new, value, columns[name])


def _put_parts(columns, codec):
    """Puts missing parts of compositions that follow from the others."""
    for composition in codec.compositions.values():
        parts = [cells_of(name, columns[name]).numbers() for name in composition.names]
        completed = composition.completed(parts, codec.columns)
        for name, old, new in zip(composition.names, parts, completed, strict=True):
            is_new = np.isnan(old) & ~np.isnan(new)
            columns[name] = new if is_new.any() else columns[name]


def _solutions(source, frame, codec):
    """Yields cells of a source by its functions, `[N]`, missing where unknown."""
    functions = [f for f in codec.functions.values() if f.source == source]
    values = frame.take(codec.names)
    formulas = [f for f in functions if isinstance(f, Function)]
    if formulas:
        yield _solved(formulas, values, codec.codecs[source].column)
    for function in functions:
        if function not in formulas:
            yield function.inverse(values[function.name])


def _solved(functions, values, column):
    """Numbers with these values of all functions of a column, `[N]`; NaN for none."""
    numbers = np.full(len(values[functions[0].name]), np.nan)
    for function in functions:
        value = values[function.name]
        for candidate in _candidates(column, function.inverse(value)):
            is_found = np.isnan(numbers) & ~is_missing(value)
            for other in functions:
                is_absent = is_missing(values[other.name])
                is_found &= is_absent | other.holds(candidate, values[other.name])
            numbers = np.where(is_found, candidate, numbers)
    return numbers


def _candidates(column, nearby):
    """Numbers that a column may have near others, a list of `[N]`; best ones first."""
    candidates = [] if column.has_values else [nearby]
    if column.grid is not None:
        candidates = [column.grid.round(nearby)]
    listed = np.sort(np.array([*column.values, *column.spikes], np.float64))
    if len(listed):
        middles = 0.5 * (listed[1:] + listed[:-1])
        candidates = [listed[np.searchsorted(middles, nearby)], *candidates]
    return candidates


class RuleSolver(typing.NamedTuple):
    """Cells that follow from an observed column, of which a part is missing.

    ```none
    column = difference + parts:  the last unknown term is the column minus the others
    total of a composition = sum of its parts:  likewise
    ```

    It also says which rows contradict an observed column that a function or lookup computes
    from a missing one.

    Args:
      codec: the codec of the rows.
      columns: their columns, `[N]` by name, with those of the context.
      x: their entries, `[N, K + D]`; arbitrary where they are not observed.
      observed: which entries are observed, booleans `[N, K + D]`.
    """

    codec: RowCodec
    columns: dict[str, np.ndarray]
    x: np.ndarray
    observed: np.ndarray

    @property
    def is_linked(self) -> np.ndarray:
        """Which rows have an observed column with missing parts, booleans `[N]`."""
        linked = [self._lacks_term(name) for name in self.codec.differences]
        linked += [self._lacks_source(f) for f in self.codec.functions.values()]
        linked += [self._lacks_part(c) for c in self.codec.compositions.values()]
        return np.any([np.zeros(len(self.observed), bool), *linked], axis=0)

    def for_rows(self, index: np.ndarray) -> RuleSolver:
        """Returns the solver of some rows, `[n]`."""
        columns = {name: column[index] for name, column in self.columns.items()}
        return RuleSolver(self.codec, columns, self.x[index], self.observed[index])

    def solve(
        self, number: int, codes: np.ndarray, numbers: list[np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns values of a number, `[N]`, and where it follows from others, `[N]`.

        All codes, `[N, K]`, and the numbers before it are known.
        """
        entry = codes.shape[1] + number
        codec = self.codec.codecs[self.codec.owners[entry].name]
        drawn = np.array(self.x)
        drawn[:, :entry] = np.column_stack([codes, *numbers])
        terms = self.columns | self.codec.modelled(drawn)  # arbitrary where unknown
        terms = {name: days_if_dates(term) for name, term in terms.items()}
        solution, is_solved = np.zeros(len(codes)), np.zeros(len(codes), bool)
        for name in self.codec.differences:
            others, count, is_known = self._sum_of_others(entry, name, terms, codes)
            is_here = self._lacks_term(name) & is_known & (count > 0.0)
            is_here &= ~self.observed[:, entry]
            value = (self._numbers(name) - others) / np.maximum(count, 1.0)
            value = codec.numbers_from(value)
            is_here &= ~np.isnan(value)  # a part in the context may be missing
            solution = np.where(is_here, value, solution)
            is_solved |= is_here
        composition = self.codec.composition_of(self.codec.owners[entry].name)
        if composition is not None:
            value = self._last_part(composition, entry, terms, codes)
            value = codec.numbers_from(value)
            is_here = ~self.observed[:, entry] & ~np.isnan(value)
            solution = np.where(is_here, value, solution)
            is_solved |= is_here
        return solution, is_solved

    def violates(self, x: np.ndarray) -> np.ndarray:
        """Returns which completed rows contradict an observed column, booleans `[N]`."""
        is_wrong = np.zeros(len(x), bool)
        if not self.is_linked.any():
            return is_wrong
        columns = self.codec.decode(x, self.columns)
        for name in self.codec.differences:
            is_linked = self._lacks_term(name)
            completed = np.asarray(days_if_dates(columns[name])[is_linked], np.float64)
            given = self._numbers(name)[is_linked]
            is_wrong[is_linked] |= ~np.isclose(completed, given, rtol=1e-9)
        for name, function in self.codec.functions.items():
            is_linked = self._lacks_source(function)
            if is_linked.any():
                cells = columns[function.source], self.columns[name]
                holds = function.holds(*(column[is_linked] for column in cells))
                is_wrong[is_linked] |= ~holds
        for composition in self.codec.compositions.values():
            parts = [np.asarray(columns[n], np.float64) for n in composition.names]
            most, amount = 1e-9 * composition.total, np.sum(parts, axis=0)
            is_wrong |= np.abs(amount - composition.total) > most
            grid = self.codec.grids[composition.name]
            for name, part in zip(composition.names, parts, strict=True):
                given = self._numbers(name)
                given = given if grid is None else grid.round_if_near(given)
                is_wrong |= np.abs(part - given) > most
        return is_wrong

    def _numbers(self, name):
        """The numbers of a column, `[N]`; NaN where missing."""
        return cells_of(name, self.columns[name]).numbers()

    def _last_part(self, composition, entry, terms, codes):
        """The total minus the parts of other entries, `[N]`; NaN where one is unknown."""
        others, has_rest = [], np.zeros(len(codes), bool)
        for name in composition.names[1:]:
            *code, number = self.codec.entries_of_column(name)
            is_number = (codes[:, code] == 0).all(axis=1)
            is_rest = ~is_number & (terms[name] == composition.total)
            has_rest |= is_rest
            if number == entry:
                continue
            amount = np.where(is_number, terms[name], 0.0)
            is_unknown = (number >= entry) & (is_number | is_rest)
            amount = np.where(is_unknown, np.nan, amount)
            given = self._numbers(name)
            others.append(np.where(np.isnan(given), amount, given))
        given = self._numbers(composition.name)
        others.append(np.where(np.isnan(given) & has_rest, 0.0, given))
        return composition.total - np.sum(others, axis=0)

    def _lacks_part(self, composition):
        """In which rows a part of a composition is missing, booleans `[N]`."""
        parts = [self.columns[name] for name in composition.names]
        return np.any([is_missing(part) for part in parts], axis=0)

    def _sum_of_others(self, entry, name, terms, codes):
        """The sum of the entries that a column is made of, without one of them, `[N]`.

        Observed parts with a difference count as a whole. Also returns how often the entry
        is in the column, and where all others are known.
        """
        is_entry = name == self.codec.owners[entry].name
        others = np.zeros(len(codes)) if is_entry else terms[name]
        is_known = is_entry | self._is_known(name, entry, codes)
        count = np.full(len(codes), float(is_entry))
        difference = self.codec.differences.get(name)
        for part in difference.minus if difference else []:
            rest, more, is_rest_known = self._sum_of_others(entry, part, terms, codes)
            if part in self.codec.differences:
                whole = self._numbers(part)
                is_whole = ~np.isnan(whole)
                rest = np.where(is_whole, whole, rest)
                more, is_rest_known = more * ~is_whole, is_rest_known | is_whole
            others, count = others + rest, count + more
            is_known = is_known & is_rest_known
        return others, count, is_known

    def _lacks_term(self, name):
        """In which rows a column with a difference is observed, and a part is missing."""
        parts = [self.columns[part] for part in self.codec.differences[name].minus]
        lacks = np.any([is_missing(part) for part in parts], axis=0)
        return ~is_missing(self.columns[name]) & lacks

    def _lacks_source(self, function):
        """In which rows a computed column is observed, and its source is to be drawn."""
        value, source = (self.columns[name] for name in function.names)
        is_drawn = function.source in self.codec.names
        return ~is_missing(value) & is_missing(source) & is_drawn

    def _is_known(self, name, entry, codes):
        """Where a column's own entries are known before an entry is drawn, `[N]`."""
        entries = [] if name not in self.codec.names else self.codec.entries_of_column(name)
        *code, number = entries or [-1]
        if number < entry:
            return np.ones(len(codes), bool)
        return (codes[:, code] > 0).any(axis=1) | self.observed[:, number]


def _draws_are_exact(distribution, observed):
    """Whether all missing entries come last, so that draws need no importance weights.

    With several members, observed codes before missing codes also reweight the members.
    """
    comes_last = (~observed[:, 1:] >= ~observed[:, :-1]).all()
    codes = observed[:, : distribution.features.num_codes]
    is_split = codes.any(axis=1) & ~codes.all(axis=1)
    return comes_last and (distribution.num_members == 1 or not is_split.any())
