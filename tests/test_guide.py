"""The pages of the guide whose code is run, from the first block to the last."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

DOCS = Path(__file__).parent.parent / "docs"


def run(page, *, without=()):
    """The names that a page's code defines; blocks with words of `without` are left."""
    blocks = (DOCS / page).read_text().split("```python\n")[1:]
    blocks = [block.split("```")[0] for block in blocks]
    blocks = [block for block in blocks if not any(words in block for words in without)]
    names = {}
    exec(compile("\n".join(blocks), page, "exec"), names)
    return names


@pytest.mark.slow
def test_code_of_the_page_on_posteriors_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    has_arviz = importlib.util.find_spec("arviz") is not None
    names = run("fit_a_posterior.md", without=() if has_arviz else ("import arviz",))
    for fitted in (names["posterior"], names["again"]):
        assert fitted.report.verdict != "not reliable"
    assert names["chains"].slope.shape == [500, 8]


@pytest.mark.slow
def test_code_of_the_page_on_tables_runs_and_prints_what_it_shows(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    names = run("own_table.md")
    shown = (DOCS / "own_table.md").read_text().split("```\n")
    printed = capsys.readouterr().out
    assert printed in shown
    assert np.isfinite(names["scores"]).all()
    assert set(names["drawn"]) == set(names["frame"])
    assert not np.isnan(names["complete"]["rating"].astype(float)).any()
    low, high = names["predicted"].interval(0.9).T
    assert (low < names["predicted"].mean()).all()
    assert (names["predicted"].mean() < high).all()
