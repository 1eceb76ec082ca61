"""A small command line of each kind, which tests kill, or take the disk away from."""

import dataclasses

import numpy as np
import pandas as pd
from tiny_runs import TINY, TINY_POSTERIOR, TINY_VAE, quick_runs

from experiments.density_estimation import experiment as density_estimation
from experiments.neutra import NeutraSettings
from experiments.table_density.settings import TableDensitySettings

POSTERIOR = {"posterior": "real_nvp", "target": "gaussian", "training_steps": 400}
_TABLE = {
    **{"csv_path": "table.csv", "num_members": 1, "hidden_units": (4,), "num_bins": 4},
    "progress": 0,
}
_IMAGES = {"dataset": "digits", "flow": "nice"}
_FITTED = ["--model=fitted", "--progress=0", "--out=out.csv"]


def _flags(settings, *, but=(), **changes):
    """Flags of settings with changes, which write into the folder `run`."""
    settings = dataclasses.replace(settings, run_dir="run", **changes)
    flags = settings.flags(only_changed=True)
    return [flag for flag in flags if not flag.startswith(tuple(but))]


# Name of the module, and the flags, which name files of the folder.
COMMANDS = {
    "density_estimation": (
        "density_estimation.experiment",
        _flags(TINY, epochs=8, batch_size=500, batch_norm=True, ema_momentum=0.9),
    ),
    "iaf_vae": (
        "iaf_vae.experiment",
        _flags(TINY_VAE, epochs=4, ema_momentum=0.9, warm_up_epochs=3),
    ),
    "table_density": (
        "table_density.experiment",
        _flags(TableDensitySettings(**_TABLE, epochs=60, patience=60)),
    ),
    "posterior_inference": (
        "posterior_inference.experiment",
        _flags(TINY_POSTERIOR, **POSTERIOR),
    ),
    "fit_posterior": (
        "posterior_inference.experiment",
        _flags(TINY_POSTERIOR, **POSTERIOR, method="fit_posterior"),
    ),
    "neutra": (
        "neutra",
        _flags(NeutraSettings(**vars(TINY_POSTERIOR)), **POSTERIOR),
    ),
    "folds": ("folds", ["--num_folds=2", "--run_dir=run", "small.flags"]),
    "prediction_folds": (
        "prediction_folds",
        [
            *_flags(TableDensitySettings(**_TABLE, epochs=20)),
            *("--target=kind", "--num_folds=3"),
        ],
    ),
    "score": ("score", [*_FITTED, "--csv=rows.csv"]),
    "predict": ("predict", [*_FITTED, "--csv=rows.csv", "--draws=20"]),
    "sample": ("sample", [*_FITTED, "--given=rows.csv", "--rows=2"]),
    "out_of_distribution": (
        "out_of_distribution",
        ["--run_dir=images", "--others=digits", "--max_rows=100"],
    ),
    "compare": ("compare", ["images", "--picture=comparison.png"]),
}

# Those that train, and write into the folder `run`.
TRAININGS = [name for name, (_, flags) in COMMANDS.items() if "--run_dir=run" in flags]


def write_inputs(folder):
    """Writes what the commands read: tables, a model, a recipe, a finished run."""
    rng = np.random.default_rng(0)
    kind = rng.choice(["a", "b"], 80)
    table = {"kind": kind, "size": rng.normal(size=80) + (kind == "b")}
    pd.DataFrame(table).to_csv(folder / "table.csv", index=False)
    rows = pd.DataFrame(rng.normal(size=(400, 4)), columns=list("abcd"))
    rows.to_csv(folder / "rows.csv", index=False)
    recipe = _flags(TINY, but=["--run_dir"], flow="nice")
    (folder / "small.flags").write_text("\n".join(recipe))
    fitted = {
        "dataset": "csv",
        "csv_path": str(folder / "rows.csv"),
        "context_columns": ("c", "d"),
    }
    with quick_runs():
        for name, options in {"images": _IMAGES, "fitted": fitted}.items():
            settings = dataclasses.replace(TINY, **options, run_dir=str(folder / name))
            density_estimation.run(settings)
