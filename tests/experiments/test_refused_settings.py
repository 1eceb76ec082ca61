"""Settings and calls of experiments that are refused."""

from refusals import bad_calls

from experiments import compare
from experiments.data import Request
from experiments.data import load_dataset
from experiments.density_estimation import experiment as density_estimation
from experiments.density_estimation.models import build_distribution
from experiments.density_estimation.settings import Settings
from experiments.iaf_vae import experiment as iaf_vae
from experiments.neutra import experiment as neutra
from experiments.posterior_inference.settings import PosteriorSettings

BAD_CALLS = [
    (lambda: Settings(num_steps=2.5), "integer `num_steps` | 2.5"),
    (lambda: Settings(hidden_units="64"), "`hidden_units` | '64'"),
    (lambda: Settings(standardize="no"), "`standardize` | 'no'"),
    (lambda: Settings(learning_rate="fast"), "number `learning_rate` | 'fast'"),
    (lambda: Settings(dataset=3), "string `dataset` | got 3"),
    (lambda: Settings(steps=3), "steps"),
    (lambda: density_estimation.run({"dataset": "two_moons"}), "`settings` | Settings"),
    (lambda: iaf_vae.run(Settings(run_dir="run")), "`settings` | VAESettings"),
    (lambda: neutra.run(PosteriorSettings(run_dir="run")), "`settings` | NeutraSettings"),
    (lambda: load_dataset("moons"), "`dataset` | two_moons | 'moons'"),
    (lambda: load_dataset(3), "`dataset` | got 3"),
    (lambda: load_dataset("two_moons", rows=3), "rows"),
    (lambda: load_dataset("csv"), "csv_path"),
    (lambda: load_dataset("csv", csv_path="x", test_share="half"), "`test_share` | 'half'"),
    (lambda: Request(num_bits=0), "`num_bits` | 0"),
    (lambda: build_distribution(Settings(flow="maf"), 0), "`event_size` | got 0"),
    (lambda: compare.draw({}, "pictures/comparison.png"), "`finished` | got none"),
]


@bad_calls(BAD_CALLS)
def test_bad_call_is_refused_in_words(call, words, check_refused):
    check_refused(call, words)
