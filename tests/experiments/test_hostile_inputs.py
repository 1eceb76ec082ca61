"""Files made to run code, fill memory or leave a folder: each is refused in one line.

What the library itself loads is in `test_hostile_files.py`.
"""

import re
from pathlib import Path

import hostile_archives
import hostile_arrays
import hostile_checkpoints
import hostile_models
import pytest
from PIL import EpsImagePlugin

from experiments.command_line.flag_settings import UsageError
from experiments.data import DataError
from experiments.data import files
from experiments.data import maf_tables
from experiments.data import text_table
from experiments.runs.run_directory import RunDirectoryError

KINDS = (hostile_arrays, hostile_archives, hostile_models, hostile_checkpoints)
HOSTILE = {name: write for kind in KINDS for name, write in kind.HOSTILE.items()}
# What programs tell in one line, and the library as `ValueError`.
REFUSALS = (DataError, RunDirectoryError, UsageError, ValueError)
MEBIBYTE = 2**20


@pytest.fixture(autouse=True)
def _little_memory(monkeypatch):
    """A machine of 16 MiB, so that what would fill it need not be large itself."""
    monkeypatch.setattr(files, "_MEMORY", 16 * MEBIBYTE)
    monkeypatch.setattr(text_table, "_BYTES_A_BLOCK", MEBIBYTE // 4)
    monkeypatch.setattr(text_table, "_BYTES_A_ROW", MEBIBYTE)
    monkeypatch.setattr(maf_tables, "ADDRESS", "http://127.0.0.1:9/data.tar.gz")


@pytest.mark.parametrize("name", HOSTILE)
def test_is_refused_in_one_line_that_names_the_file(name, tmp_path, monkeypatch):
    folder, made = tmp_path / "folder", tmp_path / "made"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", str(folder / "gs"))
    path, read = HOSTILE[name](folder, made)
    before = set(tmp_path.rglob("*"))
    Path("/proc/self/clear_refs").write_text("5")  # which forgets the peak
    used = kibibytes("VmRSS")
    with pytest.raises(REFUSALS) as refusal:
        read()
    assert kibibytes("VmHWM") - used < 200 * 1024
    assert path.name in str(refusal.value)
    assert not made.exists()
    assert all(folder in p.parents for p in set(tmp_path.rglob("*")) - before)


def kibibytes(name):
    """What the kernel counts of this process's memory."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(rf"{name}:\s+(\d+) kB", status)[1])
