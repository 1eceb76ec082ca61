"""Settings and calls of experiments that are refused."""

from refusals import bad_calls

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

BAD_CALLS = [
    (lambda: Settings(num_steps=2.5), "integer `num_steps` | 2.5"),
    (lambda: Settings(num_steps="8"), "integer `num_steps` | '8'"),
    (lambda: Settings(hidden_units="64"), "`hidden_units` | '64'"),
    (lambda: Settings(standardize="no"), "`standardize` | 'no'"),
    (lambda: Settings(learning_rate="fast"), "number `learning_rate` | 'fast'"),
    (lambda: Settings(context_columns="age"), "`context_columns` | 'age'"),
    (lambda: Settings(dataset=3), "string `dataset` | got 3"),
    (lambda: Settings(steps=3), "steps"),
    (
        lambda: density_estimation.run(Settings(dataset="moons", run_dir="run")),
        "`dataset` | 'moons'",
    ),
    (
        lambda: density_estimation.run(Settings(flow="flow", run_dir="run")),
        "`flow` | 'flow'",
    ),
    (
        lambda: density_estimation.run(
            Settings(dataset="csv", csv_path="no.csv", run_dir="run")
        ),
        "no.csv",
    ),
    (
        lambda: density_estimation.run(
            Settings(batch_norm=True, act_norm=True, run_dir="run")
        ),
        "`batch_norm` and `act_norm`",
    ),
    (lambda: density_estimation.run({"dataset": "two_moons"}), "`settings` | Settings"),
    (lambda: iaf_vae.run(Settings(run_dir="run")), "`settings` | VAESettings"),
    (lambda: VAESettings(latent_size=0), "`latent_size` | got 0"),
    (lambda: VAESettings(latent_size=1.5), "integer `latent_size` | 1.5"),
    (
        lambda: posterior_inference.run(PosteriorSettings(target="nine", run_dir="run")),
        "`target` | 'nine'",
    ),
    (
        lambda: posterior_inference.run(PosteriorSettings(posterior="q", run_dir="run")),
        "`posterior` | 'q'",
    ),
    (lambda: PosteriorSettings(hidden_units="32"), "`hidden_units` | '32'"),
    (lambda: load_dataset("moons"), "`dataset` | two_moons | 'moons'"),
    (lambda: load_dataset(3), "`dataset` | got 3"),
    (lambda: load_dataset("two_moons", rows=3), "rows"),
    (lambda: load_dataset("csv", csv_path="no.csv"), "no.csv"),
    (lambda: load_dataset("csv"), "csv_path"),
    (
        lambda: load_dataset("csv", csv_path="no.csv", test_share="half"),
        "`test_share` | 'half'",
    ),
    (lambda: load_dataset("two_moons", seed="a"), "`seed` | 'a'"),
    (lambda: Request(num_bits=0), "`num_bits` | 0"),
    (lambda: build_distribution(Settings(base="uniform"), 2), "`base` | 'uniform'"),
    (lambda: build_distribution(Settings(flow="maf"), 0), "`event_size` | got 0"),
    (lambda: compare.draw({}, "pictures/comparison.png"), "`finished` | got none"),
    (lambda: compare.CompareSettings(), "at least one folder | got none"),
    (
        lambda: compare.CompareSettings(picture="a.xyz", folders=("run",)),
        "`picture` | 'a.xyz'",
    ),
    (lambda: load_dataset("images"), "images_path"),
    (lambda: neutra.run(NeutraSettings(target="nine", run_dir="run")), "`target` | 'nine'"),
    (lambda: neutra.run(PosteriorSettings(run_dir="run")), "`settings` | NeutraSettings"),
]


@bad_calls(BAD_CALLS)
def test_bad_call_is_refused_in_words(call, words, check_refused):
    check_refused(call, words)
