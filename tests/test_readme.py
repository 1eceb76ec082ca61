"""The code of README runs as it is pasted: block after block, in one process."""

import re
from pathlib import Path

import fresh_process
import pytest

import tfp_flows

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
# The blocks have no other names than their own.
PASTED = f"""
names = {{"__name__": "__main__"}}
for number, block in enumerate({BLOCKS!r}):
    exec(compile(block, f"block {{number}} of README", "exec"), names)
assert names["posterior"].report.verdict == "reliable"
assert names["pixels"].shape == [16, 784]
"""


@pytest.mark.slow
def test_blocks_of_readme_run_one_after_another(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    process = fresh_process.start(exec, PASTED, {}, output=tmp_path / "output.txt")
    process.join()
    assert process.exitcode == 0, (tmp_path / "output.txt").read_text()[-4000:]


def test_readme_is_short_enough_to_be_read():
    assert len(README.splitlines()) <= 150


def test_how_to_cite_names_the_version():
    version = f"version: {tfp_flows.__version__}\n"
    assert version in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    page = (ROOT / "docs" / "cite.md").read_text(encoding="utf-8")
    assert f"{{{tfp_flows.__version__}}}" in page
