"""A run's folder: one writer, one set of flags."""

import dataclasses
import shlex
import subprocess
import sys

import pytest

from experiments.command_line import program
from experiments.density_estimation.settings import Settings
from experiments.reports import facts
from experiments.runs import run_directory

HOLD = """
import pathlib, sys, time
from experiments.runs import run_directory
with run_directory._lock(pathlib.Path(sys.argv[1])):
    print("claimed", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def settings(tmp_path):
    return Settings(run_dir=str(tmp_path))


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "claimed\n"
    yield process
    process.kill()
    process.wait()


def claim(settings):
    with run_directory.claim(settings):
        pass


def test_second_process_is_refused_and_told_the_first(holder, settings):
    with pytest.raises(
        run_directory.RunDirectoryError, match=rf"written by process {holder.pid}"
    ):
        claim(settings)


def test_lock_of_a_killed_process_is_no_obstacle(holder, settings):
    holder.kill()
    holder.wait()
    claim(settings)


def test_folder_is_free_again_after_the_run(settings):
    claim(settings)
    claim(settings)


def test_other_flags_are_refused_by_name(settings):
    claim(settings)
    other = dataclasses.replace(settings, epochs=3, hidden_units=(8, 8))
    with pytest.raises(run_directory.RunDirectoryError) as refusal:
        claim(other)
    assert "--epochs=100 there, --epochs=3 now" in str(refusal.value)
    assert "--hidden_units=64,64 there, --hidden_units=8,8 now" in str(refusal.value)
    assert "flow" not in str(refusal.value)


@pytest.mark.parametrize(
    "change",
    [
        *({"progress": 0}, {"max_minutes": 1.0}, {"data_dir": "x"}, {"tensorboard": True}),
        {"num_samples": 7},
    ],
    ids=lambda change: next(iter(change)),
)
def test_flags_that_change_no_weight_may_differ(change, settings):
    claim(settings)
    claim(dataclasses.replace(settings, **change))


def test_flag_younger_than_the_run_had_its_default(settings, tmp_path):
    (tmp_path / "flags.txt").write_text("--epochs=100\n")
    claim(settings)


def test_order_of_the_flags_makes_no_difference(settings, tmp_path):
    """Earlier versions wrote them in another one."""
    path = tmp_path / "flags.txt"
    path.write_text("\n".join(reversed(settings.flags())) + "\n")
    claim(settings)


@pytest.mark.parametrize(
    "names",
    [("a,b",), ('say "a"', "b", "c,"), ('"',), ("a;b", "a'b", "#", "ä  b"), ("",), ()],
    ids=repr,
)
def test_names_of_columns_are_repeated_by_flags_txt_and_by_the_command(names, tmp_path):
    settings = Settings(
        dataset="csv", csv_path="x", context_columns=names, run_dir=str(tmp_path)
    )
    settings.write_flags(tmp_path / "flags.txt")
    _, _, *flags = shlex.split(facts.command(settings))
    for arguments in ([f"--flagfile={tmp_path}/flags.txt"], flags):
        read = program.read_settings(["", *arguments], Settings)
        assert read == settings


def test_results_mark_a_run_as_finished(settings, tmp_path):
    assert run_directory.finished_results(tmp_path) is None
    (tmp_path / "results.json").write_text('{"flow": "nice"}')
    assert run_directory.finished_results(tmp_path) == {"flow": "nice"}
