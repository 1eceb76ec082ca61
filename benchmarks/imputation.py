"""Completes hidden cells of tables, beside scikit-learn's `IterativeImputer`.

    python -m benchmarks.imputation --csv=A.csv --csv=B.csv --seed=0 --seed=1

A seed divides the rows, hides cells and seeds the fits. A fifth of the rows, at most 200,
are test rows, without those of a category that no training row has. A fifth of their
numbers is hidden. Each contender is fitted to the other rows and draws 50 completions:
`TableDensity`, `IterativeImputer` with its Bayesian linear regression, and with gradient
boosting, whose draws add residuals of held-out rows. Categories are never hidden; the two
imputers see them one-hot.

Scores are means over the hidden cells, in standard deviations of the training column: the
root mean squared error of the mean of the draws, and the logarithm of a kernel density of
the draws at the hidden number, to which the training column adds one wide normal kernel, so
that no single number decides. The table has means over the seeds. Finished results are
kept in the file `--out`.
"""

import itertools
import json
import pathlib
import sys
import time

import numpy as np
import pandas as pd
from absl import app, flags
from scipy import stats
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer

import tfp_flows
from benchmarks import runner
from experiments.reports.page import table

_NUM_DRAWS = 50
_HIDDEN = 0.2
_MOST_TEST_ROWS = 200
_LEAST_BANDWIDTH = 0.01  # standard deviations of the column
_FEW_VALUES = 10  # numbers of so few values are categories, and never hidden


def table_density(train, hidden, seed):
    """Returns completions of rows by `TableDensity`, a list of frames."""
    columns = tfp_flows.describe_columns(pd.concat([train, hidden]))
    density = tfp_flows.TableDensity(columns, seed=seed)
    density.fit(train, verbose=0)
    repeated = pd.concat([hidden] * _NUM_DRAWS, ignore_index=True)
    completed = density.impute(repeated, seed=seed, num_candidates=64)
    return [
        completed.iloc[k * len(hidden) : (k + 1) * len(hidden)] for k in range(_NUM_DRAWS)
    ]


def linear_regressions(train, hidden, seed):
    """Returns the same by `IterativeImputer` with its defaults, and posterior draws."""
    known, rows = _one_hot(train, hidden)
    imputers = [
        IterativeImputer(sample_posterior=True, random_state=seed + k).fit(known)
        for k in range(_NUM_DRAWS)
    ]
    return [pd.DataFrame(i.transform(rows), columns=rows.columns) for i in imputers]


def boosting(train, hidden, seed):
    """Returns the same by `IterativeImputer` with gradient boosting, and residuals."""
    rng = np.random.default_rng(seed)
    known, rows = _one_hot(train, hidden)
    is_held_out = rng.uniform(size=len(known)) < 0.2
    fitted, judged = known[~is_held_out], known[is_held_out]
    imputer = IterativeImputer(
        HistGradientBoostingRegressor(random_state=seed),
        initial_strategy="median",
        max_iter=3,
        random_state=seed,
    ).fit(fitted)
    names = list(hidden.columns[hidden.isna().any()])
    masked = judged.copy()
    is_hidden = rng.uniform(size=(len(judged), len(names))) < _HIDDEN
    masked[names] = masked[names].mask(is_hidden)
    guessed, mean = (
        pd.DataFrame(imputer.transform(x), columns=rows.columns) for x in (masked, rows)
    )
    residuals = {}
    for name, where in zip(names, is_hidden.T, strict=True):
        residuals[name] = (judged[name].to_numpy() - guessed[name].to_numpy())[where]
    completed = []
    for _ in range(_NUM_DRAWS):
        noise = {name: rng.choice(residuals[name], len(rows)) for name in names}
        completed.append(mean[names] + pd.DataFrame(noise))
    return completed


CONTENDERS = {
    "TableDensity": table_density,
    "IterativeImputer": linear_regressions,
    "with boosting": boosting,
}


def _one_hot(train, hidden):
    """Returns both frames with categories as indicators, numbers as floats."""
    both = pd.concat([train, hidden], ignore_index=True)
    are_numbers = [pd.api.types.is_numeric_dtype(dtype) for dtype in both.dtypes]
    texts = list(both.columns[~np.array(are_numbers)])
    both = pd.get_dummies(both, columns=texts).astype(float)
    return both[: len(train)], both[len(train) :].reset_index(drop=True)


def task(path, seed):
    """Returns training rows, test rows and test rows with hidden numbers."""
    frame = pd.read_csv(path).dropna().reset_index(drop=True)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(frame))
    count = len(frame) // 5
    test, train = frame.iloc[order[:count]], frame.iloc[order[count:]]
    train = train.reset_index(drop=True)
    for name in train.select_dtypes(exclude="number"):
        test = test[test[name].isin(train[name])]
    test = test.iloc[:_MOST_TEST_ROWS].reset_index(drop=True)
    names = [
        name
        for name in frame.select_dtypes("number")
        if train[name].nunique() > _FEW_VALUES
    ]
    hidden = test.copy()
    is_hidden = rng.uniform(size=(len(test), len(names))) < _HIDDEN
    hidden[names] = hidden[names].astype(float).mask(is_hidden)
    return train, test, hidden


def scores(completed, train, test, hidden):
    """Returns the root mean squared error and the log score of completions."""
    squares, nats = [], []
    for name in hidden.columns[hidden.isna().any()]:
        where = hidden[name].isna().to_numpy()
        scale = train[name].std()
        draws = np.stack([np.asarray(each[name], float)[where] for each in completed])
        draws, true = draws / scale, test[name].to_numpy(float)[where] / scale
        width = 1.06 * draws.std(axis=0) * _NUM_DRAWS**-0.2
        width = np.maximum(width, _LEAST_BANDWIDTH)
        wide = stats.norm.logpdf(true, train[name].mean() / scale, 1.0)
        logs = np.vstack([stats.norm.logpdf(true, draws, width), wide])
        nats.append(np.logaddexp.reduce(logs, axis=0) - np.log(len(logs)))
        squares.append((draws.mean(axis=0) - true) ** 2)
    squares, nats = np.concatenate(squares), np.concatenate(nats)
    return {
        "rmse": float(squares.mean() ** 0.5),
        "nats": float(nats.mean()),
        "error": float(nats.std() / len(nats) ** 0.5),
        "cells": len(nats),
    }


def main(argv):
    """Completes all tables by all contenders and prints the table of scores."""
    del argv
    values = flags.FLAGS
    out = pathlib.Path(values.out)
    found = json.loads(out.read_text()) if out.exists() else {}
    for seed, path in itertools.product(values.seed, values.csv):
        train, test, hidden = task(path, seed)
        for contender, complete in CONTENDERS.items():
            key = f"{pathlib.Path(path).stem} | {contender} | {seed}"
            if key not in found:
                start = time.process_time()
                completed = complete(train, hidden, seed)
                found[key] = scores(completed, train, test, hidden)
                found[key]["seconds"] = time.process_time() - start
                found[key]["rows"] = len(train)
                out.write_text(json.dumps(found, indent=1))
                print(key, found[key], file=sys.stderr, flush=True)
    runner.print_head()
    print(as_table(found))


def as_table(found):
    """Returns means over the seeds as a Markdown table, a row a table of data."""
    columns = ["table", "contender", "seed"]
    all_scores = pd.DataFrame(found.values())
    all_scores[columns] = [key.split(" | ") for key in found]
    # The divisions are taken as independent.
    all_scores["error"] **= 2
    by_table = all_scores.groupby(columns[:2], sort=False)
    mean = by_table.mean(numeric_only=True)
    mean["error"] = (mean["error"] / by_table.size()) ** 0.5
    mean["cells"] = by_table["cells"].sum()
    rows = []
    for name in dict.fromkeys(all_scores["table"]):
        own = [mean.loc[(name, contender)] for contender in CONTENDERS]
        counts = [f"{own[0][each]:.0f}" for each in ("rows", "cells")]
        errors = [f"{each['rmse']:.3f}" for each in own]
        nats = [f"{each['nats']:.3f} ± {each['error']:.3f}" for each in own]
        rows.append((name, *counts, *errors, *nats))
    heads = [f"{word}, {each}" for word in ("error", "nats") for each in CONTENDERS]
    return table(("table", "training rows", "hidden cells", *heads), rows)


if __name__ == "__main__":
    flags.DEFINE_multi_string("csv", [], "Files of columns with a heading.")
    flags.DEFINE_multi_integer("seed", [0], "Seeds of the divisions and the fits.")
    flags.DEFINE_string("out", "imputation.json", "File that keeps finished results.")
    app.run(main)
