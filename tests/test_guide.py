"""The page of the guide whose code is run, from the first block to the last."""

import importlib.util
from pathlib import Path

import pytest

PAGE = Path(__file__).parent.parent / "docs" / "fit_a_posterior.md"


@pytest.mark.slow
def test_code_of_the_page_on_posteriors_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = PAGE.read_text().split("```python\n")[1:]
    blocks = [block.split("```")[0] for block in blocks]
    if importlib.util.find_spec("arviz") is None:
        blocks = [block for block in blocks if "import arviz" not in block]
    names = {}
    exec(compile("\n".join(blocks), PAGE.name, "exec"), names)
    for fitted in (names["posterior"], names["again"]):
        assert fitted.report.verdict != "not reliable"
    assert names["chains"].slope.shape == [500, 8]
