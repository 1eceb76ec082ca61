"""The flag files that start the papers' runs."""

from pathlib import Path

import pytest

import experiments
from experiments.density_estimation import experiment as density_estimation
from experiments.density_estimation import models
from experiments.runs import joint_run

RECIPES = sorted((Path(experiments.__file__).parent / "recipes").glob("*.flags"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipe_is_a_command_line_that_fits_a_flow(path, monkeypatch):
    runs = []
    monkeypatch.setattr(joint_run, "run_and_print", lambda s, *_, **__: runs.append(s))
    assert density_estimation.cli(["density_estimation", f"--flagfile={path}"]) == 0
    (settings,) = runs
    models.check(settings)
    assert settings.dataset == "cifar10"
    assert f"--flagfile=experiments/recipes/{path.name}" in path.read_text()


def test_there_are_recipes():
    assert len(RECIPES) == 2
