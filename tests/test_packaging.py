"""What a wheel and a source archive hold."""

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BUILT_FROM = ("LICENSE", "MANIFEST.in", "README.md", "pyproject.toml", "setup.py")
BUILD = "from setuptools import build_meta as b; b.build_wheel('.'); b.build_sdist('.')"


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    """The folder in which both were built, of a copy without what other builds left."""
    folder = tmp_path_factory.mktemp("build")
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("tfp_flows", "tests", "experiments"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for name in BUILT_FROM:
        shutil.copy(ROOT / name, folder)
    subprocess.run([sys.executable, "-c", BUILD], cwd=folder, check=True)
    return folder


@pytest.fixture(scope="module")
def package():
    """Names of all that the package is made of."""
    sources = (ROOT / "tfp_flows").rglob("*.py")
    return {p.relative_to(ROOT).as_posix() for p in sources} | {"tfp_flows/py.typed"}


def test_wheel_holds_the_package_and_nothing_else(archives, package):
    (wheel,) = archives.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        about = next(n for n in names if n.endswith("METADATA"))
        metadata = archive.read(about).decode()
    assert {n for n in names if ".dist-info/" not in n} == package
    assert any(n.endswith("LICENSE") for n in names)
    assert "Classifier: Typing :: Typed" in metadata
    assert "Keywords: " in metadata
    required = [line for line in metadata.splitlines() if line.startswith("Requires-Dist")]
    assert len([line for line in required if "extra ==" not in line]) == 5


def test_source_archive_holds_what_a_wheel_is_built_from(archives, package):
    (source,) = archives.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        names = {n.split("/", 1)[1] for n in archive.getnames() if "/" in n}
        names = {n for n in names if "." in Path(n).name or n == "LICENSE"}
    generated = {n for n in names if ".egg-info" in n} | {"PKG-INFO", "setup.cfg"}
    assert names - generated == package | set(BUILT_FROM)
