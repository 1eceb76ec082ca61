"""Scores, samples and predictions of saved models: their values, resuming, refusals."""

import csv
import itertools
import json
import os
import pathlib
import shutil
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from refused import assert_refused

import tfp_flows
from experiments import predict, sample, score
from experiments.data import DataError, text_table
from experiments.fitted import open_model, resumable_file, row_tables
from experiments.fitted.resumable_file import ResumableFile
from experiments.runs.run_directory import RunDirectoryError
from experiments.score import PictureRows

NAMES = ("a", "b", "size, m", "c")
CONDITIONS = NAMES[2:]
_PATHS = ("model", "csv", "given", "images", "out")


def save_model(path, flow, num_modelled, *, columns=True):
    """Writes a model of random weights; `CONDITIONS` are its context, if any."""
    rng = np.random.default_rng(0)
    distribution = tfp_flows.FlowDistribution(tfp_flows.standard_normal(num_modelled), flow)
    for variable in distribution.trainable_variables:
        variable.assign_add(rng.normal(0.0, 0.3, variable.shape).astype(np.float32))
    context = CONDITIONS if flow.context_size else ()
    known = [
        {"name": name, "role": role, "least": -2.0, "greatest": 2.0}
        for role, names in (("modelled", NAMES[:num_modelled]), ("context", context))
        for name in names
    ]
    model = tfp_flows.DensityEstimator(distribution, columns=known if columns else None)
    model.save(path)
    return path, distribution


def run(module, **arguments):
    """Runs `score`, `sample` or `predict` with settings; returns its result."""
    name = module.__name__.rpartition(".")[2]
    make_settings = getattr(module, f"{name.capitalize()}Settings")
    texts = {k: str(v) if k in _PATHS else v for k, v in arguments.items()}
    return getattr(module, name)(make_settings(progress=0, **texts))


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Paths and distributions of models of one and of two variables."""
    folder = tmp_path_factory.mktemp("models")
    small = {"num_steps": 1, "hidden_units": (4,), "context_size": 2, "seed": 0}
    nameless = tfp_flows.MADE(2, hidden_units=(4,), seed=0)
    return {
        "two": save_model(folder / "two.keras", tfp_flows.RealNVP(2, **small), 2),
        "one": save_model(folder / "one.keras", tfp_flows.NeuralSplineFlow(1, **small), 1),
        "nameless": save_model(folder / "x.keras", nameless, 2, columns=False),
    }


@pytest.fixture
def table(tmp_path):
    """Rows `[60, 4]`, and their file: other order of columns, one more column of text."""
    rows = np.random.default_rng(1).normal(size=(60, 4)).astype(np.float32)
    rows[7, 0], rows[8, 3] = 3.0, -9.0
    order = (3, 1, 2, 0)  # in the file
    with (tmp_path / "rows.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([NAMES[i] for i in order] + ["note"])
        for row in rows:
            writer.writerow([repr(float(row[i])) for i in order] + ["true, so to say"])
    return rows, tmp_path / "rows.csv"


def read(path):
    with path.open(newline="") as file:
        header, *rows = csv.reader(file)
    return header, rows


def numbers(rows):
    return np.array(rows, np.float32)


def test_scores_are_those_of_the_distribution_row_by_row(models, table, tmp_path):
    (path, distribution), (rows, file) = models["two"], table
    out = tmp_path / "scored.csv"
    found = run(score, model=path, csv=file, out=out)
    header, lines = read(out)
    assert header == ["log_likelihood", "outside"]
    expected = distribution.log_prob(rows[:, :2], context=rows[:, 2:]).numpy()
    nats = numbers([line[0] for line in lines])
    np.testing.assert_allclose(nats, expected, rtol=1e-5)
    assert found.mean == pytest.approx(expected.mean(), rel=1e-5)
    beyond = np.abs(rows) > 2.0
    assert beyond[7, 0]
    assert beyond[8, 3]
    names = [" ".join(np.array(NAMES)[where]) for where in beyond]
    assert [line[1] for line in lines] == names
    assert (found.num_rows, found.num_outside) == (60, beyond.any(axis=1).sum())
    assert found.ignored == ("note",)


def test_samples_have_the_distribution_of_their_condition(models, table, tmp_path):
    (path, distribution), (rows, file) = models["one"], table
    arguments = {"model": path, "given": file, "rows": 500}
    out = tmp_path / "samples.csv"
    count = run(sample, out=out, **arguments)
    header, lines = read(out)
    assert (header, count) == (["a", *CONDITIONS], 30_000)
    drawn = numbers(lines).reshape(60, 500, 3)
    np.testing.assert_array_equal(drawn[:, :, 1:], np.repeat(rows[:, None, 2:], 500, 1))
    assert len(np.unique(drawn[:, :, 0])) > 29_000  # no call repeats another one's draws
    shares = distribution.cdf(drawn[:, :, :1], context=drawn[:, :, 1:]).numpy()
    # 60 means of 500 uniform numbers: four standard errors.
    assert abs(shares.mean() - 0.5) < 4.0 / np.sqrt(12.0 * 30_000)
    assert np.abs(shares.mean(axis=1) - 0.5).max() < 4.0 / np.sqrt(12.0 * 500)
    other = tmp_path / "other.csv"
    run(sample, out=other, seed=1, **arguments)
    equal = set(map(tuple, read(other)[1])) & set(map(tuple, lines))
    assert len(equal) < 10  # a few by chance, since there are 2**23 random numbers


def test_predictions_of_one_column_are_exact(models, table, tmp_path):
    (path, distribution), (rows, file) = models["one"], table
    out = tmp_path / "predicted.csv"
    run(predict, model=path, csv=file, out=out)
    header, lines = read(out)
    assert header == ["a 0.05", "a 0.5", "a 0.95"]
    for column, level in enumerate((0.05, 0.5, 0.95)):
        y = numbers(lines)[:, column : column + 1]
        shares = distribution.cdf(y, context=rows[:, 2:])
        np.testing.assert_allclose(shares, np.full(60, level), atol=1e-4)


def test_predictions_of_several_columns_are_of_draws(models, table, tmp_path):
    (path, distribution), (rows, file) = models["two"], table
    out = tmp_path / "predicted.csv"
    arguments = {"model": path, "csv": file, "out": out, "levels": (".25", ".75")}
    run(predict, draws=4000, **arguments)
    header, lines = read(out)
    assert header == ["a .25", "a .75", "b .25", "b .75"]
    drawn = distribution.sample(4000, seed=9, context=rows[:, 2:]).numpy()
    expected = np.quantile(drawn, [0.25, 0.75], axis=0).transpose(1, 2, 0)
    # Standard errors of the quartiles are about 1.4 deviations / sqrt(4000).
    bound = 10.0 * drawn.std(axis=0)[..., None] / np.sqrt(4000.0)
    assert (np.abs(numbers(lines).reshape(60, 2, 2) - expected) < bound).all()


@pytest.mark.parametrize(
    ("program", "argument", "more"),
    [(score, "csv", {}), (sample, "given", {"rows": 2}), (predict, "csv", {"draws": 5})],
)
def test_an_interrupted_file_goes_on_and_ends_alike(
    program, argument, more, models, table, tmp_path, monkeypatch
):
    # A block has some rows, and a call fewer.
    monkeypatch.setattr(text_table, "_BYTES_A_BLOCK", 1000)
    monkeypatch.setattr(row_tables, "_VALUES_A_CALL", 70)
    for module in (open_model, sample):
        monkeypatch.setattr(module, "_ROWS_A_CALL", 7)
    arguments = {"model": models["two"][0], argument: table[1], **more}
    run(program, out=tmp_path / "whole.csv", **arguments)
    whole = (tmp_path / "whole.csv").read_bytes()
    write, out = resumable_file.atomic_write, tmp_path / "interrupted.csv"
    stops = 0
    while not out.exists():
        counter = itertools.count()

        def write_twice(*state, counter=counter):
            if next(counter) == 2:
                raise KeyboardInterrupt
            write(*state)

        monkeypatch.setattr(resumable_file, "atomic_write", write_twice)
        try:
            run(program, out=out, **arguments)
        except KeyboardInterrupt:
            stops += 1
    assert stops > 2
    assert out.read_bytes() == whole
    assert {path.suffix for path in tmp_path.iterdir()} == {".csv"}


def test_decimal_commas_and_other_encodings(models, tmp_path):
    path, distribution = models["nameless"]
    (tmp_path / "x.csv").write_bytes("größe;b\n1,5;-0,25\n".encode("latin-1"))
    arguments = {"model": path, "csv": tmp_path / "x.csv", "out": tmp_path / "out.csv"}
    more = {"decimal": ",", "encoding": "latin-1"}
    run(score, **arguments, **more)
    (line,) = read(tmp_path / "out.csv")[1]
    expected = distribution.log_prob(np.float32([[1.5, -0.25]]))
    assert float(line[0]) == pytest.approx(float(expected[0]), rel=1e-5)


def fit_table(frame, path, **options):
    columns = tfp_flows.describe_columns(frame)
    options |= {"num_members": 1, "num_bins": 2, "hidden_units": (4,), "seed": 0}
    table = tfp_flows.TableDensity(columns, **options)
    table.fit(frame, epochs=1, verbose=0)
    table.save(path)
    return table


@pytest.fixture(scope="module")
def fitted_table(tmp_path_factory, all_op_by_op):
    """A table that was fitted, its file, and its rows."""
    rng = np.random.default_rng(0)
    size, city = np.exp(rng.normal(size=60)), rng.choice(["A", "B"], 60)
    frame = pd.DataFrame({"size": size, "city": city, "y": rng.normal(size=60)})
    path = tmp_path_factory.mktemp("table") / "model.keras"
    return fit_table(frame, path, context=["size", "city"]), path, frame


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("1;x;3", "got 'x' in line 4 (2 rows)"),  # the library counts rows, not lines
        ("old;A;3", "Expected a number in column 'size'; got 'old' in line 4."),
        ("1,5;A;3", "got '1,5' in line 4 (--decimal=, reads decimal commas)."),
    ],
)
def test_rows_of_tables_are_named_by_their_line(row, words, fitted_table, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text(f"size;city;y\n\n1;B;3\n{row}\n{row}\n")
    settings = {"model": fitted_table[1], "csv": path, "out": tmp_path / "out.csv"}
    with pytest.raises(DataError) as caught:
        run(score, **settings)
    assert words in str(caught.value)


def test_dates_of_a_zone_are_written_and_read_in_utc(all_op_by_op, tmp_path):
    days = pd.date_range("2024-03-01", periods=60, tz="Europe/Berlin")
    frame = pd.DataFrame({"day": days, "x": np.random.default_rng(0).normal(size=60)})
    path, out = tmp_path / "model.keras", tmp_path / "drawn.csv"
    table = fit_table(frame, path)
    run(sample, model=path, rows=20, out=out)
    drawn = pd.read_csv(out, parse_dates=["day"])
    drawn["day"] = drawn["day"].dt.tz_localize("UTC").dt.tz_convert(days.tz)
    assert (drawn["day"] == drawn["day"].dt.normalize()).all()
    run(score, model=path, csv=out, out=tmp_path / "scores.csv")
    scores = pd.read_csv(tmp_path / "scores.csv").iloc[:, 0]
    np.testing.assert_allclose(scores, table.log_prob(drawn), rtol=1e-5)


# Command, its flags, its status, and words of its message.
BAD_USE = [
    (score, "--csv={table} --out={out}", 2, "`model` to be given"),
    (score, "--model={two} --out={out}", 2, "one of `csv` and `images`"),
    (sample, "--model={two} --out={out}", 2, "`given`", "['size, m', 'c']"),
    (sample, "--model={nameless} --given={table} --out={out}", 2, "`given` to be none"),
    (
        *(score, "--model={table} --csv={table} --out={out}", 1),
        "score: Expected a model that `save` has written",
    ),
    (score, "--model={two} --csv={table} --out={table}", 1, "exists"),
    (score, "--model={two} --csv={table} --out=.", 2, "a file, not a folder; got '.'"),
    (score, "--model={two} --csv={table} --out=-", 2, "`out` to name a file"),
    (score, "--model={two} --csv={short} --out={out}", 1, "which lack ['size, m', 'c']"),
    (score, "--model={nameless} --csv={table} --out={out}", 1, "2 columns, in the order"),
    (score, "--model={nameless} --csv={large} --out={out}", 1, "float32"),
    (predict, "--model={nameless} --csv={table} --out={out}", 1, "a conditional model"),
    (predict, "--model={two} --csv={table} --out={out} --levels=1", 2, "between 0 and 1"),
    (predict, "--model={two} --csv={table} --out={out} --levels=.5,.50", 2, "different"),
]


@pytest.mark.parametrize("case", BAD_USE, ids=lambda case: case[-1])
def test_what_does_not_fit_is_refused_in_one_line(
    case, models, table, tmp_path, capsys, monkeypatch
):
    program, flags, status, *words = case
    files = {key: path for key, (path, _) in models.items()}
    files |= {"table": table[1], "out": tmp_path / "new" / "out.csv"}
    texts = {"short": "a,b\n1,2\n", "large": "a,b\n1,2\n1e300,3\n"}
    for key, text in texts.items():
        files[key] = tmp_path / f"{key}.csv"
        files[key].write_text(text)
    flags = flags.format(**files).split()
    assert_refused(program, flags, status, words, capsys, monkeypatch)
    assert not files["out"].exists()


@pytest.fixture
def files(fitted_table, tmp_path):
    """A fitted table, and a file of four rows, of which the last two are unknown to it."""
    table, path, frame = fitted_table
    rows = frame.head(4).assign(city=["A", "B", "Paris", "A"])
    rows.loc[3, "size"] = -1.0
    rows.to_csv(tmp_path / "new.csv", index=False)
    return table, rows, {"model": path, "csv": tmp_path / "new.csv"}


def test_scores_of_other_rows_and_a_count(files, tmp_path):
    table, rows, paths = files
    out = tmp_path / "scored.csv"
    with pytest.raises(DataError, match="got 'Paris' in line 4.*--mark_unknown"):
        run(score, out=out, **paths)
    found = run(score, out=out, mark_unknown=True, **paths)
    _, lines = read(out)
    expected = table.log_prob(rows.head(2))
    np.testing.assert_allclose([float(line[0]) for line in lines[:2]], expected, rtol=1e-6)
    assert lines[2:] == [["nan", "city"], ["nan", "size"]]
    assert (found.num_rows, found.num_unknown, found.num_outside) == (4, 2, 0)
    assert found.mean == pytest.approx(expected.mean())


def test_clipping_is_advised_only_where_it_helps(files, tmp_path):
    _, rows, paths = files
    out = tmp_path / "predicted.csv"
    with pytest.raises(DataError, match="got 'Paris' in line 4") as caught:
        run(predict, out=out, **paths)
    assert "--clip_context" not in str(caught.value)
    rows.drop(index=2).to_csv(paths["csv"], index=False)
    with pytest.raises(DataError, match="With --clip_context, numbers are moved"):
        run(predict, out=out, **paths)


@pytest.mark.usefixtures("op_by_op")
def test_constants_are_read_and_far_numbers_are_written_in_all_digits(tmp_path):
    x = np.random.default_rng(0).normal(size=60)
    day = np.datetime64("2024-01-01", "ns")
    frame = pd.DataFrame({"x": x, "sure": True, "day": day, "y": 10**12 + np.round(90 * x)})
    given = ["x", "sure", "day"]
    table = fit_table(frame, tmp_path / "model.keras", context=given)
    frame.to_csv(tmp_path / "rows.csv", index=False)
    paths = {"model": tmp_path / "model.keras", "csv": tmp_path / "rows.csv"}
    found = run(score, out=tmp_path / "scored.csv", **paths)
    assert found.mean == pytest.approx(table.log_prob(frame).mean())
    run(predict, out=tmp_path / "predicted.csv", **paths)
    lines = read(tmp_path / "predicted.csv")[1]
    quantiles = table.predict(frame[given]).quantile([0.05, 0.5, 0.95])
    np.testing.assert_array_equal(np.array(lines, np.float64), quantiles)


START = ("a\n", 0)


def pieces(at):
    yield from ((f"{i}\n", i) for i in range(at + 1, 4))


def test_a_process_that_stops_after_the_last_piece_has_written_the_file(tmp_path):
    path = tmp_path / "out.csv"

    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pathlib.Path, "unlink", stop)
        with pytest.raises(KeyboardInterrupt):
            ResumableFile(path, {"seed": 1}).write(START, pieces)
    whole = path.read_text()
    assert whole == "a\n1\n2\n3\n"
    assert len(list(tmp_path.iterdir())) == 2
    with pytest.raises(RunDirectoryError, match="exists"):  # by a run with another seed
        ResumableFile(path, {"seed": 2}).write(START, pieces)
    assert ResumableFile(path, {"seed": 1}).write(START, pieces) == 3
    assert path.read_text() == whole
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(RunDirectoryError, match="exists"):  # it is finished
        ResumableFile(path, {"seed": 1}).write(START, pieces)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_table(models, tmp_path, monkeypatch):
    """Python's peak is alike for tables of 128 KiB and 2 MiB, read in small blocks."""
    monkeypatch.setattr(text_table, "_BYTES_A_BLOCK", 1 << 15)
    rows = "0.5000000000000001,-0.25000000000000001\n" * (2**17 // 40)
    peaks = []
    for name, count in {"first": 1, "small": 1, "large": 16}.items():
        (tmp_path / name).write_text(rows * count)
        paths = {"model": models["nameless"][0], "csv": tmp_path / name}
        tracemalloc.start()
        run(score, out=tmp_path / f"{name}.csv", **paths)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] < peaks[1] + 2**19


SHAPE = (4, 3)  # height and width


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    """The folder of a run on grey pictures, with the files that scoring reads."""
    folder = tmp_path_factory.mktemp("run")
    flow = tfp_flows.RealNVP(12, num_steps=1, hidden_units=(4,), seed=0)
    distribution = tfp_flows.FlowDistribution(tfp_flows.standard_normal(12), flow)
    distribution.initialize(np.random.default_rng(0).random((50, 12), np.float32))
    tfp_flows.DensityEstimator(distribution).save(folder / "model.keras")
    results = {"image_shape": SHAPE, "context_size": 0}
    results["bits_per_dimension"] = {"bins_per_unit": 256.0}
    (folder / "results.json").write_text(json.dumps(results))
    return folder, distribution


@pytest.fixture
def pictures(tmp_path):
    """Pixels `[5, 4, 3]`, names and folder of their files, and the file of their array."""
    pixels = np.random.default_rng(1).integers(0, 256, (5, *SHAPE)).astype(np.uint8)
    folder = tmp_path / "pictures"
    (folder / "more").mkdir(parents=True)
    names = ["a.png", "b.png", "c.bmp", "more/d.png", "more/e.png"]
    for name, image in zip(names, pixels, strict=True):
        Image.fromarray(image).save(folder / name)
    np.savez(tmp_path / "pictures.npz", x=pixels)
    return pixels, names, folder, tmp_path / "pictures.npz"


def lines_of(run_dir, images, out, **more):
    run(score, model=run_dir, images=images, out=out, **more)
    header, rows = read(out)
    assert header == ["picture", "log_likelihood", "bits_per_dimension"]
    return rows


def test_scores_are_of_the_pixels_with_noise(run_dir, pictures, tmp_path):
    (folder, distribution), (pixels, names, files, array) = run_dir, pictures
    ((found, rows),) = PictureRows(files, folder, "refuse").parts(0, 7)
    assert found == names
    np.testing.assert_array_equal(np.floor(rows * 256.0), pixels.reshape(5, -1))
    assert len(np.unique(rows * 256.0 % 1.0)) == rows.size
    lines = lines_of(folder, files, tmp_path / "files.csv", seed=7)
    assert [line[0] for line in lines] == names
    nats, bits = np.array([line[1:] for line in lines], np.float64).T
    np.testing.assert_allclose(nats, distribution.log_prob(rows), rtol=1e-5)
    np.testing.assert_allclose(bits, 8.0 - nats / (12.0 * np.log(2.0)), rtol=1e-6)
    from_array = lines_of(folder, array, tmp_path / "array.csv", seed=7)
    assert [line[1:] for line in from_array] == [line[1:] for line in lines]
    assert [line[0] for line in from_array] == list("01234")


def test_what_was_interrupted_goes_on(run_dir, pictures, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(score, "_PICTURES_A_CALL", 2)
    folder, files = run_dir[0], pictures[2]
    whole = lines_of(folder, files, tmp_path / "whole.csv")
    state = (files / "a.png").stat()
    times = state.st_atime_ns, state.st_mtime_ns
    (files / "more/d.png").rename(tmp_path / "d.png")
    (files / "more/d.png").write_bytes(b"no picture")
    out = tmp_path / "out.csv"
    arguments = [f"--model={folder}", f"--images={files}", f"--out={out}"]
    assert score.cli(["score", *arguments]) == 1
    assert not out.exists()
    (tmp_path / "d.png").rename(files / "more/d.png")
    (files / "e.png").write_bytes(b"one more")
    assert score.cli(["score", *arguments]) == 1
    error = capsys.readouterr().err
    assert "out.csv.partial was begun with other inputs: pictures" in error
    assert "choose another --out" in error
    (files / "e.png").unlink()
    os.utime(files / "a.png", ns=(0, 0))  # of which there is a score
    assert score.cli(["score", *arguments]) == 1
    assert "begun with pictures that have changed since" in capsys.readouterr().err
    os.utime(files / "a.png", ns=times)
    assert lines_of(folder, files, out) == whole


def test_what_does_not_fit_is_refused(run_dir, pictures, tmp_path, capsys, monkeypatch):
    folder, (_, _, files, _) = run_dir[0], pictures
    Image.new("L", (9, 9)).save(files / "large.png")
    np.savez(tmp_path / "floats.npz", x=np.zeros([2, 4, 3]))
    shutil.copy(folder / "model.keras", tmp_path / "m.keras")
    for model, images, *words in (
        (folder, files, "9x9", "large.png", "--image_fit"),
        (folder, tmp_path / "floats.npz", "float64"),
        (folder, tmp_path / "none", "none"),
        (tmp_path / "m.keras", files, "folder of a finished, unconditional run"),
    ):
        out = tmp_path / "out.csv"
        arguments = [f"--model={model}", f"--images={images}", f"--out={out}"]
        assert_refused(score, arguments, 1, words, capsys, monkeypatch)
    arguments = [f"--model={folder}", f"--images={files}", "--csv=x", "--out=y"]
    assert_refused(score, arguments, 2, ["one of `csv` and `images`"], capsys, monkeypatch)
    model = folder / "model.keras"
    assert len(lines_of(model, files, tmp_path / "crop.csv", image_fit="crop")) == 6


def test_wrong_data_leave_no_files_unless_pieces_were_written(tmp_path):
    def pieces(position):
        yield from (("piece\n", position + 1) for _ in range(count))
        raise DataError("Expected numbers; got none.")

    for count in (0, 1):
        with pytest.raises(DataError):
            ResumableFile(tmp_path / "out.csv", {"model": "m"}).write(("head\n", 0), pieces)
        assert bool(list(tmp_path.iterdir())) == (count > 0)
