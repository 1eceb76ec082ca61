"""The regressions of `posterior_inference`, whose data come from a folder."""

import json
import os
import pathlib

import numpy as np
import pytest

from experiments.command_line.flag_settings import UsageError
from experiments.posterior_inference import experiment as posterior_inference
from experiments.posterior_inference.posteriordb import SHORT_NAMES
from experiments.posterior_inference.posteriordb import find
from experiments.posterior_inference.settings import PosteriorSettings

DATA_DIR = os.environ.get("TFP_FLOWS_DATA_DIR", "")
POSTERIORDB = pathlib.Path(DATA_DIR) / "posteriordb"
needs_data = pytest.mark.skipif(
    not (DATA_DIR and POSTERIORDB.is_dir()),
    reason="needs data files: set TFP_FLOWS_DATA_DIR to a folder with posteriordb/",
)
TINY = {
    "num_steps": 1,
    "hidden_units": (4,),
    "training_steps": 3,
    "sample_size": 4,
    "num_draws": 200,
    "jit_compile": False,
}


@pytest.fixture
def data_dir(tmp_path):
    """A folder with a file of few rows, and with draws of what they tell."""
    rng = np.random.default_rng(0)
    high_school = rng.uniform(size=60) < 0.5
    score = 20.0 + 6.0 * high_school + rng.normal(0.0, 5.0, size=60)
    np.savez(
        tmp_path / "kidiq-kidscore_momhsiq.npz",
        parameter_names=["beta[1]", "beta[2]", "beta[3]", "sigma"],
        draws=rng.normal([20.0, 6.0, 0.0, 5.0], 0.5, (300, 4)).astype(np.float32),
        data_N=60,
        data_kid_score=score,
        data_mom_hs=high_school.astype(np.float64),
        data_mom_iq=rng.normal(100.0, 15.0, size=60),
    )
    return tmp_path


@pytest.mark.slow
def test_run_beside_the_draws_of_the_file(data_dir, tmp_path):
    settings = PosteriorSettings(
        target="kidscore_momhsiq",
        data_dir=str(data_dir),
        run_dir=str(tmp_path / "run"),
        **TINY,
    )
    results = posterior_inference.run(settings)
    assert results["reference"]["origin"] == "posteriordb"
    assert results["reference"]["num_draws"] == 300
    assert list(results["moments"]) == ["beta[1]", "beta[2]", "beta[3]", "sigma"]
    # The start alone is in the right place, in units of a few tens of reference errors.
    assert results["greatest_error_of_a_mean"] < 30.0
    assert json.loads((tmp_path / "run" / "results.json").read_text()) == results
    text = (tmp_path / "run" / "report.md").read_text()
    assert "(posteriordb: " in text
    assert "300 draws, posteriordb" in text


def test_density_is_that_of_the_model(data_dir):
    target = find("kidscore_momhsiq", str(data_dir))
    slope, deviation = np.float32([20.0, 5.0, 0.1]), np.float32(4.0)
    with np.load(data_dir / "kidiq-kidscore_momhsiq.npz") as data:
        mean = 20.0 + 5.0 * data["data_mom_hs"] + 0.1 * data["data_mom_iq"]
        errors = (data["data_kid_score"] - mean) / 4.0
    expected = -0.5 * np.sum(errors**2) - 60 * np.log(4.0) - np.log1p((4.0 / 2.5) ** 2)
    other = -0.5 * np.sum((errors + 1.0) ** 2) - 60 * np.log(4.0)
    other -= np.log1p((4.0 / 2.5) ** 2)
    log_prob = target.pinned().unnormalized_log_prob
    found = log_prob(slope, deviation) - log_prob(
        slope - np.float32([4.0, 0, 0]), deviation
    )
    assert found.numpy() == pytest.approx(expected - other, rel=1e-3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"`data_dir` to be a folder with kidiq-kidscore_momhsiq\.npz"),
        (b"not an archive", "to hold data and reference draws"),
        ({"draws": np.zeros([2, 4])}, "KeyError: 'mom_hs'"),
    ],
)
def test_missing_or_other_files_are_refused(content, message, tmp_path, capsys):
    path = tmp_path / "kidiq-kidscore_momhsiq.npz"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content:
        np.savez(path, **content)
    with pytest.raises(UsageError, match=message):
        find("kidscore_momhsiq", str(tmp_path))
    flags = ["--target=kidscore_momhsiq", f"--data_dir={tmp_path}", "--reference=none"]
    flags.append(f"--run_dir={tmp_path / 'run'}")
    assert posterior_inference.cli(["posterior_inference", *flags]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("posterior: Expected")
    assert not (tmp_path / "run").exists()


@needs_data
@pytest.mark.parametrize("name", SHORT_NAMES)
def test_reference_draws_fit_the_model(name):
    """Their log-densities are as those of a posterior: a mean D / 2 below the highest."""
    target = find(name, str(POSTERIORDB))
    parts = target.parts_of(np.float32(target.reference[:500]))
    np.testing.assert_array_equal(target.rows(parts), np.float32(target.reference[:500]))
    log_prob = target.pinned().unnormalized_log_prob(*parts).numpy()
    size = len(target.labels())
    assert log_prob.std() == pytest.approx(np.sqrt(size / 2.0), rel=0.3)
    assert log_prob.max() - log_prob.mean() < size


@needs_data
@pytest.mark.slow
@pytest.mark.parametrize("posterior", ["iaf", "real_nvp"])
@pytest.mark.parametrize("name", SHORT_NAMES)
def test_posteriors_are_right(name, posterior, tmp_path):
    settings = PosteriorSettings(
        target=name, posterior=posterior, data_dir=str(POSTERIORDB), run_dir=str(tmp_path)
    )
    results = posterior_inference.run(settings)
    assert results["greatest_error_of_a_mean"] < 0.1
    assert results["greatest_ratio_of_deviations"] < 1.05
