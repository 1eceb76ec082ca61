"""What a wheel and a source archive hold, and that both run where they are installed."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BUILT_FROM = ("LICENSE", "MANIFEST.in", "README.md", "pyproject.toml", "setup.py")
README = (ROOT / "README.md").read_text(encoding="utf-8")
TEN_LINES = re.search(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)[1]
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


def sources(folder):
    return {p.relative_to(ROOT).as_posix() for p in (ROOT / folder).rglob("*.py")}


@pytest.fixture(scope="module")
def package():
    """Names of all that the package and its commands are made of."""
    developed = ("benchmarks/", "experiments/compatibility/")
    commands = {name for name in sources("experiments") if not name.startswith(developed)}
    return sources("tfp_flows") | {"tfp_flows/py.typed"} | commands


def test_wheel_holds_the_package_and_nothing_else(archives, package):
    (wheel,) = archives.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        about = next(n for n in names if n.endswith("METADATA"))
        metadata = archive.read(about).decode()
    # A user's own folder may be called `experiments`.
    installed = {re.sub("^experiments/", "tfp_flows_experiments/", n) for n in package}
    assert {n for n in names if ".dist-info/" not in n} == installed
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


def install(archive, target):
    """Installs an archive, and returns the environment of processes that find it alone."""
    flags = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    command = ["-m", "pip", "install", *flags, f"--target={target}", str(archive)]
    subprocess.run([sys.executable, *command], check=True)
    return {**os.environ, "PYTHONPATH": str(target)}


@pytest.mark.parametrize("kind", ["whl", pytest.param("gz", marks=pytest.mark.slow)])
def test_ten_lines_of_readme_run_where_it_is_installed(kind, archives, tmp_path):
    """In a folder of its own, with nothing of the repository on the path."""
    (archive,) = archives.glob(f"*.{kind}")
    installed, elsewhere = tmp_path / "installed", tmp_path / "elsewhere"
    elsewhere.mkdir()
    environment = install(archive, installed)
    code = TEN_LINES.replace("epochs=200", "epochs=2, verbose=0")
    assert code != TEN_LINES
    code += "\nprint(tfp_flows.__file__)\n"
    command = [sys.executable, "-c", code]
    process = subprocess.run(
        command, cwd=elsewhere, env=environment, check=True, capture_output=True, text=True
    )
    assert process.stdout.splitlines()[-1].startswith(str(installed))
    assert {path.name for path in elsewhere.iterdir()} == {"flow.keras"}


@pytest.fixture
def run(archives, tmp_path):
    """Runs a command in a folder that has an `experiments` which is none of ours."""
    (archive,) = archives.glob("*.whl")
    environment = install(archive, tmp_path / "installed")
    environment["PATH"] = (
        f"{tmp_path / 'installed' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    )
    (tmp_path / "experiments.py").write_text("raise AssertionError")
    return lambda *command: subprocess.run(
        command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
    )


def test_the_installed_command_explains_itself(run):
    assert "\n  density " in run("tfp-flows", "--help").stdout
    assert "--num_steps" in run("tfp-flows", "density", "--help").stdout


@pytest.mark.slow
def test_installed_commands_run(run, tmp_path):
    tiny = ["--epochs=1", "--num_steps=1", "--num_samples=100", "--run_dir=run"]
    fitted = run("tfp-flows", "density", "--dataset=two_moons", *tiny, "--progress=0")
    assert "Gaussian" in fitted.stdout
    assert fitted.stderr == ""
    assert "tfp-flows density --" in (tmp_path / "run" / "report.md").read_text()
    assert "two_moons" in run(sys.executable, "-m", "tfp_flows", "compare", "run").stdout
