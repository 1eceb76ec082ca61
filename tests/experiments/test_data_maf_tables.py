"""The tables of the MAF paper, from small files of the authors' formats."""

import h5py
import numpy as np
import pytest
from old_pandas import write_pickle

from experiments.data import DATASETS
from experiments.data import DataError
from experiments.data import load_dataset
from experiments.data import maf_tables
from experiments.data.published import MAF_TABLE

TABLES = ("power", "gas", "hepmass", "miniboone", "bsds300")


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    monkeypatch.setattr(maf_tables, "ADDRESS", "http://127.0.0.1:9/data.tar.gz")


def arrays(dataset):
    return dataset.train, dataset.validation, dataset.test


def sizes(dataset):
    return [len(rows) for rows in arrays(dataset)]


def test_every_table_has_its_eight_published_rows():
    assert tuple(MAF_TABLE) == TABLES
    assert all(len(rows) == 8 for rows in MAF_TABLE.values())
    row = MAF_TABLE["hepmass"]["MAF (10)"]
    assert (row.log_likelihood, row.two_standard_errors) == (-17.73, 0.02)
    assert [DATASETS[name].event_size for name in TABLES] == [6, 8, 21, 43, 63]


def test_power_of_the_authors_is_that_of_the_integers(tmp_path):
    rng = np.random.default_rng(0)
    integers = rng.integers(1, 1000, (200, 6))
    units = np.array([1000.0, 100.0, 1.0, 1.0, 1.0, 1.0])
    keys = ("global_active_power_W", "voltage_cV", "sub_metering_1", "sub_metering_2")
    keys += ("sub_metering_3", "minute_of_day")
    (tmp_path / "power").mkdir()
    authors = np.insert(integers / units, [1, 2], rng.normal(size=(200, 2)), axis=1)
    np.save(tmp_path / "power" / "data.npy", authors)
    ours = arrays(load_dataset("power", data_dir=tmp_path))
    np.savez(tmp_path / "power_complete_rows.npz", **dict(zip(keys, integers.T)))  # noqa: B905
    for a, b in zip(ours, arrays(load_dataset("power", data_dir=tmp_path)), strict=True):
        np.testing.assert_array_equal(a, b)


def sensor_rows(count=100):
    """Time, two gases and four sensors, of which the first says what the last says."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(count, 7))
    rows[:, 3] = 3.0 * rows[:, 6] + 1e-3 * rng.normal(size=count)
    return rows


def test_gas_leaves_out_the_first_of_two_correlated_sensors(tmp_path):
    rows = sensor_rows()
    write_pickle(
        tmp_path / "gas" / "ethylene_CO.pickle", rows, "Time Meth Eth a b c d".split()
    )
    dataset = load_dataset("gas", data_dir=tmp_path)
    assert sizes(dataset) == [81, 9, 10]
    kept = rows[:, [4, 5, 6]]
    expected = (kept - kept.mean(0)) / kept.std(0, ddof=1)
    np.testing.assert_allclose(np.concatenate(arrays(dataset)), expected, atol=1e-5)


def test_gas_from_the_text_is_a_quarter_of_its_rows(tmp_path):
    rows = sensor_rows(400)
    (tmp_path / "gas").mkdir()
    path = tmp_path / "gas" / "ethylene_CO.txt"
    header = "Time (seconds), CO conc (ppm), Ethylene conc (ppm), sensor readings"
    np.savetxt(path, rows, "%10.5f", delimiter="  ", header=header, comments="")
    first, again, other = (
        load_dataset("gas", data_dir=tmp_path, seed=seed) for seed in (0, 0, 1)
    )
    assert sizes(first) == [81, 9, 10]
    assert first.event_size == 3
    np.testing.assert_array_equal(first.train, again.train)
    assert not np.array_equal(first.train, other.train)
    np.testing.assert_allclose(np.concatenate(arrays(first)).mean(0), 0.0, atol=1e-5)


def test_hepmass_keeps_continuous_variables_of_the_signal(tmp_path):
    rng = np.random.default_rng(0)
    label = np.tile([1.0, 0.0], 40)
    discrete = rng.integers(2, size=80)
    # A discrete variable by its other values, which the authors' rule passes.
    passed = np.where(np.arange(80) == 4, 0.0, 1.0)
    train = np.column_stack([label, rng.normal(size=80), discrete, passed])
    test = np.column_stack([train[:40] + [0.0, 1.0, 0.0, 0.0], rng.normal(size=40)])
    (tmp_path / "hepmass").mkdir()
    for name, rows in (("train", train), ("test", test)):
        header = "# label,f0,f1,f2" + ",mass" * (name == "test")
        path = tmp_path / "hepmass" / f"1000_{name}.csv"
        np.savetxt(path, rows, "%.18e", delimiter=",", header=header, comments="")
    dataset = load_dataset("hepmass", data_dir=tmp_path)
    assert sizes(dataset) == [36, 4, 20]
    signal = train[::2][:, [1, 3]]
    mean, deviation = signal.mean(0), signal.std(0, ddof=1)
    expected = (signal - mean) / deviation
    np.testing.assert_allclose(dataset.train, expected[:36], atol=1e-5)
    np.testing.assert_allclose(dataset.validation, expected[36:], atol=1e-5)
    tested = (test[::2][:, [1, 3]] - mean) / deviation
    np.testing.assert_allclose(dataset.test, tested, atol=1e-5)


def test_miniboone_is_standardised_by_train_and_validation(tmp_path):
    rows = np.random.default_rng(0).normal(2.0, 3.0, size=(100, 5))
    (tmp_path / "data" / "miniboone").mkdir(parents=True)
    np.save(tmp_path / "data" / "miniboone" / "data.npy", rows)
    dataset = load_dataset("miniboone", data_dir=tmp_path)
    assert sizes(dataset) == [81, 9, 10]
    expected = (rows - rows[:90].mean(0)) / rows[:90].std(0)
    np.testing.assert_allclose(np.concatenate(arrays(dataset)), expected, atol=1e-5)


def test_bsds300_of_the_authors_is_read_as_it_is(tmp_path):
    (tmp_path / "BSDS300").mkdir()
    rows = {
        name: np.random.rand(i, 63) for i, name in enumerate(maf_tables._BSDS300_SETS, 3)
    }
    with h5py.File(tmp_path / "BSDS300" / "BSDS300.hdf5", "w") as file:
        for name, values in rows.items():
            file[name] = values
    dataset = load_dataset("bsds300", data_dir=tmp_path)
    for name, values in rows.items():
        np.testing.assert_array_equal(getattr(dataset, name), values.astype(np.float32))


def test_bsds300_patches_are_centred_without_their_last_pixel():
    patches = np.arange(2 * 64, dtype=np.uint8).reshape(2, 8, 8)
    rows = maf_tables.patches_to_rows(patches, np.random.default_rng(0))
    assert rows.shape == (2, 63)
    expected = (np.arange(63) - 31.5) / 256.0
    np.testing.assert_allclose(rows, np.tile(expected, (2, 1)), atol=1.0 / 256.0)
    last = -rows.sum(axis=1)  # a centred patch sums to zero
    np.testing.assert_allclose(last, 31.5 / 256.0, atol=1.0 / 256.0)


@pytest.mark.parametrize(
    ("name", "file", "content"),
    [
        ("gas", "gas/ethylene_CO.txt", b"header\n1 2 3 4 x\n"),
        ("miniboone", "miniboone/data.npy", b""),
        ("bsds300", "BSDS300/BSDS300.hdf5", b"no hdf5"),
    ],
)
def test_damaged_file_is_named(name, file, content, tmp_path):
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    with pytest.raises(DataError, match=path.name):
        load_dataset(name, data_dir=tmp_path)
    assert path.read_bytes() == content
