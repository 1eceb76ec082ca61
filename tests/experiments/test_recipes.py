"""The recipes: files of flags, one for every published figure, which the tables cite."""

import re
from pathlib import Path

import pytest

from experiments import neutra
from experiments.command_line import program
from experiments.density_estimation import experiment as density_estimation
from experiments.density_estimation import models
from experiments.iaf_vae import experiment as iaf_vae
from experiments.iaf_vae import models as vae_models
from experiments.posterior_inference import experiment as posterior_inference

ROOT = Path(__file__).parents[2]
PAGES = ("experiments/README.md", "docs/results.md")
RECIPES = sorted((ROOT / "experiments" / "recipes").glob("*.flags"))
# Command -> its command line, and what refuses settings before any data are read.
EXPERIMENTS = {
    "density": (density_estimation.cli, models.check),
    "vae": (iaf_vae.cli, vae_models.check),
    "posterior": (posterior_inference.cli, lambda settings: None),
    "neutra": (neutra.cli, lambda settings: None),
}


def settings_of(path, monkeypatch):
    """The settings that the recipe's own command reads, and that command."""
    (name,) = re.findall(r"^# +tfp-flows (\w+)", path.read_text(), re.M)
    read, found = program.read_settings, []
    monkeypatch.setattr(
        program, "read_settings", lambda *a, **k: found.append(read(*a, **k))
    )
    assert EXPERIMENTS[name][0]([name, f"--flagfile={path}"]) == 0
    return name, found[0]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipe_is_a_valid_command_line_of_its_own_folder(path, monkeypatch):
    name, settings = settings_of(path, monkeypatch)
    EXPERIMENTS[name][1](settings)
    assert settings.run_dir == f"runs/{path.stem}"
    assert path.stem.startswith(getattr(settings, "dataset", ""))
    assert f"--flagfile=experiments/recipes/{path.name}" in path.read_text()


def test_every_recipe_is_cited():
    text = "".join((ROOT / page).read_text() for page in PAGES)
    assert [p.name for p in RECIPES if f"recipes/{p.name})" not in text] == []


def test_every_row_of_measured_flows_cites_its_recipe_or_says_that_it_is_unknown():
    text = (ROOT / "docs/results.md").read_text()
    tables = re.findall(r"^\|.* recipes? \|\n(?:\|.*\n)+", text, re.M)
    rows = [row for table in tables for row in table.splitlines()[2:]]
    measured = [row for row in rows if "±" in row or "−" in row]
    known = ("/recipes/", "command unknown", "| any of ")
    assert len(measured) > 40
    assert [row for row in measured if not any(words in row for words in known)] == []
