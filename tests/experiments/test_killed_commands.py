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


def kills_until_the_end(command, folder, whole, *, most, seconds, rng):
    """Kills a command again and again until it ends as in `whole`; returns how often."""
    expected = killed_commands.outcome(whole)
    for kills in range(most):
        status = killed_commands.run_and_kill(*command, folder, seconds=seconds, rng=rng)
        if status == 0:
            break
        assert status == killed_commands.KILLED, killed_commands.log(folder)
        if killed_commands.outcome(folder) == expected:  # it was about to exit
            return kills + 1
    else:
        kills = most
        killed_commands.run(*command, folder)
    assert killed_commands.outcome(folder) == expected
    assert killed_commands.printed(folder) == killed_commands.printed(whole)
    return kills


@pytest.mark.parametrize("name", COMMANDS)
def test_killed_commands_end_at_the_same_numbers(name, inputs, tmp_path):
    command, whole, killed = COMMANDS[name], tmp_path / "whole", tmp_path / "killed"
    shutil.copytree(inputs, whole)
    options = {"seconds": killed_commands.run(*command, whole)}
    options["rng"] = np.random.default_rng(zlib.crc32(name.encode()))
    kills, ends = 0, 0
    while kills < _KILLS:
        shutil.copytree(inputs, killed)
        most = _KILLS - kills
        kills += kills_until_the_end(command, killed, whole, most=most, **options)
        shutil.rmtree(killed)
        ends += 1
        assert ends <= 4 * _KILLS
    print(f"{name}: {kills} kills, {ends} ends, {options['seconds']:.1f} s without")


@pytest.mark.parametrize("name", ["posterior_inference", "neutra"])
def test_a_second_start_goes_on_from_the_last_block(name, tmp_path):
    checkpoint = killed_commands.kill_in_training(*COMMANDS[name], tmp_path)
    (losses,) = checkpoint.arrays["losses"]
    steps = len(losses)
    assert 0 < steps < POSTERIOR["training_steps"]
    killed_commands.run(*COMMANDS[name], tmp_path)
    assert f"Training goes on from step {steps} of 400." in killed_commands.log(tmp_path)
