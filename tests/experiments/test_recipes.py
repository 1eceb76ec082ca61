"""The flag files that start the papers' runs."""

from pathlib import Path

import pytest
from absl import flags

from experiments import choices
from experiments import density_estimation

RECIPES = sorted(Path("experiments/recipes").glob("*.flags"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipe_is_a_command_line_that_fits_a_flow(path):
    values = flags.FlagValues()
    density_estimation._define_flags(values)
    assert values(["density_estimation", f"--flagfile={path}"]) == ["density_estimation"]
    settings = density_estimation._settings_from_flags(values)
    choices.check(settings)
    assert f"--flagfile={path}" in path.read_text()
    assert settings.dataset == "cifar10"


def test_there_are_recipes():
    assert len(RECIPES) == 2
