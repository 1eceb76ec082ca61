"""Data that `density_estimation` refuses: a row for each rule, and words of the line."""

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
    "beyond float32": (GOOD + "1,1e300\n", "float32", "['b']"),
    "two equal names": ("a,b,a\n1,2,3\n", "distinct column names", "['a'] twice"),
    "a constant": (re.sub(r",\d", ",5", GOOD), "['b']", "--drop_constant_columns"),
    "too few rows": ("1,2\n3,4\n5,7\n", "3 train, 0 validation, 0 test"),
    "booleans": ("a,b\n" + "1,True\n" * 40, "'True' in column 'b'", "`tfp-flows table`"),
    "one column": (re.sub(r",.", "", GOOD), "real_nvp does not fit one variable"),
    "an open quote": ('a,b\n1,"2\n' + ROWS, "Expected quotes around whole cells"),
    "unknown context": (GOOD, "--context_columns=2", "among ['a', 'b']", "got '2'"),
    "context throughout": (GOOD, "--context_columns=a,b", "Expected a column to model"),
}

BAD_NPZ = {
    "strings": ({"a": TABLE.astype(str)}, "Expected real numbers"),
    "one axis": ({"a": TABLE[:20, 0]}, "shape [N, D]; got [20]"),
    "nan": ({"a": WITH_NAN}, "row 3, column 1", "got nan"),
    "tiny numbers": ({"a": TABLE * 1e-42}, "float32 holds", "['0', '1']"),
    "huge numbers": ({"a": TABLE * 5e37}, "float32 holds", "change their unit"),
    "two arrays": ({"a": TABLE, "b": TABLE}, "got ['a', 'b']", "--npz_key"),
    "no such key": ({"a": TABLE, "b": TABLE}, "--npz_key=c", "Expected arrays ['c']"),
    "unlike sets": (
        {"train": TABLE, "validation": TABLE, "test": TABLE[:, [0, 1, 1]]},
        "Expected equally many columns in each set",
    ),
}

BAD_IMAGES = {
    "numbers": ({"a": TABLE}, "Expected bytes (uint8)", "got float64 of shape [40, 2]"),
    "two channels": (
        {"a": GREY[..., None].repeat(2, 3)},
        "got uint8 of shape [20, 8, 8, 2]",
    ),
    "grey and colour": (
        {"x_train": GREY, "x_test": COLOURED},
        "channels in x_train and x_test",
    ),
    "a share beside a test set": (
        {"x_train": GREY, "x_test": GREY},
        "--test_share=0.3",
        "no `test_share` with the arrays ['x_train', 'x_test']",
    ),
    "another size": ({"a": GREY}, "--image_size=4", "pictures of 4x4", "got 8x8 in a of"),
    "two arrays": ({"a": GREY, "b": GREY}, "Expected one array, or x_train and x_test"),
}

# By flag and name: content of the file, a further flag if needed, words of the message.
BAD_FILES = {"csv_path": BAD_CSV, "npz_path": BAD_NPZ, "images_path": BAD_IMAGES}

# Flags and words of the message; "{x}" is the folder that `write_folders` fills.
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
        "got (2, 0, 0)",
    ),
    "images of 32-bit integers": (
        "--dataset=images --images_path={x}/integers",
        "16-bit grey (modes 1, L, ",
        "got mode I.",
    ),
}


def write_folders(folder):
    """Writes the files and folders of `BAD_FOLDERS`."""
    for name in ("empty", "pictures", "text", "integers"):
        (folder / name).mkdir()
    (folder / "good.csv").write_text(GOOD)
    np.savez(folder / "bsds300_patches_10pct.npz", a=TABLE, b=TABLE)
    whole = (folder / "bsds300_patches_10pct.npz").read_bytes()
    # Changed bytes in the first array make its checksum wrong.
    (folder / "damaged.npz").write_bytes(whole[:250] + b"12345678" + whole[258:])
    Image.fromarray(np.full((8, 8), 1000, np.int32)).save(folder / "integers" / "a.tif")
    Image.new("L", (6, 4)).save(folder / "pictures" / "a.png")
    Image.new("RGB", (3, 5)).save(folder / "pictures" / "b.png")
    (folder / "text" / "a.png").write_text("no picture")
