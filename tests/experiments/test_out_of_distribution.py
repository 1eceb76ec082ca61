"""Other data sets under a finished run."""

import json
import math

import numpy as np
import pytest

from experiments import density_estimation
from experiments import out_of_distribution
from experiments.data import DataError
from experiments.data import load_dataset
from experiments.run_directory import RunDirectoryError
from experiments.settings import Settings


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    density_estimation.run(
        Settings(
            dataset="digits",
            flow="nice",
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
    assert bits.mean() == pytest.approx(results["bits_per_dimension"]["bits"], rel=1e-4)


def test_data_of_another_shape_are_refused(run_dir):
    with pytest.raises(DataError, match="images of 64 integers below 17.*got two_moons"):
        out_of_distribution.score(run_dir, ["two_moons"])


def test_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(RunDirectoryError, match="Expected a finished"):
        out_of_distribution.score(tmp_path, [])


def test_separation_is_the_share_of_pairs():
    own, other = np.random.default_rng(0).normal(size=(2, 50))
    expected = np.mean(other[:, None] > own)
    assert math.isclose(out_of_distribution.separation(own, other), expected)
    assert out_of_distribution.separation(own, own + 100.0) == 1.0
