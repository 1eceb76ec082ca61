"""The data sets: shapes, seeds, splits, errors."""

import hashlib
import os
import pathlib

import numpy as np
import pytest

import experiments
from experiments.data import DATASETS
from experiments.data import DataError
from experiments.data import catalogue
from experiments.data import load_dataset
from experiments.data import maf_tables
from experiments.data import simulated
from experiments.density_estimation.evaluation import gaussian_log_probs
from experiments.reports.estimate import Estimate

DATA_DIR = os.environ.get("TFP_FLOWS_DATA_DIR")
needs_data = pytest.mark.skipif(
    not DATA_DIR, reason="needs data files: set TFP_FLOWS_DATA_DIR to their folder"
)
SETS = ("train", "validation", "test")
OFFLINE = [*simulated.ENTRIES, "digits"]


def arrays(dataset):
    return dataset.train, dataset.validation, dataset.test


@pytest.mark.parametrize("name", OFFLINE)
def test_sets_are_finite_float32_of_one_width(name):
    dataset = load_dataset(name)
    assert dataset.name == name
    for rows in arrays(dataset):
        assert rows.dtype == np.float32
        assert rows.shape[1:] == (dataset.event_size,)
        assert np.isfinite(rows).all()
    assert len(dataset.labels) == dataset.event_size
    assert tuple(map(len, arrays(dataset))) == DATASETS[name].num_rows
    assert dataset.event_size == DATASETS[name].event_size


@pytest.mark.parametrize("name", OFFLINE)
def test_seed_determines_the_rows(name):
    first, again, other = (load_dataset(name, seed=seed) for seed in (3, 3, 4))
    for a, b, c in zip(arrays(first), arrays(again), arrays(other), strict=True):
        np.testing.assert_array_equal(a, b)
        assert not np.array_equal(a, c)


@pytest.mark.parametrize("name", sorted(simulated.ENTRIES.keys() - simulated.KNOWN))
def test_toy_sets_are_drawn_independently(name):
    dataset = load_dataset(name)
    assert [len(rows) for rows in arrays(dataset)] == [10_000, 2_000, 5_000]
    joined = np.concatenate(arrays(dataset))
    assert len(np.unique(joined, axis=0)) > 0.999 * len(joined)
    np.testing.assert_allclose(dataset.train.mean(0), dataset.test.mean(0), atol=0.15)


def test_checkerboard_fills_the_black_squares_only():
    squares = np.floor(load_dataset("checkerboard").train)
    assert set(squares.sum(axis=1) % 2) == {0.0}
    assert len(np.unique(squares, axis=0)) == 8


@needs_data
def test_mnist_is_its_integers_under_noise():
    dataset = load_dataset("mnist", data_dir=DATA_DIR)
    assert tuple(map(len, arrays(dataset))) == DATASETS["mnist"].num_rows
    for rows in arrays(dataset):
        assert rows.min() >= 0.0
        assert rows.max() < 1.0
    pixels = np.floor(dataset.test / dataset.bin_width).astype(int)
    assert (pixels.min(), pixels.max()) == (0, 255)
    # The mean pixel of the test images that everybody quotes, 0.1325 of 255.
    assert pixels.mean() / 255 == pytest.approx(0.1325, abs=1e-4)


@pytest.mark.parametrize("content", ["nothing", "other arrays", "other images"])
def test_wrong_mnist_file_is_refused(content, tmp_path):
    path = tmp_path / "mnist.npz"
    if content == "nothing":
        path.write_bytes(b"")
    elif content == "other arrays":
        np.savez(path, x=np.zeros(3))
    else:
        np.savez(path, x_train=np.zeros([2, 28, 28]), x_test=np.zeros([2, 28, 28]))
    with pytest.raises(DataError, match=r"mnist\.npz"):
        load_dataset("mnist", data_dir=tmp_path)


def test_digits_are_the_scanned_ones_under_noise():
    from sklearn import datasets

    dataset = load_dataset("digits")
    rows = np.concatenate(arrays(dataset))
    assert 0.0 <= rows.min() <= rows.max() < 1.0
    pixels = np.floor(rows / np.float32(dataset.bin_width)).astype(int)
    expected = datasets.load_digits().data.astype(int)
    assert sorted(map(tuple, pixels)) == sorted(map(tuple, expected))


def test_digits_given_their_class():
    from sklearn import datasets

    plain, conditional = (load_dataset("digits", conditional=c) for c in (False, True))
    for a, b in zip(arrays(plain), arrays(conditional), strict=True):
        np.testing.assert_array_equal(a, b)
    assert plain.class_names is None
    assert plain.context_size == 0
    assert conditional.class_names == tuple("0123456789")
    rows, context = map(np.concatenate, zip(*map(conditional.inputs, SETS), strict=True))
    pixels = np.floor(rows / np.float32(conditional.bin_width)).astype(int)
    from_class = dict(zip(map(tuple, pixels), context.argmax(axis=1), strict=True))
    images, classes = datasets.load_digits(return_X_y=True)
    assert [from_class[tuple(image)] for image in images.astype(int)] == classes.tolist()
    np.testing.assert_array_equal(context.sum(axis=1), 1.0)


def test_unknown_name_lists_the_choices():
    with pytest.raises(ValueError, match=r"`dataset`.*digits.*two_moons.*got 'moons'"):
        load_dataset("moons")


def test_catalogue_has_a_line_for_every_set():
    lines = catalogue(DATASETS).splitlines()
    assert [line.split()[0] for line in lines] == ["dataset", *DATASETS]
    assert "1,659,917 / 184,435 / 204,928 × 6 " in catalogue(DATASETS)


def test_table_of_the_data_names_every_set():
    page = pathlib.Path(experiments.__file__).with_name("README.md").read_text()
    lines = page.partition("## Data\n")[2].splitlines()
    cells = [line.split(" | ")[0] for line in lines if line.startswith("| ")]
    named = [name for cell in cells[1:] for name in cell.removeprefix("| ").split(", ")]
    assert sorted(named) == sorted(DATASETS)


def test_wine_without_its_file_names_the_flag_and_the_origin(tmp_path):
    for data_dir in (None, tmp_path):
        with pytest.raises(DataError, match=r"`--data_dir`.*winequality-red\.csv.*uci"):
            load_dataset("red_wine", data_dir=data_dir)


@pytest.mark.parametrize("color", ["red", "white"])
def test_wine_is_read_from_both_forms_alike(color, tmp_path):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(50, 12))
    (tmp_path / "csv").mkdir()
    header = ";".join(f'"column {i}"' for i in range(12))
    path = tmp_path / "csv" / f"winequality-{color}.csv"
    np.savetxt(path, values, "%.17g", delimiter=";", header=header, comments="")
    np.savez(tmp_path / "uci_small.npz", **{f"wine_{color}": values[:, :11]})
    datasets = [
        load_dataset(f"{color}_wine", data_dir=folder)
        for folder in (tmp_path / "csv", tmp_path)
    ]
    assert len(datasets[0].labels) == 11
    sets = list(map(arrays, datasets))
    assert [rows.shape for rows in sets[0]] == [(41, 11), (4, 11), (5, 11)]
    for a, b in zip(*sets, strict=True):
        np.testing.assert_array_equal(a, b)


def test_ten_seeds_of_wine_are_ten_folds(tmp_path):
    values = np.arange(57.0)[:, None] + np.random.default_rng(0).random([57, 11])
    np.savez(tmp_path / "uci_small.npz", wine_red=values)
    folds = [load_dataset("red_wine", data_dir=tmp_path, seed=s) for s in range(11)]
    # Of a common column, in the units of the file.
    tests = []
    for fold in folds:
        both = np.concatenate([fold.train, fold.validation, fold.test])[:, 0]
        ranks = np.argsort(np.argsort(both))
        assert len(np.unique(both)) == 57
        tests.append(set(ranks[-5:].tolist()))
    assert len(set.union(*tests[:10])) == 50
    assert tests[10] != tests[0]


@pytest.mark.parametrize("folder", [".", "maf_power"])
def test_power_is_found_split_and_standardised(folder, tmp_path):
    rng = np.random.default_rng(0)
    columns = {
        key: rng.integers(1, 100, 1000) for key, _ in maf_tables._POWER_COLUMNS.values()
    }
    (tmp_path / folder).mkdir(exist_ok=True)
    np.savez(tmp_path / folder / "power_complete_rows.npz", **columns)
    dataset = load_dataset("power", data_dir=tmp_path)
    assert [rows.shape for rows in arrays(dataset)] == [(810, 6), (90, 6), (100, 6)]
    both = np.concatenate(arrays(dataset)[:2])
    np.testing.assert_allclose(both.mean(0), 0.0, atol=1e-5)
    np.testing.assert_allclose(both.std(0), 1.0, atol=1e-5)


def test_a_small_table_has_its_columns_but_constant_ones(tmp_path):
    values = np.random.default_rng(0).normal(size=(60, 34))
    values[:, 1] = 3.0
    np.savez(tmp_path / "uci_small.npz", ionosphere=values)
    dataset = load_dataset("ionosphere", data_dir=tmp_path)
    assert dataset.event_size == 33
    assert dataset.column_names[:2] == ("1 (standardised)", "3 (standardised)")
    assert [len(rows) for rows in arrays(dataset)] == [49, 5, 6]


@needs_data
@pytest.mark.parametrize("name", ["boston_housing", "ionosphere", "parkinsons", "magic"])
def test_small_tables_have_the_sizes_of_the_catalogue(name):
    dataset, entry = load_dataset(name, data_dir=DATA_DIR), DATASETS[name]
    assert tuple(len(rows) for rows in arrays(dataset)) == entry.num_rows
    assert dataset.event_size == entry.event_size


@needs_data
def test_power_is_the_published_split_bit_for_bit():
    dataset = load_dataset("power", data_dir=DATA_DIR)
    digests = [hashlib.sha256(rows.tobytes()).hexdigest()[:8] for rows in arrays(dataset)]
    assert digests == ["5d87a78b", "72124ea4", "3f0a1c19"]
    gaussian = Estimate.from_rows(gaussian_log_probs(dataset))
    published = dataset.published["Gaussian"]
    assert gaussian.nats == pytest.approx(published.log_likelihood, abs=0.005)
    assert gaussian.two_standard_errors == pytest.approx(0.024, abs=0.001)


@needs_data
def test_bsds300_of_ones_own_draw_suits_the_published_gaussian():
    dataset = load_dataset("bsds300", data_dir=DATA_DIR)
    assert dataset.event_size == 63
    gaussian = Estimate.from_rows(gaussian_log_probs(dataset))
    assert gaussian.nats == pytest.approx(96.3, abs=0.1)
    assert gaussian.two_standard_errors == pytest.approx(0.8, abs=0.1)


@needs_data
@pytest.mark.parametrize("name", ["red_wine", "white_wine", "cifar10_jpeg"])
def test_set_of_a_file_has_the_catalogued_size(name):
    dataset = load_dataset(name, data_dir=DATA_DIR)
    assert tuple(map(len, arrays(dataset))) == DATASETS[name].num_rows
    assert dataset.event_size == DATASETS[name].event_size
