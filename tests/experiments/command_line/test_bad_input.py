"""Bad command lines and bad files: one line, the right exit status, nothing damaged."""

import os
import runpy
import sys

import fresh_process
import pytest
from bad_data import BAD_DATA
from bad_files import write_bad_files
from bad_use import BAD_TF_CONFIG
from bad_use import BAD_USE
from bad_use import TWO_WORKERS
from refused import assert_refused

from experiments import __main__ as commands
from experiments.__main__ import COMMANDS
from experiments.command_line.flag_settings import UsageError
from experiments.data import maf_tables
from experiments.density_estimation import experiment as density_estimation
from experiments.density_estimation.settings import Settings


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    write_bad_files(folder)
    return folder


@pytest.fixture
def run_dir(tmp_path):
    """A finished run, as far as its files tell."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "report.md").write_text("an older run")
    (folder / "model.keras").write_bytes(b"its weights")
    return folder


def snapshot(*folders):
    """All files but the lock, which every run may take, with their content."""
    return {
        path: path.read_bytes() if path.is_file() else None
        for folder in folders
        for path in folder.rglob("*")
        if path.name != ".lock"
    }


def arguments_of(text, folder):
    if text.endswith((".csv", ".npz")) and not text.startswith("--"):
        kind = text[-3:]
        text = f"--dataset={kind} --{kind}_path={{x}}/{text}"
    return text.replace("{x}", str(folder)).split()


def check(case, status, files, run_dir, capsys, monkeypatch, *flags):
    text, *expected = case
    monkeypatch.setattr(maf_tables, "ADDRESS", "http://127.0.0.1:9/data.tar.gz")
    before = snapshot(files, run_dir)
    arguments = [f"--run_dir={run_dir}", *flags, *arguments_of(text, files)]
    program = density_estimation
    output = assert_refused(program, arguments, status, expected, capsys, monkeypatch)
    assert output == ""
    assert snapshot(files, run_dir) == before


@pytest.mark.parametrize("name", BAD_USE)
def test_bad_use(name, files, run_dir, capsys, monkeypatch):
    monkeypatch.setattr(density_estimation, "load_dataset", None)  # checked before data
    check(BAD_USE[name], 2, files, run_dir, capsys, monkeypatch)


@pytest.mark.parametrize("name", BAD_TF_CONFIG)
def test_bad_tf_config(name, files, run_dir, capsys, monkeypatch):
    text, *expected = BAD_TF_CONFIG[name]
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if text is not None:
        monkeypatch.setenv("TF_CONFIG", text.replace("{w}", TWO_WORKERS))
    case = ("--strategy=multi_worker", *expected)
    check(case, 2, files, run_dir, capsys, monkeypatch)


@pytest.mark.parametrize("name", BAD_DATA)
def test_bad_data(name, files, run_dir, capsys, monkeypatch):
    # The flow is built only to see whether flags go together; so one step will do.
    check(BAD_DATA[name], 1, files, run_dir, capsys, monkeypatch, "--num_steps=1")


def test_run_dir_of_another_run(files, run_dir, capsys, monkeypatch):
    Settings(epochs=7).write_flags(run_dir / "flags.txt")
    case = ("--epochs=6", "--epochs=7 there, --epochs=6 now")
    check(case, 1, files, run_dir, capsys, monkeypatch)


def test_line_break_that_flags_txt_cannot_hold():
    message = "`context_columns` without a line break"
    with pytest.raises(UsageError, match=message):
        Settings(dataset="csv", csv_path="x", context_columns=("a", "b\nc"))


def test_unwritable_run_dir(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)
    with pytest.raises(UsageError, match="`run_dir` to be writable"):
        Settings(run_dir=str(tmp_path / "new" / "run"))
    assert not (tmp_path / "new").exists()


def run_main(flags):
    sys.argv[1:] = flags
    runpy.run_module("experiments.density_estimation", run_name="__main__")


def test_process_ends_with_the_status_and_one_line(tmp_path):
    flags = ["--dataset=csv", "--csv_path=none.csv", f"--run_dir={tmp_path / 'run'}"]
    process = fresh_process.start(run_main, flags, output=tmp_path / "output.txt")
    process.join(300)
    assert process.exitcode == 1
    (line,) = (tmp_path / "output.txt").read_text().splitlines()
    assert line.startswith("density: ")
    assert "none.csv" in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize(("flag", "status"), [("--help", 0), ("--nonsense", 2)])
def test_every_program_ends_with_the_status_of_its_command_line(
    name, flag, status, monkeypatch, capsys
):
    monkeypatch.setattr(sys, "argv", ["program", flag])
    with pytest.raises(SystemExit) as end:
        runpy.run_module(f"experiments.{COMMANDS[name][0]}", run_name="__main__")
    assert end.value.code == status
    output, error = capsys.readouterr()
    assert ("--" in output) == (status == 0)
    assert error.startswith(f"{name}: Unknown command line flag") == (status == 2)
    assert commands.main([name, flag]) == status
    assert capsys.readouterr() == (output, error)


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
    assert line.endswith("pip install 'tfp_flows[experiments]'")


def test_list_of_data_sets_ends_well(capsys):
    assert density_estimation.cli(["density_estimation", "--list_datasets"]) == 0
    output = capsys.readouterr().out
    assert "852,174 / 94,685 / 105,206 × 8" in output
    assert "--csv_path" in output


def test_help_explains_every_flag(capsys):
    assert density_estimation.cli(["density_estimation", "--help"]) == 0
    output = capsys.readouterr().out
    assert all(f"{name}:" in output for name in vars(Settings()))
