"""Fits recipes to several divisions of their data and prints means over these.

    python -m experiments.folds --data_dir=DIR --run_dir=RUN_DIR RECIPE [RECIPE ...]

A recipe is a file of flags of `density_estimation`. Fold k has `--data_seed=k`, and its run
is in a folder of `--run_dir`; what has finished is only read.
"""

import dataclasses
import pathlib
import sys

import numpy as np

from experiments import density_estimation
from experiments.command_line import program
from experiments.command_line.flag_settings import FlagSettings
from experiments.command_line.flag_settings import UsageError
from experiments.command_line.flag_settings import field
from experiments.data import DataError
from experiments.density_estimation import models
from experiments.density_estimation import report
from experiments.density_estimation.settings import Settings
from experiments.reports.estimate import Estimate
from experiments.reports.estimate import plus_minus
from experiments.runs import joint_run

_HEADER = ("recipe", "flow", "test log-likelihood (nats, ± 2 s.e. over the folds)")
_HEADER += ("baseline", "ahead of it by", "least")


@dataclasses.dataclass(frozen=True)
class FoldSettings(FlagSettings):
    """The folds, and which recipes are fitted to each."""

    PROGRAM = "folds"
    POSITIONAL = "recipes"

    num_folds: int = field(10, "Values of --data_seed, from 0.", at_least=2)
    data_dir: str = field("", "As of `density_estimation`.")
    run_dir: str = field("runs/folds", "Folder of the folders of all runs.")
    recipes: tuple[str, ...] = field((), "Files of flags.")

    def __post_init__(self):
        super().__post_init__()
        if not self.recipes:
            raise UsageError("Expected at least one recipe; got none.")


def run(settings):
    """Returns the results of each fold, a list by recipe, and fits what is not fitted yet.

    Args:
      settings: a `FoldSettings`.
    """
    return {
        recipe: [
            density_estimation.run(fold)
            for fold in _folds(settings, _settings_of(recipe, settings.data_dir), recipe)
        ]
        for recipe in settings.recipes
    }


def table(found):
    """Returns what `run` returned as a Markdown table."""
    rows = [_HEADER, ("---",) * len(_HEADER)]
    rows += [_row(recipe, folds) for recipe, folds in found.items()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def cli(argv):
    """Runs a command line; its exit status is 2 for wrong use, and 1 for wrong data."""
    refusals = (DataError, *joint_run.REFUSALS)
    return program.run(
        argv,
        lambda settings: print(table(run(settings))),
        FoldSettings,
        description=__doc__,
        refusals=refusals,
    )


def _settings_of(recipe, data_dir):
    flags = [f"--flagfile={recipe}", *([f"--data_dir={data_dir}"] if data_dir else [])]
    settings = program.read_settings(["density_estimation", *flags], Settings)
    models.check(settings)
    return settings


def _folds(settings, of_recipe, recipe):
    root = pathlib.Path(settings.run_dir, pathlib.Path(recipe).stem)
    return [
        dataclasses.replace(of_recipe, data_seed=k, run_dir=str(root / str(k)))
        for k in range(settings.num_folds)
    ]


def _row(recipe, folds):
    values = np.array([results["test_log_likelihood"]["nats"] for results in folds])
    baselines = np.array([report.baseline(results)[1]["nats"] for results in folds])
    gains = values - baselines
    means = [Estimate.of_rows(x) for x in (values, baselines, gains)]
    texts = [plus_minus(dataclasses.asdict(mean)) for mean in means]
    return (pathlib.Path(recipe).stem, folds[0]["flow"], *texts, f"{gains.min():.3f}")


if __name__ == "__main__":
    sys.exit(cli(sys.argv))
