"""Bad command lines and bad files: one line, the right exit status, nothing damaged."""

import gzip
import os
import runpy
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from refused import assert_refused

from experiments.command_line.flag_settings import UsageError
from experiments.data import maf_archive
from experiments.density_estimation import experiment as density_estimation
from experiments.density_estimation.settings import Settings

# Flags, and what the one line on standard error must say. "{x}" is the folder of FILES.
BAD_USE = {
    "unknown flag": ("--bach_size=5", "Unknown command line flag 'bach_size'"),
    "no flag": ("two_moons", "Expected flags only; got ['two_moons']"),
    "unknown dataset": ("--dataset=moons", "two_moons"),
    "unknown flow": ("--flow=glown", "real_nvp"),
    "unknown base": ("--base=cauchy", "normal"),
    "unknown activation": ("--activation=reluu", "`activation`"),
    "activation that halves": ("--activation=glu", "`activation` to be an elementwise"),
    "activation that mixes": ("--flow=maf --activation=softmax", "`activation` to be an"),
    "activation with arguments": ("--activation=threshold", "`activation` to be an"),
    "missing flagfile": ("--flagfile={x}/none", "none"),
    "no value": ("--num_steps", "num_steps"),
    "text for a number": ("--epochs=many", "epochs"),
    "fraction for an integer": ("--batch_size=1.5", "batch_size"),
    "text for a boolean": ("--lu_mixing=perhaps", "lu_mixing"),
    "num_steps=0": ("--num_steps=0", "0 is not a positive integer"),
    "batch_size=-1": ("--batch_size=-1", "-1 is not a positive integer"),
    "batch_size huge": ("--batch_size=3000000000", "`batch_size` below 2**31"),
    "epochs=0": ("--epochs=0", "0 is not a positive integer"),
    "patience=-1": ("--patience=-1", "-1 is not a non-negative"),
    "steps_per_execution=0": (
        "--steps_per_execution=0",
        "0 is not a positive",
    ),
    "evaluation_batch_size=0": (
        "--evaluation_batch_size=0",
        "0 is not a positive",
    ),
    "num_samples=0": ("--num_samples=0", "0 is not integer >= 2"),
    "checkpoint_every=0": (
        "--checkpoint_every=0",
        "0 is not a positive integer",
    ),
    "learning_rate=nan": ("--learning_rate=nan", "`learning_rate` to be finite; got nan"),
    "learning_rate=inf": ("--learning_rate=inf", "`learning_rate` to be finite; got inf"),
    "learning_rate=0": ("--learning_rate=0", "`learning_rate` above 0; got 0.0"),
    "weight_decay=-1": (
        "--weight_decay=-1",
        "-1.0 is not a non-negative number",
    ),
    "gradient_clip_norm=-1": (
        "--gradient_clip_norm=-1",
        "-1.0 is not a non-negative",
    ),
    "ema_momentum=1": ("--ema_momentum=1", "`ema_momentum` below 1; got 1.0"),
    "max_minutes=-1": (
        "--max_minutes=-1",
        "-1.0 is not a non-negative number",
    ),
    "seed=-1": ("--seed=-1", "-1 is not a non-negative"),
    "data_seed=-1": ("--data_seed=-1", "-1 is not a non-negative"),
    "progress=7": ("--progress=7", "7 is not an integer in the range [-1, 2]"),
    "hidden_units=0": ("--hidden_units=0", "widths of at least 1; got (0,)"),
    "hidden_units empty": ("--hidden_units=", "`hidden_units`"),
    "hidden_units=a": ("--hidden_units=64,a", "`hidden_units` as in 100,100; got 64,a"),
    "unequal residual widths": ("--residual --hidden_units=8,16", "hidden_units"),
    "both norms": ("--batch_norm --act_norm", "`batch_norm` and `act_norm`; got both"),
    "recompute with made": ("--flow=made --recompute", "`recompute`, which made lacks"),
    "recompute with batch norm": (
        "--flow=maf --batch_norm --recompute",
        "without batch statistics",
    ),
    "mixing with nice": ("--flow=nice --lu_mixing", "`lu_mixing`, which nice lacks"),
    "glow of points": ("--flow=glow", "`dataset` to be one of ['cifar10',"),
    "glow of a table": ("--flow=glow --dataset=power", "--flow=glow; got 'power'."),
    "csv without path": ("--dataset=csv", "`csv_path` with --dataset=csv"),
    "npz without path": ("--dataset=npz", "`npz_path` with --dataset=npz"),
    "init_from of the run itself": (
        "--run_dir={x}/a --init_from={x}/b/../a",
        "`init_from` to be another folder than `run_dir`",
    ),
    "path of another set": (
        "--csv_path={x}/good.csv",
        "`csv_path` with --dataset=csv only",
    ),
    "key of another set": (
        "--dataset=csv --csv_path={x}/good.csv --npz_key=a",
        "`npz_key` with --dataset=npz only",
    ),
    "context of toy data": ("--context_columns=x", "`context_columns`"),
    "constants of toy data": ("--drop_constant_columns", "`drop_constant_columns`"),
    "classes of toy data": ("--conditional", "`conditional` with --dataset=digits or"),
    "bits of digits": ("--dataset=digits --num_bits=5", "`num_bits` with --dataset=mnist"),
    "num_bits=0": (
        "--dataset=mnist --num_bits=0",
        "0 is not an integer in",
    ),
    "num_bits=9": (
        "--dataset=mnist --num_bits=9",
        "9 is not an integer in",
    ),
    "flips of toy data": ("--horizontal_flips", "`horizontal_flips` with --dataset=digits"),
    "images without path": ("--dataset=images", "`images_path` with --dataset=images"),
    "images_path of another set": ("--images_path=x", "--dataset=images only"),
    "image_fit of another set": ("--dataset=mnist --image_fit=crop", "`image_fit` with"),
    "unknown image_fit": ("--dataset=images --images_path=x --image_fit=pad", "resize"),
    "image_size=-1": (
        "--dataset=images --images_path=x --image_size=-1",
        "-1 is not a non-negative",
    ),
    "context with an open quote": (
        '--dataset=csv --csv_path=x --context_columns="a',
        "context_columns",
    ),
    "share of toy data": ("--test_share=0.3", "`test_share`"),
    "test_share=0": (
        "--dataset=csv --csv_path=x --test_share=0",
        "`test_share` above 0",
    ),
    "validation_share=nan": ("--validation_share=nan", "`validation_share` to be finite"),
    "shares of all": (
        "--dataset=csv --csv_path=x --test_share=0.5 --validation_share=0.5",
        "below 1 together; got 1.0",
    ),
    "run_dir empty": ("--run_dir=", "`run_dir`"),
    "run_dir a file": ("--run_dir={x}/good.csv", "`run_dir` to be a folder"),
    "run_dir in a file": ("--run_dir={x}/good.csv/run", "`run_dir` to be a folder"),
}

# TF_CONFIG with --strategy=multi_worker, and what the line must say; "{w}" is TWO_WORKERS.
TWO_WORKERS = '{"worker": ["a:1", "b:2"]}'
BAD_TF_CONFIG = {
    "none": (None, "the environment variable TF_CONFIG", "got none"),
    "empty": ("", "got none"),
    "no JSON": ("worker", "Expected TF_CONFIG to be JSON; got 'worker'"),
    "a list": ("[1]", "with an object `cluster`", "got [1]"),
    "no cluster": ('{"task": {"type": "worker", "index": 0}}', "an object `cluster`"),
    "no task": ('{"cluster": {w}}', "an object `task`"),
    "no worker": ('{"cluster": {"worker": []}, "task": {"index": 0}}', "as `worker`"),
    "other job": ('{"cluster": {"ps": ["a:1"]}, "task": {"index": 0}}', "got ['ps']"),
    "two chiefs": (
        '{"cluster": {"chief": ["a:1", "b:2"]}, "task": {"type": "chief", "index": 0}}',
        "Expected one chief",
    ),
    "no port": ('{"cluster": {"worker": ["a", "b:2"]}, "task": {"index": 0}}', "host:port"),
    "same address": (
        '{"cluster": {"worker": ["a:1", "a:1"]}, "task": {"type": "worker", "index": 0}}',
        "distinct addresses",
    ),
    "index beyond": (
        '{"cluster": {w}, "task": {"type": "worker", "index": 2}}',
        "{'worker': 2}",
        '"index": 2',
    ),
    "index of text": (
        '{"cluster": {w}, "task": {"type": "worker", "index": "0"}}',
        '"index": "0"',
    ),
    "unknown type": (
        '{"cluster": {w}, "task": {"type": "chief", "index": 0}}',
        '"type": "chief"',
    ),
}

# Likewise; a lone name is that of a file of FILES, given as --csv_path or --npz_path.
BAD_DATA = {
    "csv missing": ("none.csv", "No such file"),
    "csv a folder": ("--dataset=csv --csv_path={x}", "directory"),
    "csv empty": ("empty.csv", "an empty file"),
    "csv of blank lines": ("blank.csv", "an empty file"),
    "csv of a header": ("header.csv", "a header only"),
    "csv ragged": ("ragged.csv", "Expected 2 cells in each row", "got 3 in row 4"),
    "csv with text": ("text.csv", "row 3, column 'b'", "got 'x'"),
    "csv with a date": ("date.csv", "row 1, column 0", "got '2020-01-01'"),
    "csv with a missing cell": ("hole.csv", "row 3, column 'b'", "an empty cell"),
    "csv with nan": ("nan.csv", "row 3, column 'a'", "got 'nan'"),
    "csv with inf": ("inf.csv", "row 2, column 1", "got '-inf'"),
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
    "csv with an open quote": ("quote.csv", "Expected a table as text"),
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


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
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
    return folder


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


@pytest.fixture
def run_dir(tmp_path):
    """A finished run, as far as its files tell."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "report.md").write_text("an older run")
    (folder / "model.keras").write_bytes(b"its weights")
    return folder


def snapshot(*folders):
    """All files but the lock, which every run may take, with their content."""
    return {
        path: path.read_bytes() if path.is_file() else None
        for folder in folders
        for path in folder.rglob("*")
        if path.name != ".lock"
    }


def arguments_of(text, folder):
    if text.endswith((".csv", ".npz")) and not text.startswith("--"):
        kind = text[-3:]
        text = f"--dataset={kind} --{kind}_path={{x}}/{text}"
    return text.replace("{x}", str(folder)).split()


def check(case, status, files, run_dir, capsys, monkeypatch):
    text, *expected = case
    monkeypatch.setattr(maf_archive, "ADDRESS", "http://127.0.0.1:9/data.tar.gz")
    before = snapshot(files, run_dir)
    arguments = [f"--run_dir={run_dir}", *arguments_of(text, files)]
    assert_refused(density_estimation, arguments, status, expected, capsys, monkeypatch)
    assert snapshot(files, run_dir) == before


@pytest.mark.parametrize("name", BAD_USE)
def test_bad_use(name, files, run_dir, capsys, monkeypatch):
    monkeypatch.setattr(density_estimation, "load_dataset", None)  # checked before data
    check(BAD_USE[name], 2, files, run_dir, capsys, monkeypatch)


@pytest.mark.parametrize("name", BAD_TF_CONFIG)
def test_bad_tf_config(name, files, run_dir, capsys, monkeypatch):
    text, *expected = BAD_TF_CONFIG[name]
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if text is not None:
        monkeypatch.setenv("TF_CONFIG", text.replace("{w}", TWO_WORKERS))
    case = ("--strategy=multi_worker", *expected)
    check(case, 2, files, run_dir, capsys, monkeypatch)


@pytest.mark.parametrize("name", BAD_DATA)
def test_bad_data(name, files, run_dir, capsys, monkeypatch):
    check(BAD_DATA[name], 1, files, run_dir, capsys, monkeypatch)


def test_run_dir_of_another_run(files, run_dir, capsys, monkeypatch):
    Settings(epochs=7).write_flags(run_dir / "flags.txt")
    case = ("--epochs=6", "--epochs=7 there, --epochs=6 now")
    check(case, 1, files, run_dir, capsys, monkeypatch)


def test_line_break_that_flags_txt_cannot_hold():
    message = "`context_columns` without a line break"
    with pytest.raises(UsageError, match=message):
        Settings(dataset="csv", csv_path="x", context_columns=("a", "b\nc"))


def test_unwritable_run_dir(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)
    with pytest.raises(UsageError, match="`run_dir` to be writable"):
        Settings(run_dir=str(tmp_path / "new" / "run"))
    assert not (tmp_path / "new").exists()


def test_process_ends_with_the_status_and_one_line(tmp_path):
    program = [sys.executable, "-m", "experiments.density_estimation"]
    arguments = ["--dataset=csv", "--csv_path=none.csv", f"--run_dir={tmp_path / 'run'}"]
    result = subprocess.run([*program, *arguments], capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    line = result.stderr.splitlines()[-1]
    assert line.startswith("density_estimation: ")
    assert "none.csv" in line
    assert not (tmp_path / "run").exists()


PROGRAMS = ("density_estimation", "iaf_vae", "posterior_inference", "neutra", "compare")
PROGRAMS += ("out_of_distribution",)


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize(("flag", "status"), [("--help", 0), ("--nonsense", 2)])
def test_every_program_ends_with_the_status_of_its_command_line(
    name, flag, status, monkeypatch, capsys
):
    monkeypatch.setattr(sys, "argv", ["program", flag])
    with pytest.raises(SystemExit) as end:
        runpy.run_module(f"experiments.{name}", run_name="__main__")
    assert end.value.code == status
    output, error = capsys.readouterr()
    assert ("--" in output) == (status == 0)
    assert error.startswith(f"{name}: Unknown command line flag") == (status == 2)


def test_list_of_data_sets_ends_well(capsys):
    assert density_estimation.cli(["density_estimation", "--list_datasets"]) == 0
    output = capsys.readouterr().out
    assert "852,174 / 94,685 / 105,206 × 8" in output
    assert "--csv_path" in output


def test_help_explains_every_flag(capsys):
    assert density_estimation.cli(["density_estimation", "--help"]) == 0
    output = capsys.readouterr().out
    assert all(f"{name}:" in output for name in vars(Settings()))
