"""Data that `density_estimation` refuses."""

# Flags, and what the one line on standard error must say. A lone name is that of a file
# of `bad_files`, given as --csv_path or --npz_path; "{x}" is their folder.
BAD_DATA = {
    "csv missing": ("none.csv", "No such file"),
    "csv a folder": ("--dataset=csv --csv_path={x}", "directory"),
    "csv empty": ("empty.csv", "an empty file"),
    "csv of blank lines": ("blank.csv", "an empty file"),
    "csv of a header": ("header.csv", "a header only"),
    "csv ragged": ("ragged.csv", "got 3 cells instead of 2 in line 4"),
    "csv with text": ("text.csv", "got 'x' in column 'b' in line 3"),
    "csv with a date": ("date.csv", "'2020-01-01' in column '0' in line 1"),
    "csv with a missing cell": ("hole.csv", "an empty cell in column 'b' in line 3"),
    "csv with nan": ("nan.csv", "'nan' in column 'a' in line 3"),
    "csv with inf": ("inf.csv", "'-inf' in column '1' in line 2"),
    "csv beyond float32": ("large.csv", "float32", "['b']"),
    "csv of times": (
        "times.csv",
        "differ by more than float32 resolves at their size",
        "['t']",
        "subtract a number from them in the file",
    ),
    "init_from of an empty folder": (
        "--init_from={x}/damaged",
        "Expected `init_from` to be the folder of a finished run",
    ),
    "init_from of no folder": (
        "--init_from={x}/none",
        "Expected `init_from` to be the folder of a finished run",
    ),
    "csv of two equal names": ("twice.csv", "distinct column names", "['a'] twice"),
    "csv with a constant": ("constant.csv", "['b']", "--drop_constant_columns"),
    "csv constant throughout": (
        "--dataset=csv --csv_path={x}/all_constant.csv --drop_constant_columns",
        "Expected a column to model",
    ),
    "csv of too few rows": ("few.csv", "3 train, 0 validation, 0 test"),
    "csv of one column": ("one.csv", "real_nvp does not fit one variable"),
    "csv of bytes": ("bytes.csv", "Expected a table as text"),
    "csv with an open quote": ("quote.csv", "Expected quotes around whole cells"),
    "csv with a null": ("null.csv", "null.csv"),
    "unknown context": (
        "--dataset=csv --csv_path={x}/good.csv --context_columns=z",
        "Expected `context_columns` among ['a', 'b']",
    ),
    "context beyond the columns": (
        "--dataset=csv --csv_path={x}/good.csv --context_columns=2",
        "got '2'",
    ),
    "all columns context": (
        "--dataset=csv --csv_path={x}/good.csv --context_columns=a,b",
        "Expected a column to model",
    ),
    "npz missing": ("none.npz", "No such file"),
    "npz empty": ("empty.npz", "empty.npz"),
    "npz of more than memory holds": ("claims.npz", "Expected a NumPy file"),
    "npz cut short": ("short.npz", "Expected a NumPy file"),
    "npz damaged": ("damaged.npz", "Expected a NumPy file"),
    "npz of text": ("text.npz", "text.npz"),
    "npz of objects": ("objects.npz", "objects.npz"),
    "npz of strings": ("strings.npz", "Expected real numbers"),
    "npz of complex numbers": ("complex.npz", "got dtype complex128"),
    "npz of one axis": ("one_axis.npz", "shape [N, D]; got [20]"),
    "npz with nan": ("nan.npz", "row 3, column 1", "got nan"),
    "npz of two arrays": ("two.npz", "got ['a', 'b']", "--npz_key"),
    "npz without the key": (
        "--dataset=npz --npz_path={x}/two.npz --npz_key=c",
        "Expected arrays ['c']",
    ),
    "npz of unlike sets": ("unlike.npz", "Expected as many columns", "[2, 2, 3]"),
    "npz of no rows": ("no_rows.npz", "0 train, 0 validation, 0 test"),
    "data_dir missing": ("--dataset=gas --data_dir={x}/none", "`data_dir` to be a folder"),
    "data_dir without the file": (
        "--dataset=gas --data_dir={x}",
        "127.0.0.1",
        "--data_dir",
    ),
    "data_dir with a damaged file": (
        "--dataset=power --data_dir={x}/damaged",
        "power_complete_rows.npz",
    ),
    "data_dir with other keys": (
        "--dataset=bsds300 --data_dir={x}/other_keys",
        "['train', 'validation', 'test']",
    ),
    "wine without data_dir": ("--dataset=red_wine", "winequality-red.csv"),
    "images missing": ("--dataset=images --images_path={x}/none", "No such file"),
    "images of an empty folder": (
        "--dataset=images --images_path={x}/damaged",
        "Expected pictures (.png",
    ),
    "images of other sizes": (
        "--dataset=images --images_path={x}/pictures",
        "Expected pictures of 6x4",
        "got 3x5 in",
        "b.png",
        "--image_fit=resize or crop",
    ),
    "images that are none": (
        "--dataset=images --images_path={x}/text_pictures",
        "Expected a picture in",
    ),
    "images of too few": (
        "--dataset=images --images_path={x}/pictures --image_fit=crop",
        "at least 2 of train, validation and test",
        "got 2 in all",
    ),
    "images of numbers": (
        "--dataset=images --images_path={x}/nan.npz",
        "Expected bytes (uint8)",
        "got float64 of shape [40, 2]",
    ),
    "images of two channels": (
        "--dataset=images --images_path={x}/two_channels.npz",
        "with C of 1 or 3, in a of",
        "got uint8 of shape [20, 8, 8, 2]",
    ),
    "images of unlike arrays": (
        "--dataset=images --images_path={x}/unlike_pictures.npz",
        "Expected pictures of 8x8",
        "got 6x6 in x_test of",
        "unlike_pictures.npz",
        "--image_fit=resize or crop",
    ),
    "images of grey and colour": (
        "--dataset=images --images_path={x}/grey_and_colour.npz",
        "as many channels in x_train as in x_test",
        "got shapes [20, 8, 8] and [5, 8, 8, 3]",
    ),
    "image_size of arrays": (
        "--dataset=images --images_path={x}/grey.npz --image_size=4",
        "Expected pictures of 4x4",
        "got 8x8 in a of",
    ),
    "images of 32-bit integers": (
        "--dataset=images --images_path={x}/integer_pictures",
        "16-bit grey (modes 1, L, ",
        "a.tif",
        "got mode I.",
    ),
    "images of fractions": (
        "--dataset=images --images_path={x}/fraction_pictures",
        "a.tif",
        "got mode F.",
    ),
    "images of two arrays": (
        "--dataset=images --images_path={x}/two.npz",
        "Expected one array, or x_train and x_test",
    ),
    "fashion_mnist cut short": (
        "--dataset=fashion_mnist --data_dir={x}/idx",
        "Expected an IDX file",
        "train-images-idx3-ubyte.gz",
    ),
    "cifar10 with other keys": (
        "--dataset=cifar10 --data_dir={x}/other_keys",
        "['x_train', 'y_train', 'x_test', 'y_test']",
    ),
    "cifar10_jpeg without data_dir": (
        "--dataset=cifar10_jpeg",
        "Expected `--data_dir`, a folder with cifar10_jpeg_10k_2k.npz",
    ),
    "cifar10_jpeg with other keys": (
        "--dataset=cifar10_jpeg --data_dir={x}/other_keys",
        "Expected arrays ['jpeg_header', 'train_blob',",
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
