"""The data sets: shapes, seeds, splits, errors."""

import hashlib
import http.server
import io
import os
import pathlib
import tarfile
import threading

import h5py
import numpy as np
import pytest
from old_pandas import write_pickle
from scipy import stats

import experiments
from experiments.data import (
    DATASETS,
    DataError,
    binary,
    catalogue,
    load_dataset,
    maf_tables,
    simulated,
)
from experiments.data.files import download
from experiments.density_estimation.evaluation import gaussian_log_probs
from experiments.reports.estimate import estimate

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


def test_ten_seeds_of_wine_are_ten_folds(tmp_path):
    values = np.arange(57.0)[:, None] + np.random.default_rng(0).random([57, 11])
    np.savez(tmp_path / "uci_small.npz", wine_red=values)
    folds = [load_dataset("red_wine", data_dir=tmp_path, seed=s) for s in range(11)]
    # All folds share their rows, so ranks in the first column identify them.
    tests = []
    for fold in folds:
        both = np.concatenate([fold.train, fold.validation, fold.test])[:, 0]
        ranks = np.argsort(np.argsort(both))
        assert len(np.unique(both)) == 57
        tests.append(set(ranks[-5:].tolist()))
    assert len(set.union(*tests[:10])) == 50
    assert tests[10] != tests[0]


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
    gaussian = estimate(gaussian_log_probs(dataset))
    published = dataset.published["Gaussian"]
    assert gaussian["nats"] == pytest.approx(published.log_likelihood, abs=0.005)
    bsds300 = load_dataset("bsds300", data_dir=DATA_DIR)  # its patches are drawn anew
    assert gaussian_log_probs(bsds300).mean() == pytest.approx(96.3, abs=0.1)


def from_two_modes():
    """Mean entropy of y given x, by sums over a grid."""
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


@pytest.mark.parametrize("name", simulated.KNOWN)
def test_rows_are_drawn_from_the_density(name):
    """Their mean log-density is minus the entropy, up to five standard errors."""
    dataset = load_dataset(name)
    rows, context = np.concatenate(arrays(dataset)), None
    if dataset.context_size:
        context = np.concatenate([getattr(dataset, f"{name}_context") for name in SETS])
    log_density = dataset.log_density(rows, context)
    error = log_density.std() / np.sqrt(len(rows))
    assert abs(log_density.mean() + ENTROPIES[name]()) < 5.0 * error
    assert error < 0.05


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    monkeypatch.setattr(maf_tables, "ADDRESS", "http://127.0.0.1:9/data.tar.gz")


def sizes(dataset):
    return [len(rows) for rows in arrays(dataset)]


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
    """Time, two gases and four sensors; the first and last sensor are correlated."""
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
    # A discrete variable that the rule of the authors passes.
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


def test_bsds300_of_the_authors_is_read_as_it_is(tmp_path):
    (tmp_path / "BSDS300").mkdir()
    rows = {name: np.random.rand(i, 63) for i, name in enumerate(SETS, 3)}
    with h5py.File(tmp_path / "BSDS300" / "BSDS300.hdf5", "w") as file:
        for name, values in rows.items():
            file[name] = values
    dataset = load_dataset("bsds300", data_dir=tmp_path)
    for name, values in rows.items():
        np.testing.assert_array_equal(getattr(dataset, name), values.astype(np.float32))


def test_patches_of_bsds300_are_turned_and_mirrored():
    patches = np.random.default_rng(1).integers(0, 256, [3, 8, 8]).astype(np.uint8)
    rows = maf_tables.patches_to_rows(patches, np.random.default_rng(0))
    turned = maf_tables.in_eight_orientations(rows).reshape(8, 3, 63)
    np.testing.assert_array_equal(turned[0], rows)
    no_noise = [patch - patch.mean() for patch in patches.astype(float)]
    for orientation in turned:  # each is one patch, of which no two orientations agree
        last = -orientation.sum(axis=1, keepdims=True)
        images = np.concatenate([orientation, last], axis=1).reshape(3, 8, 8) * 256.0
        all_turned = [
            np.rot90(image, k) for image in (images[0], images[0].T) for k in range(4)
        ]
        distances = [np.abs(image - no_noise[0]).max() for image in all_turned]
        assert min(distances) < 1.0
    assert len(np.unique(turned[:, 0].round(6), axis=0)) == 8


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


CONTENT = bytes(range(256)) * 1000
MD5 = hashlib.md5(CONTENT).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Serves `content`; can ignore ranges, or break off after `num_bytes`."""

    content = CONTENT
    knows_ranges = True
    num_bytes = None

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.ranges = []

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}/data.tar.gz"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):  # noqa: N802
        asked = self.headers.get("Range")
        self.server.ranges.append(asked)
        content, start = self.server.content, 0
        if asked and self.server.knows_ranges:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206)
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start:][: self.server.num_bytes])

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.shutdown()


def files(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_broken_download_is_kept_apart_and_resumed(server, tmp_path):
    server.num_bytes = 100_000
    with pytest.raises(DataError, match=r"256,000 bytes.*got 100,000.*next run"):
        download(server.address, tmp_path / "x", md5=MD5)
    assert files(tmp_path) == ["x.part"]
    server.num_bytes = None
    download(server.address, tmp_path / "x", md5=MD5)
    assert server.ranges == [None, "bytes=100000-"]
    assert (tmp_path / "x").read_bytes() == CONTENT
    assert files(tmp_path) == ["x"]


@pytest.mark.parametrize(
    ("part", "knows_ranges"),
    [(CONTENT[:1000], False), (CONTENT, True), (CONTENT + b"more", True)],
    ids=["no ranges", "nothing left to fetch", "too long"],
)
def test_a_part_that_cannot_be_continued(part, knows_ranges, server, tmp_path):
    server.knows_ranges = knows_ranges
    (tmp_path / "x.part").write_bytes(part)
    download(server.address, tmp_path / "x", md5=MD5)
    assert (tmp_path / "x").read_bytes() == CONTENT


def test_other_content_is_deleted_not_used(server, tmp_path):
    server.content = b"another" * 1000
    (tmp_path / "x.part").write_bytes(b"of another file")
    with pytest.raises(DataError, match=f"md5 checksum {MD5}; got .* deleted"):
        download(server.address, tmp_path / "x", md5=MD5)
    assert files(tmp_path) == []


def archive_of(name, content):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for member in (f"data/{name}", f"data/._{name}"):
            info = tarfile.TarInfo(member)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def as_npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


@pytest.mark.parametrize("in_cache", [True, False], ids=["cache", "data_dir"])
def test_table_is_downloaded_once(server, tmp_path, monkeypatch, in_cache):
    rows = np.random.default_rng(0).normal(size=(100, 43))
    server.content = archive_of("miniboone/data.npy", as_npy(rows))
    monkeypatch.setattr(maf_tables, "ADDRESS", server.address)
    monkeypatch.setattr(maf_tables, "MD5", hashlib.md5(server.content).hexdigest())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    data_dir = "" if in_cache else tmp_path
    sets = [load_dataset("miniboone", data_dir=data_dir) for _ in range(2)]
    np.testing.assert_array_equal(sets[0].train, sets[1].train)
    expected = (rows - rows[:90].mean(0)) / rows[:90].std(0)
    np.testing.assert_allclose(np.concatenate(arrays(sets[0])), expected, atol=1e-5)
    assert len(server.ranges) == 1
    assert ("cache" in [path.name for path in tmp_path.iterdir()]) == in_cache
    assert files(tmp_path) == ["data.npy", "data.tar.gz"]


def test_damaged_archive_is_named(tmp_path):
    whole = archive_of("miniboone/data.npy", as_npy(np.random.rand(100, 43)))
    other = archive_of("else.npy", b"x")
    for content in (whole[: len(whole) // 2], other, b"no archive", b""):
        (tmp_path / "data.tar.gz").write_bytes(content)
        with pytest.raises(DataError, match=r"data\.tar\.gz|data\.npy once.*got it 0"):
            load_dataset("miniboone", data_dir=tmp_path)
        assert "data.npy" not in files(tmp_path)
