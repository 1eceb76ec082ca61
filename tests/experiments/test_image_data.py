"""Image data sets from Keras's files, IDX files and a user's own pictures."""

import gzip
import io
import struct

import numpy as np
import pytest
import scipy.io
import tensorflow as tf
from PIL import Image

from experiments.data import DataError, image_sets, load_dataset
from experiments.data.images import open_picture
from experiments.runs.epochs import EpochRows

RNG = np.random.default_rng(0)


def integers(rows, num_bins=256):
    return np.floor(rows * num_bins).astype(int)


@pytest.fixture
def few_images(monkeypatch):
    """Small image sets: 40 training images, 30 of them for validation; 30 for test."""
    monkeypatch.setattr(image_sets, "_HELD_OUT", 30)
    for name, known in image_sets._SETS.items():
        shorter = image_sets._ImageSet(40, *list(vars(known).values())[1:])
        monkeypatch.setitem(image_sets._SETS, name, shorter)


def cifar10_arrays():
    return {
        "x_train": RNG.integers(0, 256, (40, 32, 32, 3), np.uint8),
        "y_train": RNG.integers(0, 10, (40, 1), np.uint8),
        "x_test": RNG.integers(0, 256, (30, 32, 32, 3), np.uint8),
        "y_test": RNG.integers(0, 10, (30, 1), np.uint8),
    }


def test_cifar10_of_five_bits_is_its_pixels_given_the_class(few_images, tmp_path):
    arrays = cifar10_arrays()
    np.savez(tmp_path / "cifar10.npz", **arrays)
    dataset = load_dataset("cifar10", data_dir=tmp_path, num_bits=5, conditional=True)
    assert dataset.pixel_shape == (32, 32, 3)
    assert dataset.bin_width == 1 / 32
    assert len(dataset.train) == 10
    expected = arrays["x_test"][:5].reshape(5, -1) // 8
    np.testing.assert_array_equal(integers(dataset.test[:5], 32), expected)
    np.testing.assert_array_equal(
        dataset.train_context.argmax(axis=1), arrays["y_train"][:10, 0]
    )
    assert dataset.class_names[8] == "ship"


def test_logit_space_is_that_of_the_maf_paper(few_images, tmp_path):
    arrays = cifar10_arrays()
    np.savez(tmp_path / "cifar10.npz", **arrays)
    dataset = load_dataset("cifar10_logit", data_dir=tmp_path)
    images = load_dataset("cifar10", data_dir=tmp_path)
    shares = 1.0 / (1.0 + np.exp(-dataset.test[:5].astype(float)))
    np.testing.assert_allclose(shares, 0.05 + 0.9 * images.test[:5], atol=1e-6)
    pixels = images.test[:5].reshape(5, 32, 32, 3)
    np.testing.assert_allclose(dataset.as_images(dataset.test[:5]), pixels, atol=1e-6)
    assert dataset.bin_width is None
    assert dataset.published["MAF (5)"].log_likelihood == 2936.0


def test_fashion_mnist_is_read_from_idx_files(few_images, tmp_path):
    folder = tmp_path / "fashion-mnist"
    folder.mkdir()
    arrays = {}
    for prefix, count in (("train", 40), ("t10k", 30)):
        arrays[prefix] = RNG.integers(0, 256, (count, 28, 28), np.uint8)
        header = struct.pack(">BBBBIII", 0, 0, 8, 3, count, 28, 28)
        path = folder / f"{prefix}-images-idx3-ubyte.gz"
        path.write_bytes(gzip.compress(header + arrays[prefix].tobytes(), 1))
        header = struct.pack(">BBBBI", 0, 0, 8, 1, count)
        path = folder / f"{prefix}-labels-idx1-ubyte.gz"
        path.write_bytes(gzip.compress(header + bytes(range(10)) * (count // 10)))
    dataset = load_dataset("fashion_mnist", data_dir=tmp_path, conditional=True)
    pixels = arrays["train"][:10].reshape(10, -1)
    np.testing.assert_array_equal(integers(dataset.train), pixels)
    np.testing.assert_array_equal(dataset.test_context[:10], np.eye(10))


@pytest.fixture
def few_characters(monkeypatch, tmp_path):
    """A function that writes a small file of Omniglot's form and returns its folder."""
    monkeypatch.setattr(image_sets, "_OMNIGLOT_ROWS", (12, 4, 6))

    def write(**changes):
        sets = {"data": RNG.random((784, 16)), "testdata": RNG.random((784, 6))}
        targets = {"target": np.eye(50)[:, :16], "testtarget": np.eye(50)[:, :6]}
        scipy.io.savemat(tmp_path / "chardata.mat", sets | targets | changes)
        return tmp_path

    return write


def test_omniglot_is_read_from_matlab_columns(few_characters):
    upright = np.zeros((28, 28))  # an L: its long stroke is the first column
    upright[:, 0] = upright[27, :10] = 0.5
    column_by_column = np.tile(upright.ravel(order="F")[:, np.newaxis], 6)
    train = np.tile(np.linspace(0.0, 1.0, 16), (784, 1))
    folder = few_characters(data=train, testdata=column_by_column)
    dataset = load_dataset("omniglot", data_dir=folder)
    assert [len(dataset.train), len(dataset.validation), len(dataset.test)] == [12, 4, 6]
    assert dataset.pixel_shape == (28, 28)
    expected = np.tile(np.round(255 * upright).ravel(), (6, 1))
    np.testing.assert_array_equal(integers(dataset.test), expected)
    # Each training image is in one of the two sets, in an order of the seed.
    rows = integers(np.concatenate([dataset.train, dataset.validation]))[:, 0]
    np.testing.assert_array_equal(np.sort(rows), np.round(255 * train[0]))
    again, other = (load_dataset("omniglot", data_dir=folder, seed=s) for s in (0, 1))
    np.testing.assert_array_equal(again.train, dataset.train)
    assert np.any(integers(other.train) != integers(dataset.train))


def test_other_matlab_files_are_refused(few_characters, tmp_path):
    words = r"numbers from 0 to 1 of shape \(784, 16\) in `data` of chardata.mat; got"
    for wrong in (RNG.random((16, 784)), 2.0 * RNG.random((784, 16)), np.eye(784, 16) > 0):
        with pytest.raises(DataError, match=words):
            load_dataset("omniglot", data_dir=few_characters(data=wrong))
    path = tmp_path / "chardata.mat"
    scipy.io.savemat(path, {"data": np.eye(3)})
    words = "MATLAB arrays .'data', 'testdata'. in .*chardata.mat; got"
    whole = path.read_bytes()
    for content in (whole, whole[: len(whole) // 2], b"", b"\x89HDF\r\n\x1a\n" + whole):
        path.write_bytes(content)
        with pytest.raises(DataError, match=words):
            load_dataset("omniglot", data_dir=tmp_path)
    with pytest.raises(DataError, match="a folder with chardata.mat, the 28x28 images"):
        load_dataset("omniglot")


def jpeg_arrays(images):
    """Header that JPEG files share, their other bytes joined with offsets, and pictures."""
    files = [io.BytesIO() for _ in images]
    for file, image in zip(files, images, strict=True):
        Image.fromarray(image).save(file, "jpeg", quality=90)
    header = files[0].getvalue().partition(b"\xff\xda")[0]  # up to the scan
    scans = [file.getvalue().removeprefix(header) for file in files]
    ends = np.cumsum([0, *map(len, scans)], dtype=np.int32)
    header, blob = (np.frombuffer(x, np.uint8) for x in (header, b"".join(scans)))
    return header, {"blob": blob, "offsets": ends}, [Image.open(file) for file in files]


def test_cifar10_after_jpeg_is_decoded_and_says_so(tmp_path):
    arrays, pictures = {}, {}
    for part, count in (("train", 20), ("test", 10)):
        images = RNG.integers(0, 256, (count, 8, 8, 3), np.uint8).repeat(4, 1).repeat(4, 2)
        arrays["jpeg_header"], from_part, pictures[part] = jpeg_arrays(images)
        from_part["labels"] = (np.arange(count) % 10).astype(np.uint8)
        arrays |= {f"{part}_{name}": values for name, values in from_part.items()}
    np.savez(tmp_path / "cifar10_jpeg_10k_2k.npz", **arrays)
    dataset = load_dataset("cifar10_jpeg", data_dir=tmp_path, conditional=True)
    assert [len(dataset.train), len(dataset.validation), len(dataset.test)] == [18, 2, 10]
    assert dataset.pixel_shape == (32, 32, 3)
    rows = np.concatenate([dataset.train, dataset.validation])
    for found, expected in ((rows, pictures["train"]), (dataset.test, pictures["test"])):
        expected = np.stack(list(map(np.asarray, expected)))
        np.testing.assert_array_equal(integers(found), expected.reshape(len(found), -1))
    np.testing.assert_array_equal(dataset.test_context, np.eye(10))
    assert dataset.class_names[8] == "ship"
    assert "not comparable with any published figure" in dataset.caveat
    assert dataset.published == {}


@pytest.mark.parametrize("fit", ["resize", "crop"])
def test_pictures_of_any_size_become_images_of_one(fit, tmp_path):
    """Pictures are white on the left and black on the right; a crop keeps the middle."""
    for i, (width, height) in enumerate([(40, 20), (20, 20), (30, 60)] * 8):
        pixels = np.zeros((height, width, 3), np.uint8)
        pixels[:, : width // 2] = 255
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
    dataset = load_dataset("images", images_path=str(tmp_path), image_size=8, image_fit=fit)
    assert dataset.pixel_shape == (8, 8, 3)
    images = integers(dataset.train).reshape(-1, 8, 8, 3)
    assert (images[:, :, 0] > 250).all()
    assert (images[:, :, -1] < 5).all()
    assert sum(map(len, (dataset.train, dataset.validation, dataset.test))) == 24


def test_sixteen_bits_of_grey_are_read_by_their_high_byte(tmp_path):
    pixels = (np.arange(24) * 2731).reshape(4, 6)
    for i in range(20):
        dtype = ("<u2", ">u2")[i % 2]
        Image.fromarray(pixels.astype(dtype)).save(tmp_path / f"{i}.tif")
    dataset = load_dataset("images", images_path=str(tmp_path))
    assert dataset.pixel_shape == (4, 6)
    for row in integers(dataset.train):
        np.testing.assert_array_equal(row, pixels.ravel() // 256)


def test_half_of_the_images_are_mirrored_anew_in_each_epoch():
    images = RNG.integers(0, 4, (400, 2, 3, 2)) / 4.0
    rows = images.reshape(400, 12).astype(np.float32)
    epochs = EpochRows(rows, batch_size=100, seed=3, flipped_shape=(2, 3, 2))
    dataset = epochs.as_dataset()
    seen = []
    for epoch in range(2):
        epochs.on_epoch_begin(epoch)
        seen.append(np.concatenate(list(dataset.as_numpy_iterator())))
    mirrored = images[:, :, ::-1].reshape(400, 12)
    for batch in seen:
        is_kept = (batch[:, None] == rows).all(-1)
        is_mirrored = (batch[:, None] == mirrored).all(-1)
        assert (is_kept | is_mirrored).any(axis=1).all()
        assert 150 < (is_mirrored & ~is_kept).any(axis=1).sum() < 250
    assert not np.array_equal(*seen)
    tf.debugging.assert_equal(np.sort(seen[0].sum(axis=1)), np.sort(seen[1].sum(axis=1)))


def test_grey_pictures_of_any_mode_are_grey_and_upright(tmp_path):
    grey = np.random.default_rng(0).integers(0, 256, (6, 8), np.uint8)
    image = Image.fromarray(grey)
    for name, form in {"a": "LA", "p": "P", "l": "L"}.items():
        image.convert(form).save(tmp_path / f"{name}.png")
    turned = Image.fromarray(np.rot90(grey, -1).copy())
    exif = turned.getexif()
    exif[0x0112] = 8  # the first row is on the left
    turned.save(tmp_path / "turned.png", exif=exif)
    for path in tmp_path.iterdir():
        opened = open_picture(path, path)
        assert opened.mode == "L"
        np.testing.assert_array_equal(np.asarray(opened), grey)
