"""Scores test images of other data sets, and of a run's own, under a finished run.

tfp-flows out_of_distribution --run_dir=RUN_DIR --others=fashion_mnist
"""

import dataclasses
import math
import pathlib

import numpy as np
import scipy.stats

import tfp_flows
from experiments.command_line import program
from experiments.command_line.flag_settings import FlagSettings, field
from experiments.data import DATASETS, DataError, load_dataset
from experiments.density_estimation.settings import Settings
from experiments.fitted.row_tables import in_parts
from experiments.reports import plots
from experiments.runs import run_directory
from experiments.runs.run_directory import RunDirectoryError

_ROWS_A_CALL = 500
# Image data sets that need no path.
_OTHERS = [name for name, entry in DATASETS.items() if entry.is_image and entry.num_rows]


@dataclasses.dataclass(frozen=True)
class OutOfDistributionSettings(FlagSettings):
    """The run, and the other data sets to score."""

    PROGRAM = "out_of_distribution"
    REQUIRED = ("run_dir", "others")

    run_dir: str = field("", "Folder of the finished run.")
    others: tuple[str, ...] = field((), "Other data set to score.", one_of=_OTHERS)
    data_dir: str = field("", "Folder of the data; by default, that of the run.")
    max_rows: int = field(2000, "Maximum rows of each data set.", at_least=2)


def score(run_dir, others, *, data_dir="", max_rows=2000):
    """Returns bits per dimension of test rows, `[N]`, by data set, first of the run's own.

    The run is a finished, unconditional one on images of integers. `others` are names of
    data sets of images of the same shape. At most `max_rows` random rows of each are
    scored, from `data_dir`, or the folder of the run if that is empty.

    Raises:
      RunDirectoryError: if there is no such run.
      DataError: if a data set is missing, or its images have another shape.
    """
    results, settings = _read_run(run_dir, data_dir)
    model = tfp_flows.load(pathlib.Path(run_dir) / "model.keras")
    bins = results["bits_per_dimension"]["bins_per_unit"]
    scores = {}
    for name in dict.fromkeys([settings.dataset, *others]):
        dataset = load_dataset(name, **settings.data_arguments())
        if (dataset.event_size, dataset.bin_width) != (results["event_size"], 1.0 / bins):
            raise DataError(
                f"Expected images of {results['event_size']} integers below {bins:.0f}, as "
                f"those of {settings.dataset}; got {name}."
            )
        scores[name] = _bits(model.distribution, dataset, max_rows)
    return scores


def separation(scores, others):
    """Returns the share of pairs with `others` above `scores`: the area of an ROC curve."""
    wins = scipy.stats.mannwhitneyu(others, scores).statistic
    return float(wins / (len(scores) * len(others)))


def _read_run(run_dir, data_dir):
    """Returns the results of a run and its `Settings`, with `data_dir` unless empty."""
    results = run_directory.finished_results(run_dir) or {}
    is_density = "test_log_likelihood" in results  # a VAE has bits per dimension too
    is_of_images = is_density and results.get("bits_per_dimension")
    if not is_of_images or results.get("context_size"):
        raise RunDirectoryError(
            "Expected a finished, unconditional run of `tfp-flows density` on images in "
            f"{run_dir}; got none."
        )
    flags = [f"--flagfile={run_dir}/flags.txt"]
    # The folder may have been moved; the last flag of a name counts.
    flags += [f"--run_dir={run_dir}", *([f"--data_dir={data_dir}"] if data_dir else [])]
    return results, program.read_settings(["", *flags], Settings)


def _bits(distribution, dataset, max_rows):
    rows = np.random.default_rng(0).permutation(dataset.test)[:max_rows]
    nats = in_parts(distribution.log_prob, rows, rows_a_call=_ROWS_A_CALL)
    nats = nats.astype(np.float64)
    return -math.log2(dataset.bin_width) - nats / (dataset.event_size * math.log(2.0))


@program.command(OutOfDistributionSettings, description=__doc__)
def cli(settings):
    """Scores, and prints and draws bits per dimension."""
    scores = score(
        settings.run_dir,
        settings.others,
        data_dir=settings.data_dir,
        max_rows=settings.max_rows,
    )
    fitted, *others = scores
    lines = [f"{fitted}: {scores[fitted].mean():.3f} bits per dimension"]
    for name in others:
        share = separation(scores[fitted], scores[name])
        lines.append(
            f"{name}: {scores[name].mean():.3f} bits per dimension; less probable than one "
            f"of {fitted} in {share:.3f} of all pairs"
        )
    print("\n".join(lines))
    plots.overlaid_histograms(
        scores,
        pathlib.Path(settings.run_dir) / "out_of_distribution.png",
        label="bits per dimension",
        title=f"test images under the flow that was fitted to {fitted}",
    )
