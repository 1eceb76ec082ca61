"""Files that are not what they should be."""

import gzip
import io
import zipfile

import numpy as np
from PIL import Image

GOOD_ROWS = "".join(f"{i},{i * i % 7}\n" for i in range(40))
CSV_FILES = {
    "good": "a,b\n" + GOOD_ROWS,
    "empty": "",
    "blank": "\n  \n\n",
    "header": "a,b\n",
    "ragged": "a,b\n1,2\n3,4\n5,6,7\n" + GOOD_ROWS,
    "text": "a,b\n1,2\n3,x\n" + GOOD_ROWS,
    "date": "2020-01-01,2\n" + GOOD_ROWS,
    "hole": "a,b\n1,2\n3,\n" + GOOD_ROWS,
    "nan": "a,b\n1,2\nnan,4\n" + GOOD_ROWS,
    "inf": "1,2\n3,-inf\n" + GOOD_ROWS,
    "large": "a,b\n" + GOOD_ROWS + "1,1e300\n",
    "times": "a,t\n" + "".join(f"{i},{1700000000 + i % 7}\n" for i in range(40)),
    "twice": "a,b,a\n1,2,3\n",
    "constant": "a,b\n" + "".join(f"{i},5\n" for i in range(40)),
    "all_constant": "a,b\n" + 40 * "1,5\n",
    "few": "1,2\n3,4\n5,7\n",
    "one": "a\n" + "".join(f"{i}\n" for i in range(40)),
    "quote": 'a,b\n1,"2\n' + GOOD_ROWS,
    "null": "a,b\n1,\0\n" + GOOD_ROWS,
}


def write_bad_files(folder):
    for name, text in CSV_FILES.items():
        (folder / f"{name}.csv").write_text(text)
    (folder / "bytes.csv").write_bytes(b"\xff\xfe\x00\x01" * 10)
    rows = np.random.default_rng(0).normal(size=(40, 2))
    with_nan = rows.copy()
    with_nan[3, 1] = np.nan
    pictures = np.zeros((20, 8, 8), np.uint8)
    arrays = {
        "objects": {"a": np.array([[1, None]], object)},
        "strings": {"a": rows.astype(str)},
        "complex": {"a": rows + 0j},
        "one_axis": {"a": rows[:20, 0]},
        "nan": {"a": with_nan},
        "two": {"a": rows, "b": rows},
        "unlike": {"train": rows, "validation": rows, "test": rows[:, [0, 1, 1]]},
        "no_rows": {"a": rows[:0]},
        "grey": {"a": pictures},
        "two_channels": {"a": np.stack([pictures, pictures], axis=-1)},
        "unlike_pictures": {"x_train": pictures, "x_test": pictures[:5, :6, :6]},
        "grey_and_colour": {
            "x_train": pictures,
            "x_test": np.stack(3 * [pictures[:5]], axis=-1),
        },
    }
    for name, values in arrays.items():
        np.savez(folder / f"{name}.npz", **values)
    whole = (folder / "two.npz").read_bytes()
    (folder / "empty.npz").write_bytes(b"")
    with zipfile.ZipFile(folder / "claims.npz", "w") as archive:
        header = {"descr": "<f8", "fortran_order": False, "shape": (10**15, 2)}
        file = io.BytesIO()
        np.lib.format.write_array_header_1_0(file, header)
        archive.writestr("x.npy", file.getvalue())
    (folder / "short.npz").write_bytes(whole[:300])
    # Bytes of the first array, so that its checksum is wrong.
    (folder / "damaged.npz").write_bytes(whole[:250] + b"12345678" + whole[258:])
    (folder / "text.npz").write_text("no array")
    (folder / "damaged").mkdir()
    (folder / "damaged" / "power_complete_rows.npz").write_bytes(whole[:300])
    (folder / "other_keys").mkdir()
    np.savez(folder / "other_keys" / "bsds300_patches_10pct.npz", a=rows)
    for name in ("cifar10", "cifar10_jpeg_10k_2k"):
        np.savez(folder / "other_keys" / f"{name}.npz", a=rows)
    write_pictures(folder)


def write_pictures(folder):
    for name in ("pictures", "text_pictures", "idx"):
        (folder / name).mkdir()
    for name, dtype in (("integer", np.int32), ("fraction", np.float32)):
        (folder / f"{name}_pictures").mkdir()
        picture = Image.fromarray(np.full((8, 8), 1000, dtype))
        picture.save(folder / f"{name}_pictures" / "a.tif")
    Image.new("L", (6, 4)).save(folder / "pictures" / "a.png")
    Image.new("RGB", (3, 5)).save(folder / "pictures" / "b.png")
    (folder / "text_pictures" / "a.png").write_text("no picture")
    for name, labels in (("jpeg", [0, 1]), ("jpeg_labels", [0])):
        (folder / name).mkdir()
        part = {"blob": np.zeros(8, np.uint8), "offsets": [0, 4, 8], "labels": labels}
        arrays = {f"{p}_{key}": part[key] for p in ("train", "test") for key in part}
        path = folder / name / "cifar10_jpeg_10k_2k.npz"
        np.savez(path, jpeg_header=np.zeros(4, np.uint8), **arrays)
    path = folder / "idx" / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(bytes([0, 0, 8, 3]) + bytes(14)))
