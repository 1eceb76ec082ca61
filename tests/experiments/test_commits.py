"""The comparison of two commits: its rule, what is timed of each, and what stays behind."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import small_contender

from benchmarks import commits
from benchmarks.commits import Comparison
from benchmarks.worker import Worker

ROOT = Path(commits.__file__).parents[1]
MODULE = "def work():\n    return {}.0\n"


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository with two commits, tagged by the numbers that their `work` returns."""
    if shutil.which("git") is None:
        pytest.skip("needs git")
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    monkeypatch.setattr(commits, "_ROOT", tmp_path)
    monkeypatch.setattr(commits, "_GIT", git)
    subprocess.run([*git, "init", "--quiet"], check=True)
    (tmp_path / "tfp_flows").mkdir()
    for folder in ("benchmarks", "experiments"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    for number in (1, 2):
        (tmp_path / "tfp_flows" / "__init__.py").write_text(MODULE.format(number))
        subprocess.run([*git, "add", "."], check=True)
        subprocess.run([*git, "commit", "--quiet", "-m", "a"], check=True)
        subprocess.run([*git, "tag", f"v{number}"], check=True)
    (tmp_path / "tfp_flows" / "__init__.py").write_text(MODULE.format(3))
    return tmp_path


def worktrees(repository):
    listed = subprocess.run(
        ["git", "-C", str(repository), "worktree", "list"], capture_output=True, text=True
    )
    return len(listed.stdout.splitlines())


@pytest.mark.parametrize(
    ("after", "is_slower"),
    [
        ((13.0, 13.1, 13.2, 13.3, 13.4), True),
        ((11.0, 11.1, 11.2, 11.3, 11.4), False),
        ((9.0, 11.0, 13.0, 16.0, 20.0), False),  # above the limit, but so is the spread
        ((1.0, 13.1, 13.2, 13.3, 90.0), True),
    ],
)
def test_slower_is_what_is_so_beyond_the_spread(after, is_slower):
    comparison = Comparison("a", (10.0,) * 5, after)
    assert comparison.is_worse(1.2) == is_slower
    assert ("| slower |" in comparison.row(1.2)) == is_slower


def test_each_worker_has_the_package_of_its_commit(repository, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(small_contender.__file__).parent))
    with commits.checked_out("v1") as old, commits.checked_out("v2") as new:
        for folder, number in ((old, 1.0), (new, 2.0)):
            with Worker(sys.executable, folder=folder) as worker:
                assert worker.build(small_contender.build_on, "tfp_flows").run() == number
        assert worktrees(repository) == 3
    assert worktrees(repository) == 1


@pytest.mark.usefixtures("repository")
def test_what_is_no_commit_is_named(capsys):
    with pytest.raises(ValueError, match="Expected a commit of .*; got 'v3'"):
        commits.checked_out("v3").__enter__()
    assert commits.main(["commits", "v1"]) == 2
    assert "Expected two commits; got ['v1']" in capsys.readouterr().err


def test_what_a_commit_lacks_is_said_in_its_row(monkeypatch):
    """Its worker goes on, whether a module cannot be imported there or has not the name."""
    monkeypatch.setenv("PYTHONPATH", "tests/experiments")
    with Worker(sys.executable) as here:
        monkeypatch.delenv("PYTHONPATH")
        with Worker(sys.executable) as there:
            build = small_contender.build_on
            found = commits.compare("a", [here, there], build, "math", repetitions=2)
            assert found.trouble.startswith("BEFORE: AttributeError: module 'math'")
            assert found.row(1.2).startswith("| a | - | - | - | BEFORE: ")
            assert not found.is_worse(1.2)
            build = small_contender.build_idle
            found = commits.compare("a", [here, there], build, repetitions=2)
            assert found.trouble == (
                "AFTER: ModuleNotFoundError: No module named 'small_contender'"
            )
            assert found.is_worse(1.2)
            found = commits.compare("a", [here, here], build, repetitions=2)
            assert len(found.before) == len(found.after) == 2


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="sets processors")
def test_a_worker_keeps_to_its_processors_and_counts_their_time(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "tests/experiments")
    with Worker(sys.executable, num_cpus=1, processor_time=True) as worker:
        contender = worker.build(small_contender.build_idle)
        start = contender.clock()
        assert contender.run() == 1
        assert contender.clock() - start < 0.1  # of the 0.2 s that it sleeps
