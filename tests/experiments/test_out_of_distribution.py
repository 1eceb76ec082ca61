"""Other data sets under a finished run."""

import json
import math
import shutil

import numpy as np
import pytest
from refused import assert_refused
from tiny_runs import quick_runs

from experiments import out_of_distribution
from experiments.data import DataError
from experiments.data import load_dataset
from experiments.density_estimation import experiment as density_estimation
from experiments.density_estimation.settings import Settings
from experiments.runs.run_directory import RunDirectoryError


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    with quick_runs():
        density_estimation.run(
            Settings(
                dataset="digits",
                data_seed=3,
                flow="nice",
                num_steps=2,
                run_dir=str(folder),
                epochs=1,
                num_samples=60,
                hidden_units=(8,),
                progress=0,
            )
        )
    return folder


def test_own_rows_score_as_in_the_results(run_dir):
    (bits,) = out_of_distribution.score(run_dir, []).values()
    results = json.loads((run_dir / "results.json").read_text())
    assert len(bits) == len(load_dataset("digits").test)
    # Of another seed they would be other rows.
    assert bits.mean() == pytest.approx(results["bits_per_dimension"]["bits"], rel=1e-4)


def run_on(settings, results, run_dir, folder):
    """Makes `folder` that of a run of other settings, with the model of `run_dir`."""
    folder.mkdir()
    shutil.copy(run_dir / "model.keras", folder)
    settings.write_flags(folder / "flags.txt")
    before = json.loads((run_dir / "results.json").read_text())
    (folder / "results.json").write_text(json.dumps(before | results))
    return folder


@pytest.fixture
def run_on_images(run_dir, tmp_path):
    """A run on 100 images of 8x8 bytes, in a folder that has been moved since."""
    pixels = np.random.default_rng(0).integers(256, size=(100, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "images.npz", x=pixels)
    settings = Settings(
        dataset="images",
        images_path=str(tmp_path / "images.npz"),
        test_share=0.3,
        data_dir=str(tmp_path / "elsewhere"),
        run_dir=str(tmp_path / "before"),
    )
    bits = {"bits": 0.0, "two_standard_errors": 0.0, "bins_per_unit": 256.0}
    results = {"dataset": "images", "bits_per_dimension": bits}
    return run_on(settings, results, run_dir, tmp_path / "run")


def test_own_images_are_those_of_the_run(run_on_images):
    (bits,) = out_of_distribution.score(run_on_images, []).values()
    assert len(bits) == 30


def test_data_dir_of_the_command_line_wins(run_on_images, monkeypatch):
    asked = []
    load = out_of_distribution.load_dataset
    monkeypatch.setattr(
        out_of_distribution,
        "load_dataset",
        lambda name, **arguments: asked.append(arguments) or load(name, **arguments),
    )
    out_of_distribution.score(run_on_images, [])
    out_of_distribution.score(run_on_images, [], data_dir="now")
    before, now = (arguments["data_dir"] for arguments in asked)
    assert before.endswith("elsewhere")
    assert now == "now"


def test_data_of_another_shape_are_refused(run_dir):
    with pytest.raises(DataError, match="images of 64 integers below 17.*got two_moons"):
        out_of_distribution.score(run_dir, ["two_moons"])


OTHER_RUNS = {
    "none": None,
    "a VAE on zeros and ones": {"dataset": "digits", "elbo": {"nats": -19.0}},
    "a VAE on levels": {"dataset": "digits", "bits_per_dimension": {"nats": 2.0}},
    "points": {"test_log_likelihood": {"nats": -1.0}, "bits_per_dimension": None},
    "conditional": {
        "test_log_likelihood": {"nats": -1.0},
        "bits_per_dimension": {"bins_per_unit": 17.0},
        "context_size": 10,
    },
}


@pytest.mark.parametrize("name", OTHER_RUNS)
def test_folder_of_another_run_is_refused(name, tmp_path):
    if OTHER_RUNS[name]:
        (tmp_path / "results.json").write_text(json.dumps(OTHER_RUNS[name]))
    with pytest.raises(RunDirectoryError, match="Expected a finished, unconditional run"):
        out_of_distribution.score(tmp_path, [])


# Flags, the status, and what the one line on standard error must say.
REFUSED = {
    "unknown flag": ("--rundir=x", 2, "Unknown command line flag 'rundir'"),
    "no folder": ("--others=mnist", 2, "Expected `run_dir` to name a folder"),
    "no others": ("--run_dir=x", 2, "Expected `others` to be some of ['digits',"),
    "others without images": ("--run_dir=x --others=two_moons", 2, "fashion_mnist"),
    "others of a path": ("--run_dir=x --others=images", 2, "fashion_mnist"),
    "max_rows=1": (
        "--run_dir=x --others=mnist --max_rows=1",
        2,
        "max_rows=1: 1 is not integer >= 2",
    ),
    "text for a number": ("--max_rows=many", 2, "max_rows"),
    "no run": ("--run_dir=x --others=mnist --others=digits", 1, "Expected a finished"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_one_line(name, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    flags, status, message = REFUSED[name]
    program = out_of_distribution
    assert_refused(program, flags.split(), status, [message], capsys, monkeypatch)


def test_command_line_prints_a_line_a_data_set(run_dir, capsys):
    flags = [f"--run_dir={run_dir}", "--others=digits", "--max_rows=50"]
    assert out_of_distribution.cli(["out_of_distribution", *flags]) == 0
    assert capsys.readouterr().out.startswith("digits: ")
    assert (run_dir / "out_of_distribution.png").is_file()


def test_separation_is_the_share_of_pairs():
    own, other = np.random.default_rng(0).normal(size=(2, 50))
    expected = np.mean(other[:, None] > own)
    assert math.isclose(out_of_distribution.separation(own, other), expected)
    assert out_of_distribution.separation(own, own + 100.0) == 1.0
