"""Names and first lines of files, and the groups of tests."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = [ROOT / folder for folder in ("tfp_flows", "experiments", "tests")]
FILES = sorted(path for package in PACKAGES for path in package.rglob("*.py"))
SHIPPED = [path for path in FILES if path.relative_to(ROOT).parts[0] != "tests"]
NO_NAMES = {"utils", "helpers", "common", "misc"}
# A docstring that begins so says what a file does, instead of what it is.
NO_NOUN = re.compile(r"(This|It|Contains|Defines|Implements|Provides|Makes|Has) ")


def names(paths):
    return [str(path.relative_to(ROOT)) for path in paths]


def first_line(path):
    return (ast.get_docstring(ast.parse(path.read_text())) or "").split("\n")[0]


def test_files_are_named_after_an_idea():
    assert names(path for path in FILES if path.stem in NO_NAMES) == []


def test_modules_begin_with_a_sentence_about_what_they_are():
    code = [path for path in SHIPPED if path.read_text().strip()]
    wrong = [p for p in code if not re.match(r".*[.:?]$", first_line(p))]
    assert names(wrong) == []
    assert names(p for p in code if NO_NOUN.match(first_line(p))) == []


def test_pytest_xdist_knows_the_group_of_each_test(request):
    """Groups of which it is told too late are ignored without a word."""
    if not getattr(request.config.option, "loadgroup", False):
        pytest.skip("runs in one process")
    items = request.session.items
    assert [item.name for item in items if "@" not in item.nodeid] == []
