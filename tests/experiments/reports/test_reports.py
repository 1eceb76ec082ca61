"""What is read after a run: the reports and the comparison."""

import dataclasses
import html.parser
import json

import matplotlib.image
import numpy as np
import pytest

from experiments import compare
from experiments.data import DATASETS
from experiments.data.published import IMAGE_TABLE
from experiments.density_estimation import report
from experiments.reports.page import write_report

pytestmark = pytest.mark.xdist_group("finished runs")

PICTURES = {
    "real_nvp": ["density.png", "warp.png"],
    "table": ["marginals.png", "pairs.png"],
    "by_class": ["samples.png"],
}


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


def test_report_tells_whether_samples_are_of_the_class_asked_for(finished):
    results = json.loads((finished("by_class") / "results.json").read_text())
    found = results["class_agreement"]
    assert found["num_samples"] == 200
    assert set(found["by_class"]) == set("0123456789")
    assert found["agreement"] == pytest.approx(np.mean(list(found["by_class"].values())))
    for name in ("report.md", "report.html"):
        text = (finished("by_class") / name).read_text()
        for key in ("agreement", "two_standard_errors", "classifier_test_accuracy"):
            assert f"{found[key]:.3f}" in text
    assert "class_agreement" not in json.loads(
        (finished("table") / "results.json").read_text()
    )


@pytest.mark.parametrize("loses", [True, False])
def test_a_flow_that_loses_to_the_gaussian_says_so_first(loses, finished, tmp_path):
    results = json.loads((finished("table") / "results.json").read_text())
    own = {"nats": -48.04 if loses else -46.9, "two_standard_errors": 0.5}
    gaussian = {"nats": -47.48, "two_standard_errors": 0.4}
    results |= {"test_log_likelihood": own, "gaussian_log_likelihood": gaussian}
    page = report.page(results)
    page.write_markdown({}, tmp_path / "report.md")
    write_report(page, {}, tmp_path / "report.html")
    words = (
        "This flow is no better than the baseline, full-covariance Gaussian: -48.040 "
        "against -47.480 nats a row, on 50 test rows."
    )
    _, first, *_ = (tmp_path / "report.md").read_text().split("\n\n")
    body = (tmp_path / "report.html").read_text().split("</h1>")[1]
    assert first.strip("*").startswith(words) == loses
    assert body.lstrip().startswith(f"<p><strong>{words}") == loses
    assert report.table(results).startswith(words) == loses
    assert ('<tr class="run">' in body) != loses
    nothing = {"nats": float("nan"), "two_standard_errors": float("nan")}
    assert "no better" in report.table(results | {"test_log_likelihood": nothing})
    caveat = report.page(results | {"caveat": "Compare with nothing."})
    assert caveat.note.endswith(" Compare with nothing.")


def test_report_tells_bits_beside_nats(finished):
    results = json.loads((finished("by_class") / "results.json").read_text())
    bits = results["bits_per_dimension"]
    own = f"{bits['bits']:.3f} ± {bits['two_standard_errors']:.3f}"
    gaussian = np.log2(17.0) - results["gaussian_log_likelihood"]["nats"] / (
        64 * np.log(2.0)
    )
    for name in ("report.md", "report.html"):
        text = (finished("by_class") / name).read_text()
        assert text.count(own) == 1
        assert f"{gaussian:.3f} ± " in text
        assert "of integers 0 to 16." in text
    assert "bits per dim" not in (finished("table") / "report.md").read_text()


@pytest.mark.parametrize(
    ("dataset", "expected"),
    [
        ("mnist", {"NICE": ("1980.50", "4.36")}),
        ("cifar10", {"RealNVP": ("", "3.49"), "Glow": ("", "3.35")}),
    ],
)
def test_published_figures_of_images_stand_in_their_unit(dataset, expected, finished):
    results = json.loads((finished("by_class") / "results.json").read_text())
    rows = IMAGE_TABLE[dataset].items()
    size = DATASETS[dataset].event_size
    bits = results["bits_per_dimension"] | {"bins_per_unit": 256.0, "event_size": size}
    published = {name: dataclasses.asdict(row) for name, row in rows}
    page = report.page(results | {"published": published, "bits_per_dimension": bits})
    assert {name: (nats, bits) for name, nats, bits, _ in page.rows[2:]} == expected
    assert len({line.count("|") for line in page.table().splitlines()}) == 1


class Sources(html.parser.HTMLParser):
    """Collects what a page would load, and whether its tags are closed."""

    def __init__(self):
        super().__init__()
        self.sources, self.open = [], []

    def handle_starttag(self, tag, attributes):
        self.sources += [value for key, value in attributes if key in ("src", "href")]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_html_report_needs_nothing_beside_it(finished):
    text = (finished("real_nvp") / "report.html").read_text()
    page = Sources()
    page.feed(text)
    assert page.open == []
    assert len(page.sources) == 4
    assert all(source.startswith("data:image/png;base64,") for source in page.sources)
    assert "url(" not in text
    assert "@import" not in text


def test_compare_prints_a_table_and_names_what_is_no_run(finished, tmp_path):
    folders = {name: finished(name) for name in PICTURES}
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
