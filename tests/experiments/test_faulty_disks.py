"""Disks that are full or cannot be written to, and clocks that step back.

A run stops with one line, and goes on later to the numbers of one that met no fault.
"""

import os
import shutil
import subprocess

import killed_commands
import numpy as np
import pytest
from small_commands import COMMANDS
from small_commands import TRAININGS

pytestmark = pytest.mark.slow


class Disk:
    """A small file system in memory, at a folder."""

    def __init__(self, path):
        path.mkdir()
        self._path = path
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(path)], check=True)

    def set(self, option):
        """Returns whether it could be set: `size=10k`, or `ro`."""
        command = ["mount", "-o", f"remount,{option}", str(self._path)]
        return not subprocess.run(command, check=False, capture_output=True).returncode

    def close(self):
        subprocess.run(["umount", "--lazy", str(self._path)], check=True)


@pytest.fixture(scope="module")
def whole(inputs, tmp_path_factory):
    """Function of a command's name that returns the folder of its run without a fault."""
    folders = {}

    def run(name):
        if name not in folders:
            folders[name] = tmp_path_factory.mktemp("faultless") / name
            shutil.copytree(inputs, folders[name])
            killed_commands.run(*COMMANDS[name], folders[name])
        return folders[name]

    return run


@pytest.fixture
def disk(inputs, tmp_path):
    """A `Disk` at the run directory of a command in `tmp_path / "faulty"`."""
    shutil.copytree(inputs, tmp_path / "faulty")
    try:
        disk = Disk(tmp_path / "faulty" / "run")
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"No file system can be mounted: {error}")
    yield disk
    disk.close()


def assert_stopped_in_one_line(folder, reason):
    lines = [line for line in killed_commands.log(folder).splitlines() if line]
    assert reason in lines[-1]
    assert "Traceback" not in killed_commands.log(folder)


def assert_goes_on_to(whole, name, folder):
    killed_commands.run(*COMMANDS[name], folder)
    assert killed_commands.outcome(folder) == killed_commands.outcome(whole)
    assert killed_commands.printed(folder) == killed_commands.printed(whole)


@pytest.mark.parametrize("name", TRAININGS)
def test_full_disk(name, whole, disk, tmp_path):
    folder, whole = tmp_path / "faulty", whole(name)
    size = sum(p.stat().st_size for p in (whole / "run").rglob("*") if p.is_file())
    for share in (0.05, 0.4, 0.8):
        assert disk.set(f"size={int(share * size) // 4096 * 4096 + 4096}")
        status = killed_commands.run_to_any_end(*COMMANDS[name], folder)
        assert status == 1, killed_commands.log(folder)
        assert_stopped_in_one_line(folder, "No space left on device")
    assert disk.set("size=100%")
    assert_goes_on_to(whole, name, folder)


@pytest.mark.parametrize("name", TRAININGS)
def test_clock_that_steps_back(name, whole, inputs, tmp_path):
    folder, whole = tmp_path / "faulty", whole(name)
    shutil.copytree(inputs, folder)
    rng = np.random.default_rng(0)
    for _ in range(3):
        killed_commands.run_and_kill(*COMMANDS[name], folder, seconds=10.0, rng=rng)
        for path in folder.rglob("*"):
            later = path.stat().st_mtime + 3600.0
            os.utime(path, (later, later))
    process = killed_commands.start(
        *COMMANDS[name], folder, before=killed_commands.step_back
    )
    process.join(300)
    assert process.exitcode == 0, killed_commands.log(folder)
    assert killed_commands.outcome(folder) == killed_commands.outcome(whole)
