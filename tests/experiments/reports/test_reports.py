"""Reports of runs, and the comparison of runs."""

import json
import re
import warnings

import matplotlib.image
import numpy as np
import pytest
from refused import assert_refused
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.neighbors import KNeighborsClassifier

from experiments import compare
from experiments.density_estimation import report
from experiments.reports import page, predictions
from tfp_flows.tables.synthesis import fidelity

pytestmark = pytest.mark.xdist_group("finished runs")

PICTURES = {
    "real_nvp": ["density.png", "warp.png"],
    "table": ["marginals.png", "pairs.png"],
    "by_class": ["samples.png"],
}


@pytest.mark.slow_ids("by_class")
@pytest.mark.parametrize("name", PICTURES)
def test_report_shows_numbers_and_pictures(name, finished):
    text = (finished(name) / "report.md").read_text()
    results = json.loads((finished(name) / "results.json").read_text())
    assert results["command"] in text
    assert f"{results['two_sample_test']['accuracy']:.3f}" in text
    assert f"{max(results['calibration']['ks_distances']):.3f}" in text
    for picture in [*PICTURES[name], "calibration.png", "learning_curve.png"]:
        assert f"({picture})" in text
        pixels = matplotlib.image.imread(finished(name) / picture)
        assert min(pixels.shape[:2]) > 100
        assert pixels[..., :3].std() > 0.02


def test_a_class_for_each_row_is_no_warning():
    model, x, y = (
        KNeighborsClassifier(),
        np.arange(40.0)[:, None],
        np.arange(40).astype(str),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        predictions.fit_quietly(model, x, y)
        with fidelity.one_thread():
            model.fit(x, y)


@pytest.mark.parametrize("names", ["a" * 39 + "b", "abcdefgh" * 5, "aabb" * 10])
def test_a_classifier_takes_rare_classes(names):
    x, y = np.arange(40.0)[:, None], np.array(list(names))
    stops = predictions.can_stop_early(y)
    model = HistGradientBoostingClassifier(max_iter=2, early_stopping=stops)
    assert np.isfinite(predictions.log_probs_of_classes(model.fit(x, y), x, y)).all()


def test_names_do_not_break_a_table():
    lines = page.table(("table", "columns"), [("a.csv", "x|y, new\nline")]).splitlines()
    assert lines[2].split(" | ", 1)[1] == r"x\|y, new\nline |"
    assert len({len(line) for line in lines}) == 1


@pytest.mark.parametrize("loses", [True, False])
def test_a_flow_that_loses_to_the_gaussian_says_so_first(loses, finished):
    results = json.loads((finished("table") / "results.json").read_text())
    own = {"nats": -48.04 if loses else -46.9, "two_standard_errors": 0.5}
    gaussian = {"nats": -47.48, "two_standard_errors": 0.4}
    results |= {"test_log_likelihood": own, "gaussian_log_likelihood": gaussian}
    words = (
        "This flow is no better than the baseline, full-covariance Gaussian: -48.040 "
        "against -47.480 nats a row, on 50 test rows."
    )
    _, first, *_ = report.page(results).markdown({}).split("\n\n")
    assert first.strip("*").startswith(words) == loses
    assert report.page(results).text().startswith(words) == loses
    nothing = {"nats": float("nan"), "two_standard_errors": float("nan")}
    assert "no better" in report.page(results | {"test_log_likelihood": nothing}).text()


def test_html_report_needs_nothing_beside_it(finished):
    text = (finished("real_nvp") / "report.html").read_text()
    sources = re.findall(r'(?:src|href)="([^"]*)"', text)
    assert len(sources) == 4
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert not re.search(r"url\(|@import", text)


def test_compare_prints_a_table_and_names_what_is_no_run(finished, tmp_path):
    folders = {name: finished(name) for name in ("real_nvp", "table", "glow")}
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "results.json").write_text("{")
    paths = [*folders.values(), tmp_path, tmp_path / "broken"]
    finished, others = compare.load(paths)
    assert set(finished) == set(map(str, folders.values()))
    assert [folder for folder, _ in others] == [tmp_path, tmp_path / "broken"]
    lines = compare.table(finished).splitlines()
    assert len(lines) == 2 + len(finished)
    assert len({line.count("|") for line in lines}) == 1
    compare.draw(finished, tmp_path / "comparison.png")
    assert matplotlib.image.imread(tmp_path / "comparison.png")[..., :3].std() > 0.02


def results(nats, flags="", **changes):
    """The entries of `results.json` that `compare` reads, for a run on digits."""
    return {
        "dataset": "digits",
        "flow": "nice",
        "test_log_likelihood": {"nats": nats, "two_standard_errors": 0.1},
        "gaussian_log_likelihood": {"nats": 50.7, "two_standard_errors": 0.1},
        "num_rows": {"train": 1257, "validation": 180, "test": 360},
        "event_size": 64,
        "context_size": 0,
        "two_sample_test": {"accuracy": 0.5},
        "num_parameters": 10,
        "num_epochs": 2,
        "training_seconds": 1.0,
        "command": f"tfp-flows density --seed=1 {flags}",
    } | changes


def other_baseline(nats, **changes):
    return results(nats, gaussian_log_likelihood={"nats": 49.0}, **changes)


def column(finished, index):
    lines = compare.table(finished).splitlines()[2:]
    return [line.strip("|").split(" | ")[index].strip() for line in lines]


# Results of another run on digits, and the words that tell both runs apart.
APART = {
    "baseline": (other_baseline(65.0), "baseline 50.7 nats", "baseline 49 nats"),
    "context": (results(65.0, context_size=10), "", "given 10"),
    "flags of data": (
        other_baseline(65.0, flags="--data_seed=1 --epochs=3 --data_dir=x"),
        "baseline 50.7 nats",
        "--data_seed=1, baseline 49 nats",
    ),
}


@pytest.mark.parametrize("name", APART)
def test_figures_that_do_not_compare_stand_apart(name):
    other, first, second = APART[name]
    finished = {"a": results(70.0), "b": other, "c": results(60.0)}
    first = f"digits ({first})" if first else "digits"
    assert column(finished, 0) == [first, first, f"digits ({second})"]
    assert column(finished, 1) == ["a", "c", "b"]


def write_results(folder, contents):
    folder.mkdir()
    (folder / "results.json").write_text(contents)
    return str(folder)


def test_picture_goes_to_a_folder_that_is_made(tmp_path, capsys):
    run = write_results(tmp_path / "run", json.dumps(results(70.0)))
    picture = tmp_path / "new" / "folder" / "comparison.png"
    # Flags may come after folders.
    assert compare.cli(["compare", run, str(tmp_path), f"--picture={picture}"]) == 0
    assert picture.is_file()
    output, error = capsys.readouterr()
    cells = [cell.strip() for cell in output.splitlines()[2].split("|")]
    assert cells[1:5] == ["digits", run, "nice", "70.000 ± 0.100"]
    assert error.splitlines() == [f"{tmp_path}: no finished run", f"Picture: {picture}"]


# Folders, and words of the line on standard error.
NO_RUNS = {
    "no run": ("{x} {x}/none", "a finished run; got {x}: no finished run; {x}/none: no"),
    "another experiment": ("{x}/vae", "vae: no results of `tfp-flows density`"),
    "a table": ("{x}/table", "table: no results of `tfp-flows density`"),
    "a list": ("{x}/list", "list: no results of `tfp-flows density`"),
}


@pytest.mark.parametrize("name", NO_RUNS)
def test_what_is_no_run_is_refused(name, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_results(tmp_path / "vae", json.dumps({"elbo": {"nats": -19.0}}))
    of_table = {"test_log_likelihood": {"nats": -19.0}, "table": "rows.csv"}
    write_results(tmp_path / "table", json.dumps(of_table))
    write_results(tmp_path / "list", "[]")
    arguments, words = (text.replace("{x}", str(tmp_path)) for text in NO_RUNS[name])
    assert_refused(compare, arguments.split(), 1, [words], capsys, monkeypatch)
    assert not (tmp_path / "comparison.png").exists()
