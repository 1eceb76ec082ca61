"""The rules that a distribution of modelled columns, given the others, keeps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet

from tfp_flows.core.arguments import require
from tfp_flows.tables.columns import TableColumns
from tfp_flows.tables.rules.compositions import Composition
from tfp_flows.tables.rules.differences import Difference
from tfp_flows.tables.rules.rule import Computed


def kept_differences(
    columns: TableColumns, modelled: Sequence[str], may_miss: AbstractSet[str]
) -> list[Difference]:
    """Returns the differences of modelled columns.

    If a single column is modelled, it has no sum, which would leave nothing to model, and
    no difference of parts that may be missing: some rows would have the prediction of a
    difference, and others that of the column.
    """
    kept = [d for d in columns.differences if d.name in modelled]
    for difference in kept:
        _check_fits(difference, columns)
    if len(modelled) > 1:
        return kept
    return [d for d in kept if d.column.kind != "constant" and not may_miss & set(d.minus)]


def kept_compositions(columns: TableColumns, modelled: Sequence[str]) -> list[Composition]:
    """Returns compositions whose columns are all modelled, and in no other rule."""
    kept = [c for c in columns.compositions if set(c.names) <= set(modelled)]
    rules = [*columns.differences, *columns.equalities, *columns.compositions]
    for composition in kept:
        others = [rule.names for rule in rules if rule is not composition]
        linked = {*sum(others, []), *(f.name for f in columns.functions)}
        _check_fits(composition, columns, is_free=linked.isdisjoint(composition.names))
    return [composition.in_order(modelled) for composition in kept]


def kept_equalities(
    columns: TableColumns, modelled: Sequence[str]
) -> Iterator[tuple[str, str]]:
    """Yields names of equal columns: a modelled one, which has the atom, and one before.

    Given columns come before all others; two of them have no atom.
    """
    linked = {d.name for d in columns.differences} | {f.name for f in columns.functions}
    order = sorted(columns.names, key=lambda name: name in modelled)
    for equality in columns.equalities:
        _check_fits(equality, columns, is_free=linked.isdisjoint(equality.names))
        earlier, later = sorted(equality.names, key=order.index)
        if later in modelled:
            yield later, earlier


def kept_functions(columns: TableColumns, modelled: Sequence[str]) -> list[Computed]:
    """Returns functions and lookups that compute modelled columns, in no other rule.

    If these are all columns, none is kept; nor is a lookup if its source is a given column
    that may have other numbers than those in its pairs.
    """
    kept = [
        f
        for f in columns.functions
        if f.name in modelled
        and (f.source in modelled or f.has_value_between(columns[f.source]))
    ]
    kept = [] if len(kept) == len(modelled) else kept
    rules = [*columns.differences, *columns.equalities, *columns.compositions, *kept]
    for function in kept:
        others = [rule for rule in rules if rule is not function]
        linked = [rule for rule in others if function.name in rule.names]
        words = f"the column {function.name!r} in no rule but {function.label!r}"
        hint = f" columns.drop({function.label!r}) leaves the function out."
        require(not linked, words, linked, hint)
        _check_fits(function, columns)
    return kept


def _check_fits(rule, columns, is_free=True):
    fits = is_free and rule.fits([columns[name] for name in rule.names])
    kind = type(rule).__name__.lower()
    words = f"columns that allow the {kind} {rule.label!r}: {rule.needs}"
    hint = f" columns.drop({rule.label!r}) leaves it out."
    require(fits, words, str(columns.select(rule.names)), hint)
