"""Bad command lines and files get one line and an exit status, and damage nothing."""

import importlib
import os
import signal
import sys
import warnings

import numpy as np
import pytest
from bad_data import BAD_FILES, BAD_FOLDERS, write_folders
from bad_use import BAD_TF_CONFIG, BAD_USE, BAD_USE_OF_OTHERS, TWO_WORKERS
from refusals import all_refused
from refused import assert_refused

from experiments import __main__ as commands
from experiments import compare, neutra
from experiments.__main__ import COMMANDS
from experiments.command_line import program
from experiments.command_line.flag_settings import UsageError
from experiments.data import load_dataset, maf_tables
from experiments.density_estimation import experiment as density_estimation
from experiments.density_estimation.models import build_distribution
from experiments.density_estimation.settings import Settings
from experiments.iaf_vae import experiment as iaf_vae
from experiments.posterior_inference.settings import PosteriorSettings

NAMED = "--flow=real_nvp --num_steps=1"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    write_folders(folder)
    (folder / "same.flags").touch()
    (folder / "bad.flags").write_text("--flow=nothing\n")
    (folder / "bytes.flags").write_bytes(b"\xff\xfe\n")
    return folder


@pytest.fixture
def run_dir(tmp_path):
    """A folder with the files of a finished run."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "report.md").write_text("an older run")
    (folder / "model.keras").write_bytes(b"its weights")
    return folder


def snapshot(*folders):
    """Files with their content; without the lock, which every run may take."""
    return {
        path: path.read_bytes() if path.is_file() else None
        for folder in folders
        for path in folder.rglob("*")
        if path.name != ".lock"
    }


@pytest.fixture
def check(files, run_dir, capsys, monkeypatch):
    """Function of flags, status and words: the flags are refused, no file changes."""

    def check(flags, status, *words):
        monkeypatch.setattr(maf_tables, "ADDRESS", "http://127.0.0.1:9/data.tar.gz")
        before = snapshot(files, run_dir)
        arguments = [f"--run_dir={run_dir}", *flags.replace("{x}", str(files)).split()]
        program = density_estimation
        output = assert_refused(program, arguments, status, words, capsys, monkeypatch)
        assert output == ""
        assert snapshot(files, run_dir) == before

    return check


@pytest.mark.parametrize("name", BAD_USE)
def test_bad_use(name, check, monkeypatch):
    # Flags are checked before any data are loaded.
    monkeypatch.setattr(density_estimation, "load_dataset", None)
    flags, *words = BAD_USE[name]
    check(flags, 2, *words)


@pytest.mark.parametrize(
    ("name", "flags", "words"),
    [(name, *row) for name, rows in BAD_USE_OF_OTHERS.items() for row in rows],
)
def test_bad_use_of_other_commands(
    name, flags, words, files, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    command = importlib.import_module(f"experiments.{COMMANDS[name][0]}")
    arguments = flags.replace("{x}", str(files)).split()
    assert_refused(command, arguments, 2, [words], capsys, monkeypatch)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", BAD_TF_CONFIG)
def test_bad_tf_config(name, check, monkeypatch):
    text, *words = BAD_TF_CONFIG[name]
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if text is not None:
        monkeypatch.setenv("TF_CONFIG", text.replace("{w}", TWO_WORKERS))
    check("--strategy=multi_worker", 2, *words)


@pytest.mark.parametrize(
    ("flag", "name"), [(flag, name) for flag, rows in BAD_FILES.items() for name in rows]
)
def test_bad_file(flag, name, check, tmp_path):
    content, *words = BAD_FILES[flag][name]
    with (tmp_path / "file").open("wb") as file:
        if isinstance(content, str):
            file.write(content.encode())
        else:
            np.savez(file, **content)
    flags = [f"--dataset={flag.removesuffix('_path')}", f"--{flag}={tmp_path}/file"]
    if words[0].startswith("--") and len(words) > 1:
        flags.append(words.pop(0))
    # The flow is built only to check its flags, so one step is enough.
    check(" ".join([*flags, NAMED]), 1, *words)


@pytest.mark.parametrize("name", BAD_FOLDERS)
def test_bad_folder(name, check):
    flags, *words = BAD_FOLDERS[name]
    check(f"{NAMED} {flags}", 1, *words)


def test_run_dir_of_another_run(check, run_dir):
    Settings(epochs=7, flow="nsf").write_flags(run_dir / "flags.txt")
    check("--epochs=6 --flow=nsf", 1, "--epochs=7 there, --epochs=6 now")


def test_line_break_that_flags_txt_cannot_hold():
    message = "`context_columns` without a line break"
    with pytest.raises(UsageError, match=message):
        Settings(dataset="csv", csv_path="x", context_columns=("a", "b\nc"))


def test_bytes_that_flags_txt_cannot_hold(tmp_path):
    with pytest.raises(UsageError, match="`run_dir` in UTF-8"):
        Settings(run_dir=os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))


@pytest.mark.parametrize("decimal", ["", ".,"])
def test_a_decimal_mark_is_one_of_two(decimal):
    with pytest.raises(UsageError, match="`decimal` to be one of"):
        Settings(dataset="csv", csv_path="x", decimal=decimal)


def test_unwritable_run_dir(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)
    with pytest.raises(UsageError, match="`run_dir` to be writable"):
        Settings(run_dir=str(tmp_path / "new" / "run"))
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize(("flag", "status"), [("--help", 0), ("--nonsense", 2)])
def test_every_program_ends_with_the_status_of_its_command_line(name, flag, status, capsys):
    assert commands.main([name, flag]) == status
    output, error = capsys.readouterr()
    assert ("--" in output) == (status == 0)
    assert error.startswith(f"{name}: Unknown command line flag") == (status == 2)


@pytest.mark.parametrize("argv", [[], ["densities"], ["--densities"]])
def test_what_is_no_command_is_refused_with_the_commands_there_are(argv, capsys):
    with pytest.raises(SystemExit) as end:
        commands.main(argv)
    assert end.value.code == 2
    assert "tfp-flows: error: " in capsys.readouterr().err


def test_help_lists_the_commands(capsys):
    with pytest.raises(SystemExit) as end:
        commands.main(["--help"])
    assert end.value.code == 0
    output = capsys.readouterr().out
    assert [name for name in COMMANDS if f"\n  {name} " not in output] == []


def test_a_command_without_its_packages_says_in_a_line_what_to_install(capsys, monkeypatch):
    monkeypatch.setitem(COMMANDS, "plots", ("transformer_plots", ""))
    monkeypatch.delitem(sys.modules, "experiments.transformer_plots", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # as if it were not installed
    assert commands.main(["plots"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "got no `matplotlib`" in line
    assert line.endswith("pip install 'tfp_flows[tfp,experiments]'")


def test_ctrl_c_during_the_imports_is_a_line(capfd, monkeypatch):
    """Exceptions would not do: TensorFlow's imports swallow some."""
    handler = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(os, "_exit", sys.exit)
    monkeypatch.setattr(importlib, "import_module", lambda name: os.kill(os.getpid(), 2))
    with pytest.raises(SystemExit, match="130"):
        commands.main(["sample"])
    assert capfd.readouterr().err == "\nsample: Stopped.\n"
    assert signal.getsignal(signal.SIGINT) is handler


def test_warnings_are_one_line_without_pythons_source(capsys):
    @program.command(Settings, description="")
    def cli(settings):
        print(warnings.formatwarning("of two\nlines", UserWarning, "file.py", 3), end="")

    before = warnings.formatwarning
    assert cli(["name"]) == 0
    assert capsys.readouterr().out == "density: of two lines\n"
    assert warnings.formatwarning is before


def test_a_reader_that_ends_early_is_no_error(capsys, monkeypatch):
    """As in `tfp-flows density --help | head`."""
    reading, writing = os.pipe()
    os.close(reading)

    @program.command(Settings, description="")
    def cli(settings):
        print("a report")

    with os.fdopen(writing, "w") as output:
        monkeypatch.setattr(sys, "stdout", output)
        assert cli(["name"]) == 141  # as after SIGPIPE
    assert capsys.readouterr().err == ""


BAD_CALLS = [
    (lambda: Settings(num_steps=2.5), "integer `num_steps` | 2.5"),
    (lambda: Settings(hidden_units="64"), "`hidden_units` | '64'"),
    (lambda: Settings(learning_rate="fast"), "number `learning_rate` | 'fast'"),
    (lambda: density_estimation.run({"dataset": "two_moons"}), "`settings` | Settings"),
    (lambda: iaf_vae.run(Settings(run_dir="run")), "`settings` | VAESettings"),
    (lambda: neutra.run(PosteriorSettings(run_dir="run")), "`settings` | NeutraSettings"),
    (lambda: load_dataset("moons"), "`dataset` | two_moons | 'moons'"),
    (lambda: load_dataset(3), "`dataset` | got 3"),
    (lambda: load_dataset("csv"), "csv_path"),
    (lambda: load_dataset("csv", csv_path="x", test_share="half"), "`test_share` | 'half'"),
    (lambda: build_distribution(Settings(flow="maf"), 0), "`event_size` | got 0"),
    (lambda: compare.draw({}, "pictures/comparison.png"), "`finished` | got none"),
]


test_bad_call_is_refused_in_words = all_refused(BAD_CALLS)


def test_trees_of_commands_have_one_thread(monkeypatch):
    """Threads that wait for each other spin, at the cost of other programs."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    commands.main(["compare", "none"])
    assert os.environ["OMP_NUM_THREADS"] == "1"
