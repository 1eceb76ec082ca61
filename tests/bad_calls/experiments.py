"""Bad calls of the functions that the experiments offer to Python."""

from bad_calls.bad_call import BadCall
from experiments import compare
from experiments.data import Request
from experiments.data import load_dataset
from experiments.density_estimation import experiment as density_estimation
from experiments.density_estimation.models import build_distribution
from experiments.density_estimation.settings import Settings
from experiments.iaf_vae import experiment as iaf_vae
from experiments.iaf_vae.settings import VAESettings
from experiments.neutra import experiment as neutra
from experiments.neutra.settings import NeutraSettings
from experiments.posterior_inference import experiment as posterior_inference
from experiments.posterior_inference.settings import PosteriorSettings

CALLS = {
    "Settings of half a step": BadCall(
        lambda: Settings(num_steps=2.5), "integer `num_steps`", "2.5"
    ),
    "Settings of steps in letters": BadCall(
        lambda: Settings(num_steps="8"), "integer `num_steps`", "'8'"
    ),
    "Settings, widths of a string": BadCall(
        lambda: Settings(hidden_units="64"), "`hidden_units`", "'64'"
    ),
    "Settings, a switch of letters": BadCall(
        lambda: Settings(standardize="no"), "`standardize`", "'no'"
    ),
    "Settings, step size of letters": BadCall(
        lambda: Settings(learning_rate="fast"), "number `learning_rate`", "'fast'"
    ),
    "Settings, columns of a string": BadCall(
        lambda: Settings(context_columns="age"), "`context_columns`", "'age'"
    ),
    "Settings, data set of a number": BadCall(
        lambda: Settings(dataset=3), "string `dataset`", "got 3"
    ),
    "Settings, unknown field": BadCall(lambda: Settings(steps=3), "steps"),
    "density_estimation.run of an unknown data set": BadCall(
        lambda: density_estimation.run(Settings(dataset="moons", run_dir="run")),
        "`dataset`",
        "'moons'",
    ),
    "density_estimation.run of an unknown flow": BadCall(
        lambda: density_estimation.run(Settings(flow="flow", run_dir="run")),
        "`flow`",
        "'flow'",
    ),
    "density_estimation.run of a missing table": BadCall(
        lambda: density_estimation.run(
            Settings(dataset="csv", csv_path="no.csv", run_dir="run")
        ),
        "no.csv",
    ),
    "density_estimation.run of both norms": BadCall(
        lambda: density_estimation.run(
            Settings(batch_norm=True, act_norm=True, run_dir="run")
        ),
        "`batch_norm` and `act_norm`",
    ),
    "density_estimation.run of a dictionary": BadCall(
        lambda: density_estimation.run({"dataset": "two_moons"}), "`settings`", "Settings"
    ),
    "iaf_vae.run of a density's settings": BadCall(
        lambda: iaf_vae.run(Settings(run_dir="run")), "`settings`", "VAESettings"
    ),
    "VAESettings of no latent": BadCall(
        lambda: VAESettings(latent_size=0), "`latent_size`", "got 0"
    ),
    "VAESettings of half a latent": BadCall(
        lambda: VAESettings(latent_size=1.5), "integer `latent_size`", "1.5"
    ),
    "posterior_inference.run of an unknown target": BadCall(
        lambda: posterior_inference.run(PosteriorSettings(target="nine", run_dir="run")),
        "`target`",
        "'nine'",
    ),
    "posterior_inference.run of an unknown posterior": BadCall(
        lambda: posterior_inference.run(PosteriorSettings(posterior="q", run_dir="run")),
        "`posterior`",
        "'q'",
    ),
    "PosteriorSettings, widths of a string": BadCall(
        lambda: PosteriorSettings(hidden_units="32"), "`hidden_units`", "'32'"
    ),
    "load_dataset of an unknown name": BadCall(
        lambda: load_dataset("moons"), "`dataset`", "two_moons", "'moons'"
    ),
    "load_dataset of a number": BadCall(lambda: load_dataset(3), "`dataset`", "got 3"),
    "load_dataset, unknown argument": BadCall(
        lambda: load_dataset("two_moons", rows=3), "rows"
    ),
    "load_dataset of a missing table": BadCall(
        lambda: load_dataset("csv", csv_path="no.csv"), "no.csv"
    ),
    "load_dataset of no table": BadCall(lambda: load_dataset("csv"), "csv_path"),
    "load_dataset, share of letters": BadCall(
        lambda: load_dataset("csv", csv_path="no.csv", test_share="half"),
        "`test_share`",
        "'half'",
    ),
    "load_dataset, seed of letters": BadCall(
        lambda: load_dataset("two_moons", seed="a"), "`seed`", "'a'"
    ),
    "Request, negative bits": BadCall(lambda: Request(num_bits=0), "`num_bits`", "0"),
    "build_distribution of an unknown base": BadCall(
        lambda: build_distribution(Settings(base="uniform"), 2), "`base`", "'uniform'"
    ),
    "build_distribution of no variable": BadCall(
        lambda: build_distribution(Settings(flow="maf"), 0), "`event_size`", "got 0"
    ),
    "compare.draw of no runs": BadCall(
        lambda: compare.draw({}, "pictures/comparison.png"), "`finished`", "got none"
    ),
    "CompareSettings of no folder": BadCall(
        lambda: compare.CompareSettings(), "at least one folder", "got none"
    ),
    "CompareSettings, picture of another kind": BadCall(
        lambda: compare.CompareSettings(picture="a.xyz", folders=("run",)),
        "`picture`",
        "'a.xyz'",
    ),
    "load_dataset of no pictures": BadCall(lambda: load_dataset("images"), "images_path"),
    "neutra.run of an unknown target": BadCall(
        lambda: neutra.run(NeutraSettings(target="nine", run_dir="run")),
        "`target`",
        "'nine'",
    ),
    "neutra.run of other settings": BadCall(
        lambda: neutra.run(PosteriorSettings(run_dir="run")), "`settings`", "NeutraSettings"
    ),
}
