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
import readme_code

ROOT = Path(__file__).parent.parent
BUILT_FROM = ("LICENSE", "MANIFEST.in", "README.md", "pyproject.toml", "setup.py")
TEN_LINES = readme_code.BLOCKS[0]
EXTRAS_WITH_TFP = dict.fromkeys(("tfp", "dev", "docs", "bench"), "tensorflow-probability==")
EXTRAS_WITH_TFP |= dict.fromkeys(("tfp-nightly", "dev-nightly"), "tfp-nightly")
BUILD = "from setuptools import build_meta as b; b.build_wheel('.'); b.build_sdist('.')"


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    """The folder in which both were built, of a copy without what other builds left."""
    folder = tmp_path_factory.mktemp("build")
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("tfp_flows", "tests", "experiments"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for name in (*BUILT_FROM, "tfp_flows_jax.py"):
        shutil.copy(ROOT / name, folder)
    subprocess.run([sys.executable, "-c", BUILD], cwd=folder, check=True)
    return folder


def sources(folder):
    return {p.relative_to(ROOT).as_posix() for p in (ROOT / folder).rglob("*.py")}


def package():
    """Names of all that the package and its commands are made of."""
    developed = ("benchmarks/", "experiments/compatibility/")
    commands = {name for name in sources("experiments") if not name.startswith(developed)}
    return sources("tfp_flows") | {"tfp_flows/py.typed", "tfp_flows_jax.py"} | commands


def test_wheel_holds_the_package_and_nothing_else(archives):
    (wheel,) = archives.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        about = next(n for n in names if n.endswith("METADATA"))
        metadata = archive.read(about).decode()
    # A user's own folder may be called `experiments`.
    installed = {re.sub("^experiments/", "tfp_flows_experiments/", n) for n in package()}
    assert {n for n in names if ".dist-info/" not in n} == installed
    assert any(n.endswith("LICENSE") for n in names)
    assert "Classifier: Typing :: Typed" in metadata
    assert "Keywords: " in metadata
    required = [line for line in metadata.splitlines() if line.startswith("Requires-Dist")]
    # No TFP, since two distributions hold it: each is an extra of its own.
    always = [line.split()[1] for line in required if "extra ==" not in line]
    assert {re.match(r"[\w-]+", r)[0] for r in always} == {"tensorflow", "keras", "numpy"}
    for extra, tfp in EXTRAS_WITH_TFP.items():
        holds = [line for line in required if f'extra == "{extra}"' in line]
        assert [line.split()[1].startswith(tfp) for line in holds].count(True) == 1, extra


def test_source_archive_holds_what_a_wheel_is_built_from(archives):
    (source,) = archives.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        names = {n.split("/", 1)[1] for n in archive.getnames() if "/" in n}
        names = {n for n in names if "." in Path(n).name or n == "LICENSE"}
    generated = {n for n in names if ".egg-info" in n} | {"PKG-INFO", "setup.cfg"}
    assert names - generated == package() | set(BUILT_FROM)


@pytest.fixture(scope="module", params=["whl", "gz"])
def run(archives, tmp_path_factory, request):
    """Runs a command where an archive is installed, in a folder of its own.

    Nothing of the repository is on the path; an `experiments` there is none of ours.
    """
    (archive,) = archives.glob(f"*.{request.param}")
    installed, elsewhere = (tmp_path_factory.mktemp(name) for name in ("installed", "run"))
    flags = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    command = ["-m", "pip", "install", *flags, f"--target={installed}", str(archive)]
    subprocess.run([sys.executable, *command], check=True)
    path = f"{installed / 'bin'}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PYTHONPATH": str(installed), "PATH": path}
    (elsewhere / "experiments.py").write_text("raise AssertionError")
    options = {"cwd": elsewhere, "env": environment, "capture_output": True, "text": True}
    return lambda *command: subprocess.run(command, check=True, **options)


@pytest.mark.slow
def test_ten_lines_of_readme_run_where_it_is_installed(run):
    code = TEN_LINES.replace("size=(400, 2)", "size=(40, 2)")
    assert code != TEN_LINES
    code += "\nimport os\nprint(os.listdir(), tfp_flows.__file__)\n"
    printed = run(sys.executable, "-c", code).stdout.splitlines()[-1]
    assert "'density.keras'" in printed
    assert "/installed" in printed


@pytest.mark.slow
def test_installed_commands_run(run):
    assert "\n  density " in run("tfp-flows", "--help").stdout
    tiny = "--flow=real_nvp --num_steps=1 --epochs=1 --num_samples=100 --run_dir=run"
    fitted = run(
        "tfp-flows", "density", "--dataset=two_moons", *tiny.split(), "--progress=0"
    )
    assert "Gaussian" in fitted.stdout
    assert fitted.stderr == ""
    assert "tfp-flows density --" in run("cat", "run/report.md").stdout
    assert "two_moons" in run(sys.executable, "-m", "tfp_flows", "compare", "run").stdout
    assert "--num_steps" in run("tfp-flows", "density", "--help").stdout
