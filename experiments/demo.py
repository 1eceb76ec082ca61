"""Fits RealNVP to a toy density, and RealNVP and Glow to real 8x8 digits."""

from experiments import density_estimation
from experiments.density_estimation import report
from experiments.density_estimation.settings import Settings

# Defaults of the time when the figures in docs/results.md were measured.
_AS_MEASURED = {
    "activation": "relu",
    "decorrelate": False,
    "heavy_tails": False,
    "weight_prior": False,
}

RUNS = (
    Settings(dataset="two_moons", run_dir="demo/two_moons", progress=0, **_AS_MEASURED),
    Settings(
        dataset="digits",
        run_dir="demo/digits",
        **_AS_MEASURED,
        num_steps=4,
        lu_mixing=True,
        batch_size=64,
        epochs=60,
        learning_rate=1e-3,
        weight_decay=0.1,
        ema_momentum=0.99,
        progress=0,
    ),
    Settings(
        dataset="digits",
        flow="glow",
        run_dir="demo/digits_glow",
        num_levels=2,
        num_steps=4,
        batch_size=128,
        epochs=50,
        learning_rate=4e-3,
        progress=0,
    ),
)


def main():
    """Runs all, and prints each table and the folder of its pictures."""
    for settings in RUNS:
        print(f"Fitting {settings.flow} to {settings.dataset} ...", flush=True)
        results = density_estimation.run(settings)
        seconds = results["training_seconds"]
        print(f"\n{report.table(results)}")
        print(f"Trained for {seconds:.0f} s; pictures and report: {settings.run_dir}/\n")


if __name__ == "__main__":
    main()
