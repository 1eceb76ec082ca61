"""Fits recipes to several folds of their data and prints means over the folds.

    tfp-flows folds --data_dir=DIR --run_dir=RUN_DIR RECIPE [RECIPE ...]

A recipe is a file of flags of `tfp-flows density`. Fold k has `--data_seed=k`, and its run
is in a subfolder of `--run_dir`; finished runs are read. `--dataset=A --dataset=B` fits
each recipe to these data sets instead of its own.
"""

import dataclasses
import pathlib

import numpy as np

from experiments import density_estimation
from experiments.command_line import program
from experiments.command_line.flag_settings import FlagSettings, UsageError, field
from experiments.data import DATASETS
from experiments.density_estimation import models, report
from experiments.density_estimation.settings import Settings
from experiments.reports import page
from experiments.reports.estimate import estimate, plus_minus

_HEADER = ("recipe", "flow", "test log-likelihood (nats, ± 2 s.e. over the folds)")
_HEADER += ("baseline", "ahead of it by", "least", "worst row", "rows 20 nats below")


@dataclasses.dataclass(frozen=True)
class FoldSettings(FlagSettings):
    """The folds, and the recipes to fit to each."""

    PROGRAM = "folds"
    POSITIONAL = "recipes"
    REQUIRED = ("recipes",)

    num_folds: int = field(10, "Number of values of --data_seed, from 0.", at_least=2)
    dataset: tuple[str, ...] = field(
        (),
        "Data sets to fit each recipe to; by default, that of the recipe.",
        one_of=DATASETS,
    )
    data_dir: str = field("", "The flag of `tfp-flows density`.")
    run_dir: str = field("runs/folds", "Folder of all runs.")
    recipes: tuple[str, ...] = field((), "Files of flags.")


def run(settings):
    """Fits the folds that are not finished, and returns the results of all.

    Returns:
      A dict of lists, whose keys are the name of the recipe and, if given, the data set.
    """
    return {
        key: [density_estimation.run(fold) for fold in folds]
        for key, folds in _folds_by_key(settings).items()
    }


def table(found):
    """Returns the results of `run` as a Markdown table."""
    return page.table(_HEADER, [_row(key, folds) for key, folds in found.items()])


@program.command(FoldSettings, description=__doc__)
def cli(settings):
    """Fits, and prints the means over the folds."""
    program.stop_at_once()
    print(table(run(settings)))


def _folds_by_key(settings):
    folds = {}
    for recipe in settings.recipes:
        stem = pathlib.Path(recipe).stem
        for dataset in settings.dataset or ("",):
            given = {"data_dir": settings.data_dir, "dataset": dataset}
            key = "_".join(filter(None, (stem, dataset)))
            if key in folds:
                raise UsageError(f"Expected recipes of different names; got {key} twice.")
            folds[key] = _folds(settings, _recipe_settings(recipe, given), key)
    return folds


def _recipe_settings(recipe, given):
    flags = [f"--flagfile={recipe}"]
    flags += [f"--{name}={value}" for name, value in given.items() if value]
    settings = program.read_settings(["density_estimation", *flags], Settings)
    models.check(settings)
    return settings


def _folds(settings, from_recipe, key):
    root = pathlib.Path(settings.run_dir, key)
    return [
        dataclasses.replace(from_recipe, data_seed=k, run_dir=str(root / str(k)))
        for k in range(settings.num_folds)
    ]


def _row(key, folds):
    values = np.array([results["test_log_likelihood"]["nats"] for results in folds])
    baselines = np.array([report.baseline(results)[1]["nats"] for results in folds])
    gains = values - baselines
    texts = [plus_minus(estimate(x)) for x in (values, baselines, gains)]
    return (key, folds[0]["flow"], *texts, f"{gains.min():.3f}", *_worst_row(folds))


def _worst_row(folds):
    gaps = [results["gap_to_baseline"] for results in folds]
    far = sum(gap["rows_far_below"] for gap in gaps)
    rows = sum(results["num_rows"]["test"] for results in folds)
    return f"{np.min([gap['worst_row'] for gap in gaps]):.1f}", f"{far:,} of {rows:,}"
