"""Predicts a column of a table from the others, in folds, and compares baselines.

    tfp-flows prediction_folds --csv_path=wines.csv --target=quality

It has the flags of `tfp-flows table` for the table and its fit, `--target` and
`--num_folds`. Test rows of different folds are disjoint. For a number it reports the mean
negative log-likelihood, the CRPS in standard deviations of the training rows and the
coverage of intervals of 90 %, and compares quantile gradient boosting and a Gaussian
process. For a category it reports the log loss and the share of right classes, and
compares a gradient-boosted classifier tuned by cross-validation. Whole numbers, and numbers
with a step, have probabilities: those of the baselines are of bins of that width. Their
intervals cover at least their level, so the coverage by the randomised PIT is reported too
(Czado, Gneiting and Held 2009, https://doi.org/10.1111/j.1541-0420.2009.01191.x). If single
numbers of a column without a step have probabilities (spikes), the baselines' densities do
not compare with these, and are left out. Finished folds are read, and an interrupted fold
goes on from its last epochs.
"""

import dataclasses
import json
import pathlib
import time

import numpy as np
from sklearn import ensemble, model_selection

from experiments.command_line import program
from experiments.command_line.flag_settings import field
from experiments.data import DataError
from experiments.reports import page
from experiments.reports.baseline_predictions import baseline_predictions
from experiments.reports.predictions import (
    FLOW,
    LEVELS,
    can_stop_early,
    crps_of_quantiles,
    fit_quietly,
    log_probs_of_classes,
    shares_inside,
)
from experiments.runs import resuming, run_directory
from experiments.runs.atomic_write import atomic_write
from experiments.table_density import training
from experiments.table_density.data import CATEGORICAL, read_table
from experiments.table_density.features import features_of_each, one_hot_context
from experiments.table_density.settings import TableFitSettings

_HEADER = ("method", "folds", "negative log-likelihood (nats, ± s.e.)")
_HEADER += ("the flow is ahead by (± s.e.)", "right classes", "CRPS (± s.e.)")
_HEADER += ("coverage of 90 %", "by the randomised PIT", "seconds a fold")
_ENDS = LEVELS[0], LEVELS[-1]
# Options of the gradient-boosted classifier, and folds by which they are chosen.
_GRID = {
    "learning_rate": [0.02, 0.05, 0.1],
    "max_leaf_nodes": [8, 31],
    "l2_regularization": [0.0, 10.0],
}
_TUNING_FOLDS = 3


@dataclasses.dataclass(frozen=True)
class PredictionFoldSettings(TableFitSettings):
    """Settings of the fit, the column to predict, and the number of folds."""

    PROGRAM = "prediction_folds"
    REQUIRED = ("csv_path", "target")

    target: str = field("", "Column that is predicted.")
    num_folds: int = field(10, "Number of folds; each is the test set once.", at_least=2)
    run_dir: str = field("runs/prediction_folds", "Folder of the folds' results.")


def run(settings):
    """Fits the folds that are not finished, and returns the scores of all, by method."""
    frame, columns = read_table(settings)
    if settings.target not in columns.names:
        raise DataError(f"Expected `target` of {columns.names}; got {settings.target!r}.")
    column = columns[settings.target]
    if column.kind == "date" or column.num_missing:
        raise DataError(
            "Expected a `target` of numbers or categories without missing cells "
            "(--missing=drop leaves their rows out); got "
            f"{settings.target!r}: {column.kind}, {column.num_missing} missing."
        )
    given = settings.context_columns or [c for c in columns.names if c != settings.target]
    if column.kind == "constant" or not given or settings.target in given:
        raise DataError(
            f"Expected a `target` that varies and other columns to predict it from; got "
            f"{settings.target!r}: {column.kind}, from {list(given)}."
        )
    if settings.num_folds > len(frame):
        raise DataError(
            f"Expected `num_folds` of at most {len(frame)}, the number of rows; got "
            f"{settings.num_folds}."
        )
    columns = columns.select([*given, settings.target])
    with resuming.unfinished(settings) as run_dir:
        run_directory.refuse_other_file(run_dir, settings.csv_path, "table")
        return [
            _fold(frame[columns.names], columns, given, settings, run_dir, k)
            for k in range(settings.num_folds)
        ]


def table(folds):
    """Returns the results of `run` as a Markdown table."""
    rows = []
    for method in folds[0]:
        nll, of_flow = (_scores_of(folds, name, "nll") for name in (method, FLOW))
        ahead = "" if method == FLOW else _mean(nll - of_flow)
        shares = [_share(folds, method, name) for name in ("covered", "covered_by_pit")]
        seconds = f"{np.mean([fold[method]['seconds'] for fold in folds]):.1f}"
        scores = _mean(nll), ahead
        scores += tuple(_mean(_scores_of(folds, method, n)) for n in ("accuracy", "crps"))
        rows.append((method, str(len(folds)), *scores, *shares, seconds))
    return page.table(_HEADER, rows)


@program.command(PredictionFoldSettings, description=__doc__)
def cli(settings):
    """Fits, and prints the means over the folds."""
    program.stop_at_once()
    print(table(run(settings)))


def _share(folds, method, name):
    shares = [fold[method].get(name) for fold in folds]
    weights = [fold[method]["num_rows"] for fold in folds]
    return "" if None in shares else f"{np.average(shares, weights=weights):.3f}"


def _scores_of(folds, method, name):
    """The scores of a method, `[folds]`; NaN if it has none."""
    return np.array([fold[method].get(name, np.nan) for fold in folds])


def _mean(values):
    if np.isnan(values).any():
        return ""
    return f"{values.mean():.3f} ± {values.std(ddof=1) / np.sqrt(len(values)):.3f}"


def _fold(frame, columns, given, settings, run_dir, k):
    path = pathlib.Path(run_dir, f"fold_{k}.json")
    if path.is_file():
        return json.loads(path.read_text())
    order = np.random.default_rng(settings.data_seed).permutation(len(frame))
    is_test = np.zeros(len(frame), bool)
    is_test[order[k :: settings.num_folds]] = True
    sets = [frame[chosen].reset_index(drop=True) for chosen in (~is_test, is_test)]
    density = training.make_density(columns, given, settings)
    start, split = time.perf_counter(), settings.validation_share
    training.train(
        density, sets[0], settings, run_dir, validation_split=split, name=f"fold_{k}"
    )
    seconds = time.perf_counter() - start
    is_class = columns[settings.target].kind in CATEGORICAL
    scores = (_from_class if is_class else _from_number)(density, sets, settings)
    scores[FLOW]["seconds"] = seconds
    atomic_write(path, json.dumps(scores, indent=1))
    return scores


def _from_number(density, sets, settings):
    (train, test), name = sets, settings.target
    y, new_y = (rows[name].to_numpy(np.float64) for rows in (train, test))
    context, new_context = one_hot_context(density, sets)
    predicted = density.predict(test[density.context])
    grid = density.columns[name].grid
    step = None if grid is None else grid.step
    bins = None if step is None else [predicted.cdf(new_y - step), predicted.cdf(new_y)]
    nats, quantiles = predicted.log_prob(new_y), predicted.quantile(LEVELS)
    scale = y.std()
    scores = {FLOW: _scores(nats, quantiles, new_y, scale, bins)}
    start = time.perf_counter()
    baselines = baseline_predictions(context, y, new_context, settings.seed)
    seconds = time.perf_counter() - start
    for method, baseline in baselines.items():
        nats, bins = baseline.log_prob(new_y, step), None
        if step is not None:
            bins = [baseline.cdf(new_y - 0.5 * step), baseline.cdf(new_y + 0.5 * step)]
        method_scores = _scores(nats, baseline.quantiles, new_y, scale, bins)
        if step is None and _has_spikes(density.columns, name):
            del method_scores["nll"]
        scores[method] = {**method_scores, "seconds": seconds}
    return scores


def _has_spikes(columns, name):
    """Whether single numbers of a column, or of its difference, have probabilities."""
    # A sum that alone is modelled is no difference.
    kept = {d.name: d.column for d in columns.differences if d.column.is_number}
    are_equal = any(name in equality.names for equality in columns.equalities)
    return are_equal or bool(kept.get(name, columns[name]).spikes)


def _scores(nats, quantiles, y, scale, bins):
    """The scores of one method on observed y, `[N]`, with quantiles of `LEVELS`, `[N, L]`.

    The CRPS is divided by `scale`, the standard deviation of the training rows. `bins` are
    `P(Y < y)` and `P(Y <= y)` of numbers with a step; else None.
    """
    is_inside = (quantiles[:, 0] <= y) & (y <= quantiles[:, -1])
    scores = {
        "nll": float(-nats.mean()),
        "crps": float(crps_of_quantiles(y, quantiles).mean() / scale),
        "num_rows": len(y),
        "covered": float(is_inside.mean()),
    }
    if bins is not None:
        scores["covered_by_pit"] = float(np.mean(shares_inside(*bins, _ENDS)))
    return scores


def _from_class(density, sets, settings):
    """The scores of the test rows' classes: mean log losses, in nats, and accuracies."""
    (context, new_context), is_code = features_of_each(sets, density)
    y, new_y = (rows[settings.target].astype(str).to_numpy() for rows in sets)
    start, seed = time.perf_counter(), settings.seed
    folds = model_selection.KFold(_TUNING_FOLDS, shuffle=True, random_state=seed)
    stops = can_stop_early(y, *(y[rows] for rows, _ in folds.split(y)))
    model = ensemble.HistGradientBoostingClassifier(
        random_state=seed,
        early_stopping=stops,
        max_iter=500 if stops else 100,  # 100 is scikit-learn's default
        categorical_features=is_code,
    )
    search = model_selection.GridSearchCV(model, _GRID, scoring=_score, cv=folds)
    fit_quietly(search, context, y)
    boosted = {"nll": -_score(search, new_context, new_y)}
    boosted["accuracy"] = float(np.mean(search.predict(new_context) == new_y))
    boosted["seconds"] = time.perf_counter() - start
    likeliest = density.predict(sets[1][density.context]).mode()
    flow = {"nll": float(-density.log_prob(sets[1]).mean())}
    flow["accuracy"] = float(np.mean(likeliest == sets[1][settings.target].to_numpy()))
    count = {"num_rows": len(sets[1])}
    return {FLOW: flow | count, "gradient-boosted classifier": boosted | count}


def _score(model, x, y):
    return float(np.mean(log_probs_of_classes(model, x, y)))
