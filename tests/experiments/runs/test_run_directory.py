"""A run's folder: one writer, one set of flags."""

import dataclasses
import json
import shlex
import time

import fresh_process
import pytest

from experiments.command_line import program
from experiments.density_estimation.settings import Settings
from experiments.reports import facts
from experiments.runs import resuming, run_directory
from experiments.runs.run_directory import RunDirectoryError
from experiments.simulation_inference.settings import SimulationSettings


def hold(folder):
    """Holds the folder in a process of its own, until this is killed."""
    with run_directory._lock(folder):
        (folder / "held").touch()
        time.sleep(60)


@pytest.fixture
def settings(tmp_path):
    return Settings(run_dir=str(tmp_path))


def claim(settings):
    with run_directory.claim(settings):
        pass


def test_a_folder_is_anothers_as_long_as_its_process_lives(settings, tmp_path):
    claim(settings)  # and free again afterwards
    holder = fresh_process.start(hold, tmp_path)
    while not (tmp_path / "held").exists():
        assert holder.is_alive()
        time.sleep(0.01)
    words = rf"written by process {holder.pid}"
    with pytest.raises(run_directory.RunDirectoryError, match=words):
        claim(settings)
    holder.kill()
    holder.join()
    claim(settings)


def test_other_flags_are_refused_by_name(settings):
    claim(settings)
    other = dataclasses.replace(settings, epochs=3, hidden_units=(8, 8))
    with pytest.raises(run_directory.RunDirectoryError) as refusal:
        claim(other)
    assert "--epochs=100 there, --epochs=3 now" in str(refusal.value)
    assert "--hidden_units=64,64 there, --hidden_units=8,8 now" in str(refusal.value)
    assert "flow" not in str(refusal.value)


@pytest.mark.parametrize("file", ["versions.json", "model.sha256", "simulations.npz"])
def test_a_run_that_fails_before_its_first_results_keeps_no_flags(file, settings, tmp_path):
    def fail():
        with run_directory.claim(settings):
            (tmp_path / file).touch()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    has_results = file == "simulations.npz"
    assert (tmp_path / "flags.txt").is_file() == has_results


def test_flags_that_change_no_weight_may_differ(settings):
    claim(settings)
    changes = {"progress": 0, "max_minutes": 1.0, "data_dir": "x", "num_samples": 7}
    claim(dataclasses.replace(settings, tensorboard=True, **changes))


def test_flags_of_earlier_versions_have_their_defaults_in_any_order(settings, tmp_path):
    path = tmp_path / "flags.txt"
    path.write_text("\n".join(reversed(settings.flags()[:5])) + "\n")
    claim(settings)


def test_the_folder_of_another_command_is_refused_and_keeps_its_flags(settings, tmp_path):
    claim(settings)
    before = (tmp_path / "flags.txt").read_text()
    other = SimulationSettings(run_dir=settings.run_dir)
    with pytest.raises(run_directory.RunDirectoryError, match="another command"):
        claim(other)
    assert (tmp_path / "flags.txt").read_text() == before


def test_the_finished_run_of_another_command_counts_as_complete(tmp_path):
    """A command without epochs goes on to read it, which refuses it by its flags."""
    Settings().write_flags(tmp_path / "flags.txt")
    limits = {"epochs": 1, "max_minutes": None}
    (tmp_path / "results.json").write_text(json.dumps({"limits": limits}))
    settings = SimulationSettings(run_dir=str(tmp_path))
    assert resuming.is_finished(settings)
    with pytest.raises(RunDirectoryError, match="holds a run of another command"):
        resuming.finished(settings)


def test_a_table_that_has_changed_is_refused_and_one_that_is_gone_passes(tmp_path):
    path = tmp_path / "rows.csv"
    for text in ("a,b\n1,2\n", "a,b\n1,2\n"):
        path.write_text(text)
        run_directory.refuse_other_file(tmp_path, path, "table")
    path.write_text("a,b\n1,3\n")
    with pytest.raises(run_directory.RunDirectoryError, match="another table than"):
        run_directory.refuse_other_file(tmp_path, path, "table")
    path.unlink()
    run_directory.refuse_other_file(tmp_path, path, "table")


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
