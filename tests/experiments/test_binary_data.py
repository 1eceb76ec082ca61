"""Binary data: the loaders, and runs on them."""

import dataclasses
import hashlib
import json

import matplotlib.image
import numpy as np
import pytest
from tiny_runs import TINY, in_folder

from experiments.data import DataError, binary, load_dataset
from experiments.data.dataset import Dataset
from experiments.density_estimation import evaluation
from experiments.density_estimation import experiment as density_estimation
from experiments.density_estimation.settings import Settings

PARTS = ("train", "valid", "test")
BINARY = dataclasses.replace(
    TINY, flow="binary_made", num_steps=Settings().num_steps, batch_size=20, num_samples=40
)


@pytest.fixture
def tiny_sets(monkeypatch, tmp_path):
    """Small files in place of a table and of MNIST, in both forms."""
    rng = np.random.default_rng(0)
    for name, size, packed in (
        ("adult", 11, "debd/adult.npz"),
        ("binarized_mnist", 784, "binarized_mnist_packed.npz"),
    ):
        sets = [rng.integers(2, size=(n, size), dtype=np.uint8) for n in (60, 30, 40)]
        bits = {p: np.packbits(x, axis=1) for p, x in zip(PARTS, sets, strict=True)}
        digest = hashlib.sha256(b"".join(b.tobytes() for b in bits.values())).hexdigest()
        monkeypatch.setitem(binary._SIZES, name, (size, (60, 30, 40)))
        monkeypatch.setitem(binary._SHA256, name, digest)
        path = tmp_path / "packed" / packed
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, **bits)
        (tmp_path / "text").mkdir(exist_ok=True)
        for part, rows in zip(PARTS, sets, strict=True):
            file = {"adult": f"adult.{part}.data"}.get(name, f"{name}_{part}.amat")
            delimiter = "," if name == "adult" else " "
            np.savetxt(tmp_path / "text" / file, rows, "%d", delimiter=delimiter)
    return tmp_path


@pytest.mark.parametrize("name", ["adult", "binarized_mnist"])
def test_both_forms_hold_the_same_rows(name, tiny_sets):
    first, second = (
        load_dataset(name, data_dir=tiny_sets / form) for form in ("packed", "text")
    )
    assert first.is_binary
    assert set(np.unique(first.train)) == {0.0, 1.0}
    for part in ("train", "validation", "test"):
        rows = getattr(first, part)
        assert rows.dtype == np.float32
        np.testing.assert_array_equal(rows, getattr(second, part))
    assert first.image_shape == ((28, 28) if name == "binarized_mnist" else None)


def test_other_rows_are_refused(tiny_sets):
    path = tiny_sets / "text" / "adult.test.data"
    path.write_text(path.read_text().replace("0", "1", 1))
    with pytest.raises(DataError, match="rows of 11 zeros and ones, those of adult"):
        load_dataset("adult", data_dir=tiny_sets / "text")
    path.write_text("0,1,x\n")
    with pytest.raises(DataError, match=r"rows of zeros and ones in .*adult\.test\.data"):
        load_dataset("adult", data_dir=tiny_sets / "text")


def test_division_of_the_authors_needs_its_file(tmp_path):
    with pytest.raises(DataError, match=r"`--data_dir`.*dna\.npz.*made_train"):
        load_dataset("dna_made", data_dir=tmp_path)


def test_baseline_is_the_frequencies_of_the_training_rows():
    rng = np.random.default_rng(0)
    train, test = ((rng.random((n, 3)) < [0.2, 0.5, 0.9]).astype("f4") for n in (400, 90))
    dataset = Dataset("bits", train, train, test, is_binary=True)
    name, rows = evaluation.baseline(dataset)
    assert name == "bernoulli_log_likelihood"
    shares = (train.sum(axis=0) + 0.5) / 401.0
    expected = np.log(np.where(test == 1.0, shares, 1.0 - shares)).sum(axis=1)
    np.testing.assert_allclose(rows, expected, atol=1e-5)


@pytest.mark.slow_ids("2")
@pytest.mark.parametrize("num_masks", [1, 2])
def test_run_on_images_writes_every_picture(num_masks, tiny_sets):
    data = {"dataset": "binarized_mnist", "data_dir": str(tiny_sets / "packed")}
    settings = in_folder(BINARY, tiny_sets / "run", num_masks=num_masks, **data)
    results = density_estimation.run(settings)
    assert results["calibration"] is None
    assert results["num_parameters"] > 784 * 4
    text = (tiny_sets / "run" / "report.md").read_text()
    assert f"{results['bernoulli_log_likelihood']['nats']:.3f}" in text
    assert "-88.40 |" in text
    pictures = {"samples.png", "completions.png", "moments.png", "learning_curve.png"}
    pictures |= {"orderings.png"} if num_masks > 1 else set()
    assert {path.name for path in (tiny_sets / "run").glob("*.png")} == pictures
    for picture in pictures:
        pixels = matplotlib.image.imread(tiny_sets / "run" / picture)
        assert pixels[..., :3].std() > 0.02


@pytest.mark.usefixtures("op_by_op")
def test_own_table_of_zeros_and_ones_is_binary_data(tmp_path):
    rows = np.random.default_rng(0).integers(2, size=(300, 4))
    np.save(tmp_path / "rows.npy", rows)
    data = {"dataset": "npz", "npz_path": str(tmp_path / "rows.npy")}
    settings = in_folder(BINARY, tmp_path / "run", context_columns=("0",), **data)
    results = density_estimation.run(settings)
    assert (results["event_size"], results["context_size"]) == (3, 1)
    assert json.loads((tmp_path / "run" / "results.json").read_text()) == results
