"""Other data sets under a finished run."""

import json
import math

import matplotlib.image
import numpy as np
import pytest
from tiny_runs import TINY, in_folder

from experiments import out_of_distribution
from experiments.data import DataError, load_dataset
from experiments.density_estimation import experiment as density_estimation
from experiments.runs.run_directory import RunDirectoryError


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory, _quick, all_op_by_op):
    folder = tmp_path_factory.mktemp("run")
    changes = {"dataset": "digits", "data_seed": 3, "flow": "nice"}
    density_estimation.run(in_folder(TINY, folder, **changes))
    return folder


def test_own_rows_score_as_in_the_results(run_dir):
    (bits,) = out_of_distribution.score(run_dir, []).values()
    results = json.loads((run_dir / "results.json").read_text())
    assert len(bits) == len(load_dataset("digits").test)
    # Another seed would select other rows.
    assert bits.mean() == pytest.approx(results["bits_per_dimension"]["bits"], rel=1e-4)


def test_data_of_another_shape_are_refused(run_dir):
    with pytest.raises(DataError, match="images of 64 integers below 17.*got two_moons"):
        out_of_distribution.score(run_dir, ["two_moons"])


OTHER_RUNS = {
    "none": None,
    "points": {"test_log_likelihood": {"nats": -1.0}, "bits_per_dimension": None},
    "conditional": {
        **{"test_log_likelihood": {"nats": -1.0}, "context_size": 10},
        "bits_per_dimension": {"bins_per_unit": 17.0},
    },
}


@pytest.mark.parametrize("name", OTHER_RUNS)
def test_folder_of_another_run_is_refused(name, tmp_path):
    if OTHER_RUNS[name]:
        (tmp_path / "results.json").write_text(json.dumps(OTHER_RUNS[name]))
    with pytest.raises(RunDirectoryError, match="Expected a finished, unconditional run"):
        out_of_distribution.score(tmp_path, [])


def test_command_line_prints_a_line_a_data_set(run_dir, capsys):
    flags = [f"--run_dir={run_dir}", "--others=digits", "--max_rows=50"]
    assert out_of_distribution.cli(["out_of_distribution", *flags]) == 0
    assert capsys.readouterr().out.startswith("digits: ")
    picture = matplotlib.image.imread(run_dir / "out_of_distribution.png")
    assert picture[..., :3].std() > 0.02


def test_separation_is_the_share_of_pairs():
    own, other = np.random.default_rng(0).normal(size=(2, 50))
    expected = np.mean(other[:, None] > own)
    assert math.isclose(out_of_distribution.separation(own, other), expected)
    assert out_of_distribution.separation(own, own + 100.0) == 1.0
