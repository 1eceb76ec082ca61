"""The rules between columns that a distribution of some columns, given the others, keeps.

`columns` are all columns, `modelled` the names of those that are not given. The functions
raise `ValueError` if columns do not allow a rule.
"""

from collections.abc import Sequence

from tfp_flows.core.arguments import require
from tfp_flows.tables.columns import TableColumns
from tfp_flows.tables.differences import Difference
from tfp_flows.tables.equalities import Equality
from tfp_flows.tables.rules import Computed, Rule


def kept_differences(columns: TableColumns, modelled: Sequence[str]) -> list[Difference]:
    """Returns the differences of modelled columns.

    A sum that leaves nothing to model is not kept.
    """
    kept = [d for d in columns.differences if d.name in modelled]
    for difference in kept:
        _check_fits(difference, columns)
    is_determined = len(modelled) == 1 and any(d.column.kind == "constant" for d in kept)
    return [] if is_determined else kept


def kept_equalities(columns: TableColumns, modelled: Sequence[str]) -> list[Equality]:
    """Returns the equalities; the first of the names of each is modelled, and has the atom.

    Those of two given columns are not modelled.
    """
    linked = {d.name for d in columns.differences} | {f.name for f in columns.functions}
    # Given columns are first.
    order = sorted(columns.names, key=lambda name: name in modelled)
    kept = []
    for equality in columns.equalities:
        _check_fits(equality, columns, is_free=linked.isdisjoint(equality.names))
        earlier, later = sorted(equality.names, key=order.index)
        if later in modelled:
            kept.append(Equality([later, earlier], equality.reason))
    return kept


def kept_functions(columns: TableColumns, modelled: Sequence[str]) -> list[Computed]:
    """Returns the functions and lookups that compute modelled columns.

    If these are all columns, none is kept; nor is a lookup if its source is a given column
    that may have other numbers than those in its pairs. Computed columns must not
    be part of other rules.
    """
    kept = [
        f
        for f in columns.functions
        if f.name in modelled
        and (f.source in modelled or f.has_value_between(columns[f.source]))
    ]
    kept = [] if len(kept) == len(modelled) else kept
    rules: list[Rule] = [*columns.differences, *columns.equalities, *kept]
    for function in kept:
        others = [rule for rule in rules if rule is not function]
        linked = [rule for rule in others if function.name in rule.names]
        words = f"the column {function.name!r} in nothing but {function.label!r}"
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
