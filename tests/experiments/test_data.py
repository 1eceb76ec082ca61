"""The data sets: shapes, seeds, splits, errors."""

import hashlib
import os
import pathlib

import numpy as np
import pytest
from scipy import stats

import experiments
from experiments.data import DATASETS
from experiments.data import binary
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
    if name in simulated.ENTRIES.keys() - simulated.KNOWN:
        joined = np.concatenate(arrays(dataset))
        assert len(np.unique(joined, axis=0)) > 0.999 * len(joined)
        np.testing.assert_allclose(dataset.train.mean(0), dataset.test.mean(0), atol=0.15)


@pytest.mark.parametrize("name", OFFLINE)
def test_seed_determines_the_rows(name):
    first, again, other = (load_dataset(name, seed=seed) for seed in (3, 3, 4))
    for a, b, c in zip(arrays(first), arrays(again), arrays(other), strict=True):
        np.testing.assert_array_equal(a, b)
        assert not np.array_equal(a, c)


def test_checkerboard_fills_the_black_squares_only():
    squares = np.floor(load_dataset("checkerboard").train)
    assert set(squares.sum(axis=1) % 2) == {0.0}
    assert len(np.unique(squares, axis=0)) == 8


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


def test_wine_is_read_from_both_forms_alike(tmp_path):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(50, 12))
    (tmp_path / "csv").mkdir()
    header = ";".join(f'"column {i}"' for i in range(12))
    path = tmp_path / "csv" / "winequality-red.csv"
    np.savetxt(path, values, "%.17g", delimiter=";", header=header, comments="")
    np.savez(tmp_path / "uci_small.npz", **{"wine_red": values[:, :11]})
    datasets = [
        load_dataset("red_wine", data_dir=folder) for folder in (tmp_path / "csv", tmp_path)
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


def test_power_is_found_split_and_standardised(tmp_path):
    rng = np.random.default_rng(0)
    columns = {
        key: rng.integers(1, 100, 1000) for key, _ in maf_tables._POWER_COLUMNS.values()
    }
    (tmp_path / "maf_power").mkdir()
    np.savez(tmp_path / "maf_power" / "power_complete_rows.npz", **columns)
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


SMALL_FILES = ["boston_housing", "ionosphere", "parkinsons", "magic", "red_wine"]


@needs_data
@pytest.mark.parametrize(
    "name", [*SMALL_FILES, "white_wine", "cifar10_jpeg", "mnist", *binary.ENTRIES]
)
def test_sets_of_files_have_the_catalogued_sizes(name):
    dataset = load_dataset(name, data_dir=DATA_DIR)
    assert tuple(map(len, arrays(dataset))) == DATASETS[name].num_rows
    assert dataset.event_size == DATASETS[name].event_size


@needs_data
def test_power_is_the_published_split_bit_for_bit():
    dataset = load_dataset("power", data_dir=DATA_DIR)
    digests = [hashlib.sha256(rows.tobytes()).hexdigest()[:8] for rows in arrays(dataset)]
    assert digests == ["5d87a78b", "72124ea4", "3f0a1c19"]
    gaussian = Estimate.from_rows(gaussian_log_probs(dataset))
    published = dataset.published["Gaussian"]
    assert gaussian.nats == pytest.approx(published.log_likelihood, abs=0.005)
    bsds300 = load_dataset("bsds300", data_dir=DATA_DIR)  # of a draw of one's own
    assert gaussian_log_probs(bsds300).mean() == pytest.approx(96.3, abs=0.1)


NAMES = list(simulated.KNOWN)


def all_rows(name):
    """Rows of the three sets together, and their context or None."""
    dataset = load_dataset(name)
    sets = ("train", "validation", "test")
    rows = np.concatenate([getattr(dataset, of) for of in sets])
    contexts = [getattr(dataset, f"{of}_context") for of in sets]
    return dataset, rows, None if contexts[0] is None else np.concatenate(contexts)


def from_two_modes():
    """The entropy given x, averaged over it, by sums over a grid."""
    y, x = np.linspace(-5.0, 5.0, 2001), np.linspace(-2.0, 2.0, 401)
    pairs = np.stack(np.meshgrid(y, x), axis=-1).reshape(-1, 2)
    log_density = simulated.two_modes_log_density(pairs[:, :1], pairs[:, 1:])
    density = np.exp(log_density).reshape(401, 2001)
    np.testing.assert_allclose(density.sum(axis=1) * 0.005, 1.0, atol=1e-6)
    return -np.mean(np.sum(density * np.log(np.maximum(density, 1e-300)), axis=1)) * 0.005


def from_torus():
    turn = 2.0 * np.pi
    angles = np.linspace(-np.pi, np.pi, 400, endpoint=False)
    pairs = np.stack(np.meshgrid(angles, angles), axis=-1).reshape(-1, 2)
    log_density = simulated.torus_log_density(pairs)
    np.testing.assert_allclose(np.mean(np.exp(log_density)) * turn**2, 1.0, atol=1e-9)
    turned = simulated.torus_log_density(pairs + [turn, -turn])
    np.testing.assert_allclose(turned, log_density, atol=1e-9)
    return -np.mean(np.exp(log_density) * log_density) * turn**2


def from_heavy_tails(degrees):
    return lambda: 4.0 * stats.t(degrees).entropy() + stats.norm.entropy()


ENTROPIES = {
    "two_modes": from_two_modes,
    "torus": from_torus,
    "heavy_tails_1": from_heavy_tails(1),
    "heavy_tails_2": from_heavy_tails(2),
}


@pytest.mark.parametrize("name", NAMES)
def test_rows_are_drawn_from_the_density(name):
    """Their mean log-density is minus its entropy, up to five standard errors."""
    dataset, rows, context = all_rows(name)
    log_density = dataset.log_density(rows, context)
    error = log_density.std() / np.sqrt(len(rows))
    assert abs(log_density.mean() + ENTROPIES[name]()) < 5.0 * error
    assert error < 0.05


def test_rows_of_two_modes_have_the_distribution_function_of_the_density():
    _, y, x = all_rows("two_modes")
    grid = np.linspace(-5.0, 5.0, 1001)
    chosen = slice(None, None, 100)
    u = [
        np.trapezoid(
            np.exp(
                simulated.two_modes_log_density(
                    np.minimum(grid, value)[:, None], np.full([1001, 1], of)
                )
            ),
            np.minimum(grid, value),
        )
        for value, of in zip(y[chosen, 0], x[chosen, 0], strict=True)
    ]
    assert stats.kstest(u, "uniform").pvalue > 0.01


def test_heavy_tails_have_their_weights():
    """A t variable of nu is beyond a far q with a probability like q to the minus nu."""
    for degrees in (1, 2):
        _, rows, _ = all_rows(f"heavy_tails_{degrees}")
        beyond = [np.mean(np.abs(rows[:, :4]) > q) for q in (5.0, 20.0)]
        expected = [2.0 * stats.t(degrees).sf(q) for q in (5.0, 20.0)]
        np.testing.assert_allclose(beyond, expected, rtol=0.2)
        np.testing.assert_allclose((rows[:, 4] - rows[:, 3]).std(), 1.0, atol=0.03)
