"""Commands say nothing of TensorFlow's start."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
FIRST_OPERATION = "import experiments, tensorflow; tensorflow.zeros(1) + 1"
A_COMMAND = f"""
import runpy, sys
{FIRST_OPERATION}
sys.argv[1:] = ["density", "--dataset=csv", "--csv_path=none.csv", "--run_dir=runs/quiet"]
try:
    runpy.run_module("experiments", run_name="__main__")
except SystemExit as end:
    assert end.code == 1
"""


def stderr_of(code, **environment):
    hidden = ("TF_CPP_MIN_LOG_LEVEL", "CUDA_VISIBLE_DEVICES")
    inherited = {k: v for k, v in os.environ.items() if k not in hidden}
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**inherited, **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stderr


@pytest.mark.slow
def test_a_command_says_nothing_but_what_is_wrong():
    """One line, though TensorFlow has run its first operation before."""
    (line,) = stderr_of(A_COMMAND).splitlines()
    assert line.startswith("density: ")
    assert "none.csv" in line
    assert not (ROOT / "runs" / "quiet").exists()


def test_the_package_leaves_tensorflow_alone():
    assert (
        stderr_of("import experiments, sys; assert 'tensorflow' not in sys.modules") == ""
    )


HELP_OF_ALL = """
import contextlib, os, sys
from experiments.__main__ import COMMANDS, main
with contextlib.redirect_stdout(open(os.devnull, "w")):
    for name in COMMANDS:
        assert main([name, "--help"]) == 0 and main([name, "--rows=x"]) == 2
        assert "tensorflow.python" not in sys.modules, name
assert sys.modules["tensorflow"].zeros([2]).shape == (2,)
assert "tensorflow.python" in sys.modules
"""


def test_help_and_errors_of_flags_do_not_wait_for_tensorflow():
    lines = stderr_of(HELP_OF_ALL).splitlines()
    assert all(": Expected " in line or ": Unknown " in line for line in lines), lines


def test_warnings_and_errors_of_the_start_are_shown():
    code = "import os, experiments.quiet_tensorflow as q\nwith q._filtered_stderr():"
    lines = "I0000 of no use\\nE0000 of use\\nTraceback\\n"
    shown = stderr_of(f"{code}\n    os.write(2, b'{lines}')")
    assert shown == "E0000 of use\nTraceback\n"


def test_the_library_leaves_logging_alone():
    for path in (ROOT / "tfp_flows").rglob("*.py"):
        source = path.read_text()
        assert "TF_CPP" not in source, path
        assert "os.environ[" not in source, path
        assert "set_verbosity" not in source, path
