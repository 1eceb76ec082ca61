"""The code of README runs as it is pasted: block after block, in one process."""

import fresh_process
import pytest
import readme_code

import tfp_flows


@pytest.mark.slow
def test_blocks_of_readme_run_one_after_another(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    process = fresh_process.start(readme_code.run, output=tmp_path / "output.txt")
    process.join()
    assert process.exitcode == 0, (tmp_path / "output.txt").read_text()[-4000:]


def test_readme_is_short_enough_to_be_read():
    assert len(readme_code.README.splitlines()) <= 150


def test_how_to_cite_names_the_version():
    version = f"version: {tfp_flows.__version__}\n"
    assert version in (readme_code.ROOT / "CITATION.cff").read_text(encoding="utf-8")
    page = (readme_code.ROOT / "docs" / "cite.md").read_text(encoding="utf-8")
    assert f"{{{tfp_flows.__version__}}}" in page
