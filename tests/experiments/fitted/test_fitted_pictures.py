"""Scores of pictures under a run on images."""

import csv
import json

import numpy as np
import pytest
from PIL import Image
from refused import assert_refused

import tfp_flows
from experiments import score
from experiments.score import PictureRows

SHAPE = (4, 3)  # height and width


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    """The folder of a run on grey pictures, as far as scoring reads it."""
    folder = tmp_path_factory.mktemp("run")
    flow = tfp_flows.RealNVP(12, num_steps=1, hidden_units=(4,), seed=0)
    distribution = tfp_flows.FlowDistribution(tfp_flows.standard_normal(12), flow)
    distribution.initialize(np.random.default_rng(0).random((50, 12), np.float32))
    tfp_flows.DensityEstimator(distribution).save(folder / "model.keras")
    results = {"image_shape": SHAPE, "context_size": 0}
    results["bits_per_dimension"] = {"bins_per_unit": 256.0}
    (folder / "results.json").write_text(json.dumps(results))
    return folder, distribution


@pytest.fixture
def pictures(tmp_path):
    """Pixels `[5, 4, 3]`, the folder of their files, and that of their array."""
    pixels = np.random.default_rng(1).integers(0, 256, (5, *SHAPE)).astype(np.uint8)
    folder = tmp_path / "pictures"
    (folder / "more").mkdir(parents=True)
    names = ["a.png", "b.png", "c.bmp", "more/d.png", "more/e.png"]
    for name, image in zip(names, pixels, strict=True):
        Image.fromarray(image).save(folder / name)
    np.savez(tmp_path / "pictures.npz", x=pixels)
    return pixels, names, folder, tmp_path / "pictures.npz"


def lines_of(run_dir, images, out, **more):
    files = {"model": str(run_dir), "images": str(images), "out": str(out)}
    score.score(score.ScoreSettings(progress=0, **files, **more))
    with out.open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["picture", "log_likelihood", "bits_per_dimension"]
    return rows


def test_scores_are_of_the_pixels_with_noise(run_dir, pictures, tmp_path):
    (folder, distribution), (pixels, names, files, array) = run_dir, pictures
    ((found, rows),) = PictureRows(files, folder, "refuse").parts(0, 7)
    assert found == names
    np.testing.assert_array_equal(np.floor(rows * 256.0), pixels.reshape(5, -1))
    assert len(np.unique(rows * 256.0 % 1.0)) == rows.size
    lines = lines_of(folder, files, tmp_path / "files.csv", seed=7)
    assert [line[0] for line in lines] == names
    nats, bits = np.array([line[1:] for line in lines], np.float64).T
    np.testing.assert_allclose(nats, distribution.log_prob(rows), rtol=1e-5)
    np.testing.assert_allclose(bits, 8.0 - nats / (12.0 * np.log(2.0)), rtol=1e-6)
    from_array = lines_of(folder, array, tmp_path / "array.csv", seed=7)
    assert [line[1:] for line in from_array] == [line[1:] for line in lines]
    assert [line[0] for line in from_array] == list("01234")


def test_what_was_interrupted_goes_on(run_dir, pictures, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(score, "_PICTURES_A_CALL", 2)
    folder, files = run_dir[0], pictures[2]
    whole = lines_of(folder, files, tmp_path / "whole.csv")
    (files / "more/d.png").rename(tmp_path / "d.png")
    (files / "more/d.png").write_bytes(b"no picture")
    out = tmp_path / "out.csv"
    arguments = [f"--model={folder}", f"--images={files}", f"--out={out}"]
    assert score.cli(["score", *arguments]) == 1
    assert not out.exists()
    (tmp_path / "d.png").rename(files / "more/d.png")
    (files / "e.png").write_bytes(b"one more")
    assert score.cli(["score", *arguments]) == 1
    assert "begun with others: pictures" in capsys.readouterr().err
    (files / "e.png").unlink()
    assert lines_of(folder, files, out) == whole


def test_what_does_not_fit_is_refused(run_dir, pictures, tmp_path, capsys, monkeypatch):
    folder, (_, _, files, _) = run_dir[0], pictures
    Image.new("L", (9, 9)).save(files / "large.png")
    np.savez(tmp_path / "floats.npz", x=np.zeros([2, 4, 3]))
    for model, images, *words in (
        (folder, files, "9x9", "large.png", "--image_fit"),
        (folder, tmp_path / "floats.npz", "float64"),
        (folder, tmp_path / "none", "none"),
        (folder / "model.keras", files, "folder of a finished, unconditional run"),
    ):
        out = tmp_path / "out.csv"
        arguments = [f"--model={model}", f"--images={images}", f"--out={out}"]
        assert_refused(score, arguments, 1, words, capsys, monkeypatch)
    arguments = [f"--model={folder}", f"--images={files}", "--csv=x", "--out=y"]
    assert_refused(score, arguments, 2, ["one of `csv` and `images`"], capsys, monkeypatch)
    assert len(lines_of(folder, files, tmp_path / "crop.csv", image_fit="crop")) == 6
