"""Commands that are killed, or whose disk is full, end at the same numbers.

Each command is killed five times; with `KILLS=30 pytest -m slow` and this file, 30 times.
"""

import os
import shutil
import subprocess
import zlib

import killed_commands
import numpy as np
import pytest
from small_commands import COMMANDS, TRAININGS

pytestmark = pytest.mark.slow
_KILLS = int(os.environ.get("KILLS", "5"))


@pytest.fixture(scope="module")
def whole(inputs, tmp_path_factory):
    """Function from a command's name to the folder and seconds of a whole run."""
    found = {}

    def run(name):
        if name not in found:
            folder = tmp_path_factory.mktemp("whole") / name
            shutil.copytree(inputs, folder)
            found[name] = folder, killed_commands.run(*COMMANDS[name], folder)
        return found[name]

    return run


def assert_ends_alike(folder, whole):
    assert killed_commands.outcome(folder) == killed_commands.outcome(whole)
    assert killed_commands.printed(folder) == killed_commands.printed(whole)


def kills_until_the_end(command, folder, whole, *, most, seconds, rng):
    """Kills a command again and again until it ends as in `whole`; returns how often."""
    expected = killed_commands.outcome(whole)
    for kills in range(most):
        status = killed_commands.run_and_kill(*command, folder, seconds=seconds, rng=rng)
        if status == 0:
            break
        assert status == killed_commands.KILLED, killed_commands.log(folder)
        if killed_commands.outcome(folder) == expected:  # all was written
            return kills + 1
    else:
        kills = most
        killed_commands.run(*command, folder)
    assert_ends_alike(folder, whole)
    return kills


@pytest.mark.parametrize("name", COMMANDS)
def test_killed_commands_end_at_the_same_numbers(name, inputs, whole, tmp_path):
    killed, (expected, seconds) = tmp_path / "killed", whole(name)
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    kills, ends = 0, 0
    while kills < _KILLS:
        shutil.copytree(inputs, killed)
        options = {"most": _KILLS - kills, "seconds": seconds, "rng": rng}
        kills += kills_until_the_end(COMMANDS[name], killed, expected, **options)
        shutil.rmtree(killed)
        ends += 1
        assert ends <= 4 * _KILLS
    print(f"{name}: {kills} kills, {ends} ends, {seconds:.1f} s without")


@pytest.fixture
def disk(inputs, tmp_path):
    """A command's folder with a disk as `run`, and a function that sets the disk's size."""
    folder = tmp_path / "faulty"
    shutil.copytree(inputs, folder)
    (folder / "run").mkdir()
    mount, path = ["mount", "-t", "tmpfs", "tmpfs"], str(folder / "run")
    try:
        subprocess.run([*mount, path], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"No file system can be mounted: {error}")

    def set_size(size):
        subprocess.run(["mount", "-o", f"remount,size={size}", path], check=True)

    yield folder, set_size
    subprocess.run(["umount", "--lazy", path], check=True)


@pytest.mark.parametrize("name", TRAININGS)
def test_full_disk_stops_with_one_line_and_the_run_goes_on_later(name, whole, disk):
    (folder, set_size), (expected, _) = disk, whole(name)
    size = sum(p.stat().st_size for p in (expected / "run").rglob("*") if p.is_file())
    for share in (0.05, 0.4, 0.8):
        set_size(int(share * size) // 4096 * 4096 + 4096)
        status = killed_commands.run_to_any_end(*COMMANDS[name], folder)
        log = killed_commands.log(folder)
        assert status == 1, log
        assert "No space left on device" in log.strip().splitlines()[-1]
        assert "Traceback" not in log
    set_size("100%")
    killed_commands.run(*COMMANDS[name], folder)
    assert_ends_alike(folder, expected)
