"""Each command that trains or writes is killed often, and ends at the same numbers.

`KILLS=30 pytest -m slow` with this file kills each so often; five times is the rule.
"""

import os
import shutil
import zlib

import killed_commands
import numpy as np
import pytest
from small_commands import COMMANDS
from small_commands import POSTERIOR

pytestmark = pytest.mark.slow
_KILLS = int(os.environ.get("KILLS", "5"))


@pytest.mark.parametrize("name", COMMANDS)
def test_killed_commands_end_at_the_same_numbers(name, inputs, tmp_path):
    command, whole, killed = COMMANDS[name], tmp_path / "whole", tmp_path / "killed"
    shutil.copytree(inputs, whole)
    seconds = killed_commands.run(*command, whole)
    expected = killed_commands.outcome(whole)
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    kills = finished = of_this_run = 0
    while kills < _KILLS or of_this_run:
        if not of_this_run:
            shutil.rmtree(killed, ignore_errors=True)
            shutil.copytree(inputs, killed)
        if kills < _KILLS:
            status = killed_commands.run_and_kill(
                *command, killed, seconds=seconds, rng=rng
            )
        else:
            killed_commands.run(*command, killed)
            status = 0
        assert status in (0, killed_commands.KILLED), killed_commands.log(killed)
        is_whole = killed_commands.outcome(killed) == expected
        if status == killed_commands.KILLED:
            kills, of_this_run = kills + 1, of_this_run + 1
            if not is_whole:
                continue
        else:
            assert killed_commands.printed(killed) == killed_commands.printed(whole)
        assert is_whole  # also if killed while it exits
        finished += 1
        assert finished <= 4 * _KILLS
        if not of_this_run:  # faster than the kill
            seconds /= 2.0
        of_this_run = 0
    print(f"{name}: {kills} kills, {finished} ends, a start took {seconds:.1f} s")


@pytest.mark.parametrize("name", ["posterior_inference", "neutra"])
def test_a_second_start_goes_on_from_the_last_block(name, tmp_path):
    steps = killed_commands.kill_in_training(*COMMANDS[name], tmp_path)
    assert 0 < steps < POSTERIOR["training_steps"]
    killed_commands.run(*COMMANDS[name], tmp_path)
    assert f"Training goes on from step {steps} of 400." in killed_commands.log(tmp_path)
