"""One of two workers is killed; started again, both end at the numbers of no kill.

Once each worker of each experiment; `KILLS=10 pytest -m slow` with this file: ten times.
"""

import dataclasses
import os
import pathlib

import killed_commands
import local_workers
import numpy as np
import pytest
from small_commands import POSTERIOR
from tiny_runs import TINY_POSTERIOR, TINY_VAE, outcome

from experiments.density_estimation import experiment as density_estimation
from experiments.iaf_vae import experiment as iaf_vae
from experiments.posterior_inference import experiment as posterior_inference

pytestmark = pytest.mark.slow
_KILLS = int(os.environ.get("KILLS", "2"))
RUNS = {
    "density_estimation": (density_estimation, local_workers.UNEVEN),
    "iaf_vae": (
        iaf_vae,
        dataclasses.replace(TINY_VAE, encoder="conv", channels=(2, 2), epochs=3),
    ),
    "posterior_inference": (
        posterior_inference,
        dataclasses.replace(TINY_POSTERIOR, **POSTERIOR),
    ),
}


@pytest.mark.parametrize("name", RUNS)
def test_killed_worker_ends_the_other_and_both_go_on(name, tmp_path):
    experiment, settings = RUNS[name]
    whole, *folders = (str(tmp_path / f"run_{i}") for i in range(1 + _KILLS))
    at = dataclasses.replace(settings, run_dir=whole)
    local_workers.end_well(local_workers.start_run(at, experiment))
    rng = np.random.default_rng(0)
    for i, folder in enumerate(folders):
        at, victim = dataclasses.replace(settings, run_dir=folder), i % 2
        processes = local_workers.start_run(at, experiment)
        killed_commands.wait_for_epochs(folder, rng.integers(1, 3), processes)
        processes[victim].kill()
        survivor = processes[1 - victim]
        survivor.join(60)  # the chief hears of the other by its silence, of ten seconds
        assert survivor.exitcode == 1
        log = pathlib.Path(f"{folder}_of_{1 - victim}.log").read_text().splitlines()
        said = f"{settings.PROGRAM}: Another worker is out of reach."
        assert log[-1].startswith(said)
        assert "start each worker again" in log[-1]
        local_workers.end_well(local_workers.start_run(at, experiment))
        assert outcome(folder) == outcome(whole)
        assert not pathlib.Path(f"{folder}_of_1").exists()
