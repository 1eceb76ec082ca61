"""The checks of synthetic rows, and the verdict that follows from them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tfp_flows.core.check import Check, reasons_of

_ALIKE, _DIFFERENT = "a classifier cannot tell", "differs from real rows"
_UNRELIABLE = "not to be relied on"
VERDICTS = (_ALIKE, _DIFFERENT, _UNRELIABLE)  # `SynthesisReport` says what each means
JUDGED = ("synthetic", "test")  # rows whose copies and broken rules are counted
_LEAST_ROWS = 100
_SHOWN = 3  # columns that an advice names
# Smaller differences pass, however many rows show them.
_MUCH_AUC, _MUCH_SHAPE, _MUCH_TREND, _MUCH_PRECISION = 0.05, 0.05, 0.1, 0.1
_MUCH_UTILITY, _MUCH_NEARER, _MUCH_CLOSE, _MUCH_COPIED = 0.05, 0.1, 0.05, 0.01


def judge(measured: dict[str, Any], share_broken: float) -> dict[str, Any]:
    """Returns "verdict", "reasons" and "checks" of a `SynthesisReport`.

    They follow from its other fields, `measured`, and from the share of the synthetic rows
    that break a rule.
    """
    count, distances = measured["num_compared"], measured["distances"]
    broken = [
        rule for rule, kinds in measured["broken_rules"].items() if kinds["synthetic"]
    ]
    likeness = _likeness(measured, count)
    others = [
        _enough_rows(count),
        _nearer(distances["nearer_to_training"], count),
        _close(distances["close"], distances["close_of_test"], count),
        _copied(measured["copies"], measured["num_rows"]),
        _rules(share_broken, broken),
    ]
    verdict = _ALIKE
    if any(check.failed for check in likeness):
        verdict = _DIFFERENT
    if any(check.failed for check in others):
        verdict = _UNRELIABLE
    reasons = reasons_of([*others, *likeness])
    return {"verdict": verdict, "reasons": reasons, "checks": (*likeness, *others)}


def columns_with_shape(
    shape: dict[str, dict[str, float | None]],
) -> list[tuple[str, Any, Any]]:
    """Returns the columns that have a Shape: (name, synthetic, real)."""
    columns = [(name, s["synthetic"], s["real"]) for name, s in shape.items()]
    return [entry for entry in columns if None not in entry]


def _likeness(measured, count):
    telling = list(measured["telling_columns"].items())[:_SHOWN]
    where = ", ".join(f"{name!r} ({fall:.2f})" for name, fall in telling)
    checks = [
        _detection(name, scores, where) for name, scores in measured["detection"].items()
    ]
    noise = 2.0 / math.sqrt(count)
    for name, entries, bound in (
        ("Shape", columns_with_shape(measured["shape"]), max(_MUCH_SHAPE, noise)),
        ("Trend", measured["trend"], max(_MUCH_TREND, 1.5 * noise)),
    ):
        checks += [_furthest_behind(name, entries, bound)] if entries else []
    bound = max(_MUCH_PRECISION, noise)
    for name in ("alpha_precision", "beta_recall"):
        pair = measured[name]
        checks.append(_precision_or_recall(name.replace("_", "-"), pair, bound))
    if utility := measured["utility"]:
        checks.append(_utility(utility))
    return checks


def _detection(name, scores, where):
    value, threshold = scores["auc"], 0.5 + max(_MUCH_AUC, 3.0 * scores["error"])
    advice = (
        f"By {name}, a classifier tells synthetic from test rows with an AUC of "
        f"{value:.2f} (real training rows: {scores['real_auc']:.2f}). Columns that tell it "
        f"most, by what it loses without them: {where}."
    )
    return Check.at_most(f"AUC of {name}", value, threshold, advice)


def _furthest_behind(name, entries, bound):
    *names, value, real = min(entries, key=lambda entry: entry[-2] - entry[-1])
    threshold = real - bound
    what = "column" if len(names) == 1 else "pair"
    advice = (
        f"The {what} {' and '.join(map(repr, names))} has a {name} of "
        f"{value:.2f}, training rows {real:.2f}. Compare its pictures, and see whether "
        "its kind is right."
    )
    return Check.at_least(f"{name}, furthest behind", value, threshold, advice)


def _precision_or_recall(name, pair, bound):
    value, threshold = pair["synthetic"], pair["real"] - bound
    advice = (
        f"The {name} is {value:.2f}, that of training rows {pair['real']:.2f}: synthetic "
        "rows lie elsewhere than test rows, or leave some of their places empty."
    )
    return Check.at_least(name, value, threshold, advice)


def _utility(utility):
    value = utility["real"] - utility["synthetic"]
    threshold = max(_MUCH_UTILITY, 3.0 * utility["error"])
    advice = (
        f"A model of {utility['target']!r} has an {utility['score']} of "
        f"{utility['synthetic']:.2f} if synthetic rows train it, and "
        f"{utility['real']:.2f} if real ones do."
    )
    return Check.at_most("utility lost", value, threshold, advice)


def _enough_rows(count):
    advice = f"Only {count} rows of each kind were compared, too few to judge."
    return Check.at_least("compared rows", count, _LEAST_ROWS, advice)


def _nearer(value, count):
    # The deviation by the draw of synthetic rows, and of as many training and test rows.
    threshold = 0.5 + max(_MUCH_NEARER, 3.0 * math.sqrt(0.5 / count))
    advice = (
        f"{value:.0%} of the synthetic rows are nearer to a training row than to any of as "
        "many test rows (50 % without copying): the fit repeats training rows."
    )
    return Check.at_most("nearer to training", value, threshold, advice)


def _close(value, usual, count):
    threshold = usual + max(_MUCH_CLOSE, 3.0 * _deviation((value, usual), (count, count)))
    advice = (
        f"{value:.1%} of the synthetic rows, and {usual:.1%} of the test rows, are as "
        "close to a training row as few test rows are: the fit nearly repeats some."
    )
    return Check.at_most("close to training", value, threshold, advice)


def _copied(copies, counts):
    shares = [copies[kind] / counts[kind] for kind in JUDGED]
    value, usual = shares
    deviation = _deviation(shares, [counts[kind] for kind in JUDGED])
    threshold = usual + max(_MUCH_COPIED, 3.0 * deviation)
    advice = (
        f"{value:.1%} of the synthetic rows are equal to a training row, and {usual:.1%} "
        "of the test rows. `TableDensity.sample(exclude=train)` refuses such rows."
    )
    return Check.at_most("copied rows", value, threshold, advice)


def _deviation(shares, counts):
    """The standard deviation of a difference of two shares that estimate one share."""
    pooled = np.average(shares, weights=counts)
    return math.sqrt(pooled * (1.0 - pooled) * sum(1.0 / count for count in counts))


def _rules(share, broken):
    advice = (
        f"{share:.2%} of the synthetic rows break a rule of a column: {'; '.join(broken)}."
    )
    return Check.at_most("rows that break rules", share, 0.0, advice)
