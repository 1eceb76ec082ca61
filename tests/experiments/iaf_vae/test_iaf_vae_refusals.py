"""What `iaf_vae` refuses: one line, a status, and nothing left behind."""

import pytest
from refused import assert_refused

from experiments.data import DataError
from experiments.iaf_vae import experiment as iaf_vae
from experiments.iaf_vae.settings import VAESettings

# Flags, and what the one line on standard error must say.
BAD_USE = {
    "unknown flag": ("--latent_sice=5", "Unknown command line flag 'latent_sice'"),
    "no flag": ("digits", "Expected flags only; got ['digits']"),
    "unknown dataset": ("--dataset=digit", "binarized_mnist"),
    "own table": ("--dataset=csv", "fashion_mnist"),
    "unknown posterior": ("--posterior=maf", "real_nvp"),
    "unknown prior": ("--prior=iaf", "maf"),
    "unknown encoder": ("--encoder=big", "conv"),
    "latent_size=0": ("--latent_size=0", "latent_size=0: 0 is not a positive integer"),
    "free_bits=-1": ("--free_bits=-1", "free_bits=-1: -1.0 is not a non-negative number"),
    "widths": ("--flow_hidden_units=8,a", "`flow_hidden_units` as in 100,100; got 8,a"),
    "no widths": ("--prior_hidden_units=0", "`prior_hidden_units` to hold widths"),
    "activation": ("--activation=eluu", "`activation`"),
    "activation of pairs": ("--activation=glu", "`activation` to be an elementwise one"),
    "landing with iaf": ("--sticking_the_landing", "`sticking_the_landing` with --post"),
    "free bits with a weighted bound": (
        "--bound=importance_weighted --num_draws=2 --free_bits=1",
        "--bound=elbo only",
    ),
    "one latent of real_nvp": (
        "--posterior=real_nvp --latent_size=1",
        "`latent_size` of at least 2",
    ),
    "images_path of digits": ("--images_path=x", "`images_path` with --dataset=images"),
    "images without a path": ("--dataset=images", "`images_path` with --dataset=images"),
    "shares of digits": ("--test_share=0.2", "`test_share` with"),
    "strategy with XLA": ("--strategy=mirrored --jit_compile", "no `jit_compile` with"),
    "unknown strategy": ("--strategy=tpu", "multi_worker"),
    "channels of dense": ("--channels=8,8", "`channels` with --encoder=conv only"),
    "log_likelihood_rows=1": ("--log_likelihood_rows=1", "of 0, for all, or at least 2"),
    "learning_rate=nan": ("--learning_rate=nan", "`learning_rate` to be finite"),
}


@pytest.mark.parametrize("name", BAD_USE)
def test_wrong_use_is_one_line_and_status_2(name, tmp_path, capsys, monkeypatch):
    flags, message = BAD_USE[name]
    run_dir = tmp_path / "run"
    arguments = [f"--run_dir={run_dir}", *flags.split()]
    assert_refused(iaf_vae, arguments, 2, [message], capsys, monkeypatch)
    assert not run_dir.exists()


BAD_DATA = {
    "points": ({"dataset": "two_moons"}, "data set of images; two_moons has none"),
    "a folder that is not there": (
        {"dataset": "mnist", "data_dir": "/nowhere"},
        "`data_dir` to be a folder",
    ),
}


@pytest.mark.parametrize("name", BAD_DATA)
def test_wrong_data_leave_nothing_behind(name, tmp_path):
    changes, message = BAD_DATA[name]
    with pytest.raises(DataError, match=message):
        iaf_vae.run(VAESettings(run_dir=str(tmp_path / "run"), **changes))
    assert not (tmp_path / "run").exists()
