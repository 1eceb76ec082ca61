"""Data that `density_estimation` refuses, a row for each rule, and what it says of them."""

import gzip
import re

import numpy as np
from PIL import Image

ROWS = "".join(f"{i},{i * i % 7}\n" for i in range(40))
GOOD = "a,b\n" + ROWS
TABLE = np.random.default_rng(0).normal(size=(40, 2))
WITH_NAN = np.where(np.arange(80).reshape(40, 2) == 7, np.nan, TABLE)
GREY = np.zeros((20, 8, 8), np.uint8)
COLOURED = np.zeros((5, 8, 8, 3), np.uint8)

BAD_CSV = {
    "ragged": ("a,b\n1,2\n3,4\n5,6,7\n" + ROWS, "got 3 cells instead of 2 in line 4"),
    "text": ("a,b\n1,2\n3,x\n" + ROWS, "got 'x' in column 'b' in line 3"),
    "beyond float32": (GOOD + "1,1e300\n", "float32", "['b']"),
    "two equal names": ("a,b,a\n1,2,3\n", "distinct column names", "['a'] twice"),
    "a constant": (re.sub(r",\d", ",5", GOOD), "['b']", "--drop_constant_columns"),
    "too few rows": ("1,2\n3,4\n5,7\n", "3 train, 0 validation, 0 test"),
    "one column": (re.sub(r",.", "", GOOD), "real_nvp does not fit one variable"),
    "an open quote": ('a,b\n1,"2\n' + ROWS, "Expected quotes around whole cells"),
    "unknown context": (GOOD, "--context_columns=2", "among ['a', 'b']", "got '2'"),
    "context throughout": (GOOD, "--context_columns=a,b", "Expected a column to model"),
}

BAD_NPZ = {
    "strings": ({"a": TABLE.astype(str)}, "Expected real numbers"),
    "one axis": ({"a": TABLE[:20, 0]}, "shape [N, D]; got [20]"),
    "nan": ({"a": WITH_NAN}, "row 3, column 1", "got nan"),
    "two arrays": ({"a": TABLE, "b": TABLE}, "got ['a', 'b']", "--npz_key"),
    "no such key": ({"a": TABLE, "b": TABLE}, "--npz_key=c", "Expected arrays ['c']"),
    "unlike sets": (
        {"train": TABLE, "validation": TABLE, "test": TABLE[:, [0, 1, 1]]},
        "Expected equally many columns in each set",
    ),
    "no rows": ({"a": TABLE[:0]}, "0 train, 0 validation, 0 test"),
}

BAD_IMAGES = {
    "numbers": ({"a": TABLE}, "Expected bytes (uint8)", "got float64 of shape [40, 2]"),
    "two channels": (
        {"a": GREY[..., None].repeat(2, 3)},
        "got uint8 of shape [20, 8, 8, 2]",
    ),
    "unlike arrays": (
        {"x_train": GREY, "x_test": GREY[:5, :6, :6]},
        "got 6x6 in x_test of",
    ),
    "grey and colour": (
        {"x_train": GREY, "x_test": COLOURED},
        "channels in x_train and x_test",
    ),
    "another size": ({"a": GREY}, "--image_size=4", "pictures of 4x4", "got 8x8 in a of"),
    "two arrays": ({"a": GREY, "b": GREY}, "Expected one array, or x_train and x_test"),
}

# Content of a file by the flag that names it, a further flag if any, and words of the line.
BAD_FILES = {"csv_path": BAD_CSV, "npz_path": BAD_NPZ, "images_path": BAD_IMAGES}

# Flags, whose "{x}" is the folder that `write_folders` fills, and words of the one line.
BAD_FOLDERS = {
    "csv missing": ("--dataset=csv --csv_path={x}/none.csv", "No such file"),
    "npz damaged": ("--dataset=npz --npz_path={x}/damaged.npz", "Expected a NumPy file"),
    "init_from of no run": ("--init_from={x}/empty", "`init_from` to be the folder of a"),
    "data_dir missing": ("--dataset=gas --data_dir={x}/none", "`data_dir` to be a folder"),
    "data_dir without the file": (
        "--dataset=gas --data_dir={x}",
        "127.0.0.1",
        "--data_dir",
    ),
    "data_dir with other keys": ("--dataset=bsds300 --data_dir={x}", "['train', 'valid"),
    "no data_dir": (
        "--dataset=cifar10_jpeg",
        "`--data_dir`, a folder with cifar10_jpeg_10k",
    ),
    "images of an empty folder": ("--dataset=images --images_path={x}/empty", "(.png"),
    "images of other sizes": (
        "--dataset=images --images_path={x}/pictures",
        "Expected pictures of 6x4",
        "got 3x5 in",
        "b.png",
    ),
    "images that are none": ("--dataset=images --images_path={x}/text", "a picture in"),
    "images of too few": (
        "--dataset=images --images_path={x}/pictures --image_fit=crop",
        "at least 2 of train, validation and test",
        "got 2 in all",
    ),
    "images of 32-bit integers": (
        "--dataset=images --images_path={x}/integers",
        "16-bit grey (modes 1, L, ",
        "got mode I.",
    ),
    "fashion_mnist cut short": (
        "--dataset=fashion_mnist --data_dir={x}/idx",
        "Expected an IDX file",
        "train-images-idx3-ubyte.gz",
    ),
    "cifar10_jpeg damaged": (
        "--dataset=cifar10_jpeg --data_dir={x}/jpeg",
        "Expected a picture in image 0 of train_blob of",
    ),
    "cifar10_jpeg without a label": (
        "--dataset=cifar10_jpeg --data_dir={x}/jpeg_labels",
        "Expected 2 integers, one more than labels, in train_offsets of",
        "got int64 of shape [3]",
    ),
}


def write_folders(folder):
    """Writes the files and folders of `BAD_FOLDERS`."""
    for name in ("empty", "pictures", "text", "integers", "idx", "jpeg", "jpeg_labels"):
        (folder / name).mkdir()
    (folder / "good.csv").write_text(GOOD)
    np.savez(folder / "bsds300_patches_10pct.npz", a=TABLE, b=TABLE)
    whole = (folder / "bsds300_patches_10pct.npz").read_bytes()
    # Bytes of the first array, so that its checksum is wrong.
    (folder / "damaged.npz").write_bytes(whole[:250] + b"12345678" + whole[258:])
    Image.fromarray(np.full((8, 8), 1000, np.int32)).save(folder / "integers" / "a.tif")
    Image.new("L", (6, 4)).save(folder / "pictures" / "a.png")
    Image.new("RGB", (3, 5)).save(folder / "pictures" / "b.png")
    (folder / "text" / "a.png").write_text("no picture")
    for name, labels in (("jpeg", [0, 1]), ("jpeg_labels", [0])):
        part = {"blob": np.zeros(8, np.uint8), "offsets": [0, 4, 8], "labels": labels}
        arrays = {f"{p}_{key}": part[key] for p in ("train", "test") for key in part}
        path = folder / name / "cifar10_jpeg_10k_2k.npz"
        np.savez(path, jpeg_header=np.zeros(4, np.uint8), **arrays)
    path = folder / "idx" / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(bytes([0, 0, 8, 3]) + bytes(14)))
