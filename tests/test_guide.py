"""Pages of the guide: their code runs, they are complete, and the site builds."""

import dataclasses
import importlib
import importlib.util
import itertools
import re
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import readme_code

import tfp_flows

DOCS = Path(__file__).parent.parent / "docs"
PAGES = sorted(p for p in DOCS.rglob("*.md") if "_build" not in p.parts)
NAMES = [page.relative_to(DOCS).as_posix() for page in PAGES]
LESSONS = [name for name in NAMES if name.startswith("learn/") and "index" not in name]
PARTS = ["Idea", "Formula", "Code", "Picture", "Exercise"]
# Folders and pages without a translation; each other page has one in `zh`.
ENGLISH_ONLY = ("api/", "coming_from/", "pictures/", "benchmarks.md", "changelog.md")
ENGLISH_ONLY += ("cite.md", "ideas.md", "measured.md", "promises.md", "results.md")
ENGLISH_ONLY += ("tried_and_dropped.md",)
ORIGINALS = [name for name in NAMES if not name.startswith("zh/")]
TRANSLATED = {name for name in ORIGINALS if not name.startswith(ENGLISH_ONLY)}
TRANSLATED |= {name.removeprefix("zh/") for name in NAMES if name.startswith("zh/")}
# Packages without which the blocks of code that import them are left out.
EXTRAS = ("arviz", "numpyro", "pymc")
# Packages without which a page is not run.
NEEDED = {"do/jax.md": "jax", "do/onnx.md": "onnxruntime", "do/stan.md": "bridgestan"}
BLOCK = re.compile(r"^```(\S*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
SEED = re.compile(r"(?<=seed=)\d+|(?<=set_random_seed\()\d+|(?<=default_rng\()\d+")


def text_of(name):
    return (DOCS / name).read_text(encoding="utf-8")


def code_of(text):
    return [code for language, code in BLOCK.findall(text) if language == "python"]


def prose_of(text):
    return re.sub(r"`[^`\n]*`", "", BLOCK.sub("", text))


def parts_of(text):
    """Text of each section, by its heading of the second level."""
    pieces = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
    return dict(zip(pieces[1::2], pieces[2::2], strict=True))


def run(name, seed):
    """Runs a page's code; returns its names, and how many figures it drew.

    `seed` is added to every integer seed in the code.
    """
    drawn = []
    blocks = code_of(text_of(name))
    blocks = [SEED.sub(lambda found: str(int(found[0]) + seed), b) for b in blocks]
    for extra in EXTRAS:
        if importlib.util.find_spec(extra) is None:
            blocks = [block for block in blocks if f"import {extra}" not in block]
    names = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            plt, "show", lambda: drawn.extend(plt.get_fignums()) or plt.close("all")
        )
        exec(compile("\n".join(blocks), name, "exec"), names)
    return names, len(drawn)


def check_own_table(names):
    assert set(names["drawn"]) == set(names["frame"])
    assert not np.isnan(names["complete"]["rating"].astype(float)).any()
    low, high = names["predicted"].interval(0.9).T
    assert (low < names["predicted"].mean()).all()
    assert (names["predicted"].mean() < high).all()


def check_posterior(names):
    for fitted in (names["posterior"], names["again"]):
        assert fitted.report.verdict != "not reliable"


# What must hold of a page's names beyond its own assertions.
CLAIMS = {"fit_a_posterior.md": check_posterior, "own_table.md": check_own_table}


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in ORIGINALS if code_of(text_of(name))])
def test_code_of_page_runs(name, tmp_path, monkeypatch, capsys, request):
    monkeypatch.chdir(tmp_path)
    if name in NEEDED:
        pytest.importorskip(NEEDED[name])
    seed = request.config.option.page_seed
    names, num_figures = run(name, seed)
    assert num_figures or name not in LESSONS
    CLAIMS.get(name, dict)(names)
    printed = capsys.readouterr().out
    for language, shown in BLOCK.findall(text_of(name)):
        assert language or seed or shown in printed


@pytest.mark.parametrize("name", LESSONS)
def test_lesson_has_its_parts(name):
    text = text_of(name)
    parts = parts_of(text)
    assert list(parts) == PARTS
    assert "```" not in parts["Idea"]
    assert re.search(r"\$\$.+\$\$", parts["Formula"], re.DOTALL) or "$" in parts["Formula"]
    assert code_of(parts["Code"])
    assert "plt.show()" in parts["Picture"]
    question, _, answer = parts["Exercise"].partition("<details>")
    assert "?" in question
    assert "assert " in "".join(code_of(answer))


def skeleton_of(text):
    """What a translation keeps: all but words, and the order of names in a sentence."""
    blocks = [block for block in BLOCK.findall(text) if not block[0].startswith("{")]
    prose = re.sub(r"\\text\{[^}]*\}", "words", prose_of(text))
    links = re.findall(r"\]\(([^)\s]+)\)", prose)
    return {
        "blocks": blocks,
        "formulas": re.findall(r"\$\$.+?\$\$", prose, re.DOTALL),
        "headings, items and rows": re.findall(
            r"^(?:#+ |- |\d+\. |\|)", prose, re.MULTILINE
        ),
        "files of links": [Path(link.partition("#")[0]).name for link in links],
        "names": {*re.findall(r"`([^`]*)`", " ".join(BLOCK.sub("", text).split()))},
    }


@pytest.mark.parametrize("name", sorted(TRANSLATED))
def test_translation_is_in_step(name):
    text = text_of(f"zh/{name}")
    assert skeleton_of(text) == skeleton_of(text_of(name))
    assert len(re.findall(r"[\u4e00-\u9fff]", prose_of(text))) > 100


def test_front_page_has_the_first_code_of_readme():
    assert code_of(text_of("index.md"))[0] == readme_code.BLOCKS[0]


def test_each_lesson_leads_to_the_next():
    listed = re.findall(
        r"^\d+\. \[.*?\]\((\w+\.md)\)", text_of("learn/index.md"), re.MULTILINE
    )
    assert sorted(f"learn/{page}" for page in listed) == LESSONS
    for page, after in itertools.pairwise(listed):
        (leads_to,) = re.findall(r"^Next: \[.*?\]\((\S+)\)", text_of(f"learn/{page}"), re.M)
        assert leads_to == after


def test_every_public_name_is_in_the_reference():
    pages = "".join(text_of(name) for name in NAMES if name.startswith("api/"))
    modules = re.findall(r"automodule:: (\S+)", pages)
    listed = {name for module in modules for name in vars(importlib.import_module(module))}
    public = {name for name in tfp_flows.__all__ if callable(getattr(tfp_flows, name))}
    assert public <= listed


def extension(name):
    place = DOCS / "_extensions" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_command_has_a_table_of_all_its_flags():
    pytest.importorskip("sklearn", reason="of the extra `experiments`")
    place = DOCS.parent / "experiments"
    code = "".join(path.read_text(encoding="utf-8") for path in place.rglob("*.py"))
    shown = re.findall(r"^<!-- flags of ([\w.]+) -->$", text_of("api/commands.md"), re.M)
    assert sorted(shown) == sorted(re.findall(r'^    PROGRAM = "([\w.]+)"$', code, re.M))
    tables = extension("command_flags")
    for command in shown:
        flags = re.findall(r"^\| `--(\w+)=", tables.table(command), re.MULTILINE)
        settings = tables.settings_of(command)
        fields = {field.name for field in dataclasses.fields(settings)}
        assert {*flags} == fields - {settings.POSITIONAL}


def test_no_picture_without_the_code_that_makes_it():
    used = set()
    for name in NAMES:
        text = text_of(name)
        found = re.findall(r"\]\(([^)\s#]+\.png)\)", prose_of(text))
        used |= {Path(path).name for path in found}
        made = ("plt.show()", "python -m benchmarks", "tfp-flows ", ".flags)")
        assert not found or any(words in text for words in made), name
    readme = (DOCS.parent / "README.md").read_text(encoding="utf-8")
    used |= set(re.findall(r"docs/pictures/(\S+\.png)", readme))
    assert {path.name for path in (DOCS / "pictures").glob("*.png")} == used


def test_site_runs_the_blocks_that_are_tested():
    pytest.importorskip("nbformat", reason="of the extra `docs`")
    reader = extension("python_cells")
    for name in NAMES:
        cells = reader.read_page(text_of(name)).cells
        sources = [cell.source for cell in cells if cell.cell_type == "code"]
        assert sources == [code.strip("\n") for code in code_of(text_of(name))]


@pytest.mark.slow
def test_site_builds_without_warnings(tmp_path):
    pytest.importorskip("sphinx", reason="of the extra `docs`")
    command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "-q"]
    # `test_code_of_page_runs` runs the code.
    command += ["-D", "nb_execution_mode=off", "-b", "html", str(DOCS), str(tmp_path)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    for name, language, group in (("faq", "en", "Look up"), ("zh/faq", "zh-CN", "查阅")):
        page = (tmp_path / f"{name}.html").read_text(encoding="utf-8")
        assert f'lang="{language}"' in page
        assert f'<span class="caption-text">{group}' in page
