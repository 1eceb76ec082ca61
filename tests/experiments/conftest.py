"""Finished runs that many tests read, and what makes the runs of others quick."""

import contextlib
import dataclasses
import functools
import types

import numpy as np
import pytest
import small_commands
from derivatives import op_by_op
from short_fits import few_trees
from sklearn import ensemble
from tiny_runs import TINY, in_folder, quick_runs

from experiments.command_line import program
from experiments.density_estimation import diagnostics
from experiments.density_estimation import experiment as density_estimation
from experiments.density_estimation.models import FLOWS
from experiments.density_estimation.settings import Settings
from experiments.reports import plots, predictions
from experiments.table_density import evaluation

DIGITS = Settings(dataset="digits", epochs=1, num_samples=50, progress=0)
IMAGES = dataclasses.replace(DIGITS, num_levels=1, hidden_channels=2)
TABLE = {"dataset": "npz", "npz_path": "rows.npy"}
DEFAULT_STEPS = Settings().num_steps  # of a flow that has but one
RUNS = {
    **{
        name: dataclasses.replace(TINY, flow=name)
        for name, flow in FLOWS.items()
        if not (flow.is_binary or flow.takes_images)
    },
    "made": dataclasses.replace(TINY, flow="made", num_steps=DEFAULT_STEPS),
    "mixture_made": dataclasses.replace(TINY, flow="mixture_made", num_steps=DEFAULT_STEPS),
    "table": dataclasses.replace(TINY, **TABLE, context_columns=("0", "3")),
    "by_class": dataclasses.replace(
        TINY, dataset="digits", conditional=True, num_samples=200
    ),
    "glow": dataclasses.replace(IMAGES, flow="glow", num_steps=1),
    "real_nvp_image": dataclasses.replace(
        IMAGES, flow="real_nvp_image", num_blocks=1, batch_norm=True
    ),
    "tarflow": dataclasses.replace(
        DIGITS, flow="tarflow", patch_size=4, num_layers=1, num_units=4, num_heads=1
    ),
}


@pytest.fixture(autouse=True, scope="session")
def _small_reports():
    with few_trees(20), pytest.MonkeyPatch.context() as patch:
        patch.setattr(plots, "DOTS_PER_INCH", 60)
        # Baselines of predictions are in the report of the run of one variable.
        patch.setattr(diagnostics, "_MAX_VARIABLES", 1)
        trees = ("HistGradientBoostingClassifier", "HistGradientBoostingRegressor")
        few = {n: functools.partial(getattr(ensemble, n), max_iter=20) for n in trees}
        for module in (predictions, evaluation):
            patch.setattr(module, "ensemble", types.SimpleNamespace(**few))
        yield


@pytest.fixture(autouse=True, scope="session")
def _signals_of_pytest():
    """Commands that a test calls leave Ctrl-C and SIGTERM to pytest."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program, "stop_at_once", lambda message=None: None)
        yield


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """Function of a name in `RUNS` that returns the folder of that run, finished."""
    root, found = tmp_path_factory.mktemp("finished"), {}
    path = str(root / "rows.npy")
    np.save(path, np.random.default_rng(0).normal(size=(500, 5)))

    def run(name):
        if name not in found:
            settings = in_folder(RUNS[name], root / name)
            if settings.dataset == "npz":
                settings = dataclasses.replace(settings, npz_path=path)
            # A few steps take less time op by op; the flows run as users run them.
            with contextlib.nullcontext() if name in FLOWS else op_by_op():
                density_estimation.run(settings)
            found[name] = root / name
        return found[name]

    return run


@pytest.fixture(scope="session")
def inputs(tmp_path_factory):
    """The folder of what `small_commands` read."""
    folder = tmp_path_factory.mktemp("inputs")
    small_commands.write_inputs(folder)
    return folder


@pytest.fixture(scope="module")
def _quick():
    with quick_runs():
        yield
