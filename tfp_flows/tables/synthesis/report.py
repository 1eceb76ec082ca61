"""The report on synthetic rows: how like real rows they are, and how unlike copies."""

from __future__ import annotations

import dataclasses
import itertools
import time
from typing import Any

import numpy as np

from tfp_flows.core.arguments import check_integer, check_seed, require
from tfp_flows.core.check import Check, Report, lined_up
from tfp_flows.tables.columns import TableColumns
from tfp_flows.tables.frames import Frame
from tfp_flows.tables.row_codec import violated_rules
from tfp_flows.tables.synthesis import fidelity
from tfp_flows.tables.synthesis.checks import JUDGED, columns_with_shape, judge
from tfp_flows.tables.synthesis.row_features import (
    RowFeatures,
    are_copies,
    bounded_by,
    row_features,
)

# What each part of the report can show, and what it cannot.
MEANINGS = {
    "detection": (
        "A classifier that tells synthetic from test rows has found a difference; one that "
        "cannot has not proved that there is none, and finds less in fewer rows."
    ),
    "Shape": (
        "Compares each column by itself; columns that are right one by one, but "
        "independent of each other, have a perfect Shape."
    ),
    "Trend": (
        "Compares pairs of columns by linear correlations and tables of ten bins; it does "
        "not see other relations, nor relations of three columns."
    ),
    "alpha-precision": (
        "Compares how far synthetic and test rows are from the middle; it does not see "
        "what is wrong at the right distance."
    ),
    "beta-recall": (
        "Tells whether test rows have a synthetic row as near as a real one, for fresh "
        "rows one half of the time; copies of training rows also score well."
    ),
    "utility": (
        "Tells whether synthetic rows train a model of one column as well as real ones; "
        "other columns and uses may differ."
    ),
    "distances": (
        "More synthetic rows near training rows than near test rows are a sign of copying; "
        "their absence is no promise of privacy."
    ),
    "copies": (
        "Synthetic rows that equal a training row in all cells; no copies is no promise "
        "of privacy, since nearly equal rows are not counted."
    ),
    "rules": (
        "Counts rows with a cell that its column cannot have; a row that breaks no rule "
        "may still be absurd."
    ),
}
_QUANTILES = (0.01, 0.05, 0.25, 0.5)
_CLOSE = 0.05  # share of the test rows that are called close to training rows


@dataclasses.dataclass(frozen=True)
class SynthesisReport(Report):
    """How synthetic rows compare with real ones; `print` shows a table.

    Synthetic rows are compared with test rows, which the fit has not seen. Beside each
    number stands the base line: the same number of real training rows in their place.

    Attributes:
      verdict: "a classifier cannot tell": no check fails. "differs from real rows": a check
        of likeness fails (detection, Shape, Trend, alpha-precision, beta-recall, utility).
        "not to be relied on": there are too few test rows, copies of training rows, or
        rows that break a rule.
      reasons: sentences that say why, and what to look at.
      num_rows: number of rows that were given: "synthetic", "training" and "test".
      num_compared: number of rows of each kind that are compared: the least of `num_rows`,
        at most `max_rows`; drawn at random. Copies and broken rules are counted in all.
      detection: for each classifier, "auc" and "error" of synthetic rows, "real_auc" and
        "real_error" of training rows; 0.5 is chance. "score" is 1 - (2 max(auc, 0.5) - 1).
      telling_columns: for each column, by how much the AUC of gradient boosting falls if
        the column is shuffled (permutation importance). The largest come first.
      shape: for each column, its likeness, "synthetic" and "real", from 0 to 1; None if it
        has no cells.
      trend: the same for pairs of columns: (name, name, synthetic, real), without pairs
        that have no correlation.
      association: how strongly columns depend on each other, matrices in the order of
        `shape`, "synthetic" and "test": |correlation| of numbers, the correlation ratio of
        a number and a category, Cramer's V of categories; None where one is constant.
      alpha_precision: "synthetic" and "real"; near 1 is best.
      beta_recall: "synthetic" and "real"; fresh rows have 1/2.
      utility: "target", "score" (its name), "synthetic", "real" and "error"; None without a
        target, without other columns, or if the target is constant in rows of a kind.
      distances: "nearer_to_training", the share of synthetic rows that are nearer to
        training than to test rows (ties count half; 0.5 without copying); "level",
        "synthetic" and "test": quantiles of the distances of both to training rows; "close"
        and "close_of_test": the shares of both that are as close to a training row as the
        closest 5 % of the test rows.
      copies: number of rows that equal a training row: "synthetic" and "test".
      broken_rules: for each rule, number of rows that break it: "synthetic" and "test".
      seconds: wall time of the comparison.
      checks: all checks, from which the verdict and its reasons follow.

    >>> import numpy as np
    >>> import tfp_flows
    >>> def draw(number, seed):
    ...     x = np.random.default_rng(seed).normal(size=number)
    ...     return {"x": x, "is_positive": x > 0.0}
    >>> columns = tfp_flows.describe_columns(draw(300, 0))
    >>> rows = [draw(300, seed) for seed in range(3)]
    >>> report = tfp_flows.tables.synthesis_report(*rows, columns, seed=0)
    >>> report.verdict
    'a classifier cannot tell'
    >>> report.copies
    {'synthetic': 0, 'test': 0}
    """

    verdict: str
    reasons: tuple[str, ...]
    num_rows: dict[str, int]
    num_compared: int
    detection: dict[str, dict[str, float]]
    telling_columns: dict[str, float]
    shape: dict[str, dict[str, float | None]]
    trend: tuple[tuple[str, str, float, float], ...]
    association: dict[str, list[list[float | None]]]
    alpha_precision: dict[str, float]
    beta_recall: dict[str, float]
    utility: dict[str, Any] | None
    distances: dict[str, Any]
    copies: dict[str, int]
    broken_rules: dict[str, dict[str, int]]
    seconds: float
    checks: tuple[Check, ...]

    def __str__(self) -> str:
        meanings = [f"{name}: {words}" for name, words in self.meanings.items()]
        rows = [("verdict", self.verdict), *self.table()]
        rows += [(check.name, check.result) for check in self.checks]
        rows += [("seconds", f"{self.seconds:.1f}")]
        head = "What the numbers show, and what they do not:"
        return "\n".join([lined_up(rows, self.reasons), "", head, *meanings])

    @property
    def meanings(self) -> dict[str, str]:
        """What each part of the report can show, and what it cannot: a sentence each."""
        return dict(MEANINGS)

    def table(self) -> list[tuple[str, str]]:
        """Returns the numbers in words: pairs of a name and a text."""
        counts = ", ".join(f"{count:,} {kind}" for kind, count in self.num_rows.items())
        rows = ("rows", f"{counts}; {self.num_compared:,} of each compared")
        return [rows, *self._likeness_in_words(), *self._copies_in_words()]

    def _likeness_in_words(self):
        for name, scores in self.detection.items():
            yield (
                f"detection, {name}",
                "AUC {auc:.3f} +- {error:.3f} (real rows {real_auc:.3f}), score "
                "{score:.3f}".format(**scores),
            )
        yield from _mean_and_worst("Shape", columns_with_shape(self.shape))
        yield from _mean_and_worst("Trend", self.trend)
        yield "alpha-precision", _beside(*self.alpha_precision.values())
        yield "beta-recall", _beside(*self.beta_recall.values())
        if useful := self.utility:
            text = _beside(useful["synthetic"], useful["real"])
            name = f"{useful['score']} of {useful['target']}"
            yield name, f"{text}; difference +- {useful['error']:.3f}"

    def _copies_in_words(self):
        yield "nearer to training", f"{self.distances['nearer_to_training']:.3f}"
        close = _beside(self.distances["close"], self.distances["close_of_test"])
        yield "close to training", close
        columns = (self.distances[name] for name in ("level", "synthetic", "test"))
        for level, synthetic, test in zip(*columns, strict=True):
            text = f"distance {synthetic:.4f} to a training row, test rows {test:.4f}"
            yield f"nearest {level:.0%}", text
        share, usual = (self.copies[k] / self.num_rows[k] for k in JUDGED)
        text = f"{self.copies['synthetic']:,} ({share:.2%}), test rows {usual:.2%}"
        yield "copied rows", text
        for rule, broken in self.broken_rules.items():
            text = "broken by {synthetic:,} synthetic and {test:,} test rows"
            yield f"rule {rule}", text.format(**broken)

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> SynthesisReport:
        """Returns the report from the result of `to_plain`."""
        trend = [tuple(pair) for pair in plain["trend"]]
        return super().from_plain({**plain, "trend": trend})


def synthesis_report(
    synthetic: Any,
    train: Any,
    real_test: Any,
    columns: TableColumns,
    *,
    target: str | None = None,
    max_rows: int = 10_000,
    seed: int | None = None,
) -> SynthesisReport:
    """Compares synthetic rows, of any origin, with real ones.

    It needs scikit-learn (`pip install 'tfp_flows[sklearn]'`).

    Args:
      synthetic: rows that are judged, with all columns; a frame as for `describe_columns`.
        Numbers are clipped 1e6 ranges beyond the ends of the real rows, so that squares do
        not overflow.
      train: real rows that they were made from.
      real_test: real rows that the fit has not seen, from the same distribution as `train`.
        A random half or tenth of a table will do.
      columns: the `TableColumns` of all three.
      target: name of a column that models trained on synthetic rows predict; None: the
        report has no utility.
      max_rows: maximum number of rows of each kind that are compared.
      seed: integer that determines the rows, folds and classifiers; random if None.

    Returns:
      A `SynthesisReport`.

    Raises:
      ImportError: if scikit-learn is not installed.
      ValueError: if a column is missing or of another type, if there are fewer than 10 rows
        of a kind, or if an argument is out of its range.

    >>> import numpy as np
    >>> import tfp_flows
    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.normal(size=(2, 600))
    >>> real = {"x": x, "y": x + 0.1 * y}
    >>> train, test = ({k: v[i::2] for k, v in real.items()} for i in range(2))
    >>> shuffled = {k: rng.permutation(v) for k, v in train.items()}
    >>> columns = tfp_flows.describe_columns(real)
    >>> report = tfp_flows.tables.synthesis_report(shuffled, train, test, columns, seed=0)
    >>> report.verdict, report.detection["gradient boosting"]["auc"] > 0.8
    ('differs from real rows', True)
    """
    start = time.perf_counter()
    check_integer("max_rows", max_rows, minimum=10)
    check_seed("seed", seed)
    names = columns.names
    require(target is None or target in names, f"`target` of {names}", repr(target))
    frames = _frames(synthetic, train, real_test, names)
    features = dict(zip(frames, row_features(list(frames.values()), columns), strict=True))
    counts = {kind: len(frame) for kind, frame in frames.items()}
    copies = {
        kind: int(are_copies(features[kind], features["training"]).sum()) for kind in JUDGED
    }
    rules = {"synthetic": synthetic, "test": real_test}
    broken, share = _broken({k: violated_rules(rows, columns) for k, rows in rules.items()})
    seed = int(np.random.default_rng(seed).integers(2**31))  # an integer, also for None
    count = min(*counts.values(), max_rows)
    drawn, real = _drawn(features, count, seed)
    with fidelity.one_thread():
        measured = _measured(drawn, names, target, seed)
    measured |= {
        "num_rows": counts,
        "num_compared": count,
        "distances": _distances(drawn, real),
        "copies": copies,
        "broken_rules": broken,
    }
    seconds = time.perf_counter() - start
    return SynthesisReport(**measured, **judge(measured, share), seconds=seconds)


def _frames(synthetic, train, real_test, names):
    """The frames of all rows by kind; refuses missing columns and too few rows."""
    tables = {"synthetic": synthetic, "train": train, "real_test": real_test}
    frames = [Frame(rows, argument) for argument, rows in tables.items()]
    for frame, argument in zip(frames, tables, strict=True):
        frame.take(names, argument)
    counts = dict(zip(tables, map(len, frames), strict=True))
    require(min(counts.values()) >= 10, "at least 10 rows of each kind", counts)
    return dict(zip(("synthetic", "training", "test"), frames, strict=True))


def _broken(rules):
    """Counts of rows that break each rule, and the share of synthetic rows that do."""
    counts = {
        rule: {kind: int(is_broken[rule].sum()) for kind, is_broken in rules.items()}
        for rule in rules["synthetic"]
    }
    is_broken = np.any(list(rules["synthetic"].values()), axis=0)
    broken = {rule: kinds for rule, kinds in counts.items() if any(kinds.values())}
    return broken, float(np.mean(is_broken))


def _drawn(features, count, seed):
    """Draws the rows of each kind that are compared, and joins the two real kinds."""
    rng = np.random.default_rng(seed)
    drawn = {
        kind: rows.take(rng.permutation(len(rows.x))[:count])
        for kind, rows in features.items()
    }
    real = np.concatenate([drawn["training"].x, drawn["test"].x])
    real = drawn["test"]._replace(x=real)
    drawn["synthetic"] = bounded_by(real, drawn["synthetic"])
    return drawn, real


def _measured(drawn, names, target, seed):
    """The fields of the report that compare synthetic and training rows with test rows."""
    train, synthetic, test = (drawn[kind] for kind in ("training", "synthetic", "test"))
    kinds, both = ("synthetic", "real"), (synthetic, train)
    areas, real_areas = (fidelity.detection(test, rows, seed) for rows in both)
    detection = {}
    for name, (auc, error) in areas.items():
        scores = {"auc": auc, "error": error, "score": 2.0 - 2.0 * max(auc, 0.5)}
        real = dict(zip(("real_auc", "real_error"), real_areas[name], strict=True))
        detection[name] = scores | real
    falls = fidelity.telling_columns(test, synthetic, seed)
    shapes = np.stack([fidelity.shape(test, rows) for rows in both], axis=-1)
    trends = np.stack([fidelity.trend(test, rows) for rows in both], axis=-1)
    balls = [fidelity.precision_and_recall(test, rows) for rows in both]
    precisions, recalls = zip(*balls, strict=True)
    utility = None
    if target is not None:
        place = names.index(target)
        if found := fidelity.utility(train, synthetic, test, place, seed):
            utility = {"target": target, **found._asdict()}
    return {
        "detection": detection,
        "telling_columns": {names[k]: float(falls[k]) for k in np.argsort(-falls)},
        "shape": {
            name: dict(zip(kinds, map(_number, pair), strict=True))
            for name, pair in zip(names, shapes, strict=True)
        },
        "trend": tuple(
            (names[i], names[j], *trends[i, j].tolist())
            for i, j in itertools.combinations(range(len(names)), 2)
            if np.isfinite(trends[i, j]).all()
        ),
        "association": {
            kind: [[_number(x) for x in row] for row in fidelity.association(rows)]
            for kind, rows in (("synthetic", synthetic), ("test", test))
        },
        "alpha_precision": dict(zip(kinds, precisions, strict=True)),
        "beta_recall": dict(zip(kinds, recalls, strict=True)),
        "utility": utility,
    }


def _distances(drawn: dict[str, RowFeatures], scale: RowFeatures) -> dict[str, Any]:
    """The distances to the closest records, of rows by kind.

    Training and test rows together are the scale: the ranks of one kind alone would be
    finer where it has rows.
    """
    train, synthetic, test = (drawn[kind] for kind in ("training", "synthetic", "test"))
    to_train = fidelity.nearest_distances(synthetic, train, scale)
    to_test = fidelity.nearest_distances(synthetic, test, scale)
    usual = fidelity.nearest_distances(test, train, scale)
    is_nearer = (to_train < to_test) + 0.5 * (to_train == to_test)
    return {
        "nearer_to_training": float(is_nearer.mean()),
        "level": list(_QUANTILES),
        "synthetic": np.quantile(to_train, _QUANTILES).tolist(),
        "test": np.quantile(usual, _QUANTILES).tolist(),
        "close": float(np.mean(to_train <= np.quantile(usual, _CLOSE))),
        "close_of_test": float(np.mean(usual <= np.quantile(usual, _CLOSE))),
    }


def _number(value):
    return float(value) if np.isfinite(value) else None


def _beside(value, real):
    return f"{value:.3f} (real rows {real:.3f})"


def _mean_and_worst(name, entries):
    """Rows of the table on entries (names, synthetic, real); none without entries."""
    if not entries:
        return []
    means = [float(np.mean([entry[k] for entry in entries])) for k in (-2, -1)]
    *names, value, real = min(entries, key=lambda entry: entry[-2])
    worst = f"worst {_beside(value, real)}: {', '.join(names)}"
    return [(name, f"{_beside(*means)}; {worst}")]
