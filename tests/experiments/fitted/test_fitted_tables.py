"""Scores, samples and predictions of saved models: right, resumed, refused."""

import csv
import itertools

import numpy as np
import pytest
from refused import assert_refused
from saved_models import CONDITIONS
from saved_models import NAMES
from saved_models import run_program

import tfp_flows
from experiments import predict
from experiments import sample
from experiments import score
from experiments.data import DataError
from experiments.data import text_table
from experiments.fitted import open_model
from experiments.fitted import resumable_file


def read(path):
    with path.open(newline="") as file:
        header, *rows = csv.reader(file)
    return header, rows


def numbers(rows):
    return np.array(rows, np.float32)


def test_scores_are_those_of_the_distribution_row_by_row(models, table, tmp_path):
    (path, distribution), (rows, file) = models["two"], table
    out = tmp_path / "scored.csv"
    found = run_program(score.score, score.ScoreSettings, model=path, csv=file, out=out)
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


def test_models_that_know_no_names_take_the_order(models, tmp_path):
    path, distribution = models["nameless"]
    rows = np.random.default_rng(2).normal(size=(5, 2)).astype(np.float32)
    np.savetxt(tmp_path / "x.csv", rows, delimiter=";", fmt="%.9g")
    out = tmp_path / "out.csv"
    run_program(
        score.score, score.ScoreSettings, model=path, csv=tmp_path / "x.csv", out=out
    )
    nats = numbers([line[0] for line in read(out)[1]])
    np.testing.assert_allclose(nats, distribution.log_prob(rows), rtol=1e-5)


def test_samples_have_the_distribution_of_their_condition(models, table, tmp_path):
    (path, distribution), (rows, file) = models["one"], table
    arguments = {"model": path, "given": file, "rows": 500}
    out = tmp_path / "samples.csv"
    count = run_program(sample.sample, sample.SampleSettings, out=out, **arguments)
    header, lines = read(out)
    assert (header, count) == (["a", *CONDITIONS], 30_000)
    drawn = numbers(lines).reshape(60, 500, 3)
    np.testing.assert_array_equal(drawn[:, :, 1:], np.repeat(rows[:, None, 2:], 500, 1))
    shares = distribution.cdf(drawn[:, :, :1], context=drawn[:, :, 1:]).numpy()
    # Means of 500 uniform numbers, 60 of them: four of their standard errors.
    assert abs(shares.mean() - 0.5) < 4.0 / np.sqrt(12.0 * 30_000)
    assert np.abs(shares.mean(axis=1) - 0.5).max() < 4.0 / np.sqrt(12.0 * 500)
    other = tmp_path / "other.csv"
    run_program(sample.sample, sample.SampleSettings, out=other, seed=1, **arguments)
    equal = set(map(tuple, read(other)[1])) & set(map(tuple, lines))
    assert len(equal) < 10  # by chance, for a seed has 2**23 numbers


def test_samples_without_a_context(models, tmp_path):
    path, distribution = models["nameless"]
    out = tmp_path / "samples.csv"
    run_program(sample.sample, sample.SampleSettings, model=path, rows=20_000, out=out)
    header, lines = read(out)
    drawn = numbers(lines)
    assert (header, drawn.shape) == (["0", "1"], (20_000, 2))
    assert len(np.unique(drawn[:, 0])) > 19_900  # no call repeats another one's draws
    reference = distribution.sample(20_000, seed=5).numpy()
    error = np.sqrt(2.0 * reference.var(axis=0) / 20_000)
    assert (np.abs(drawn.mean(axis=0) - reference.mean(axis=0)) < 5.0 * error).all()


def test_predictions_of_one_column_are_exact(models, table, tmp_path):
    (path, distribution), (rows, file) = models["one"], table
    out = tmp_path / "predicted.csv"
    run_program(predict.predict, predict.PredictSettings, model=path, csv=file, out=out)
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
    run_program(predict.predict, predict.PredictSettings, draws=4000, **arguments)
    header, lines = read(out)
    assert header == ["a .25", "a .75", "b .25", "b .75"]
    drawn = distribution.sample(4000, seed=9, context=rows[:, 2:]).numpy()
    expected = np.quantile(drawn, [0.25, 0.75], axis=0).transpose(1, 2, 0)
    # Standard errors of the quartiles are about 1.4 deviations / sqrt(4000).
    bound = 10.0 * drawn.std(axis=0)[..., None] / np.sqrt(4000.0)
    assert (np.abs(numbers(lines).reshape(60, 2, 2) - expected) < bound).all()


COMMANDS = {
    "score": (score.score, score.ScoreSettings, "csv", {}),
    "sample": (sample.sample, sample.SampleSettings, "given", {"rows": 3}),
    "predict": (predict.predict, predict.PredictSettings, "csv", {"draws": 5}),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_an_interrupted_file_goes_on_and_ends_alike(
    name, models, table, tmp_path, monkeypatch
):
    program, settings, argument, more = COMMANDS[name]
    # Some rows a block, and fewer a call.
    monkeypatch.setattr(text_table, "_BYTES_A_BLOCK", 1000)
    for module, constant, value in (
        *((m, "_ROWS_A_CALL", 7) for m in (open_model, sample)),
        (predict, "_VALUES_A_CALL", 70),
    ):
        monkeypatch.setattr(module, constant, value)
    arguments = {"model": models["two"][0], argument: table[1], **more}
    run_program(program, settings, out=tmp_path / "whole.csv", **arguments)
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
            run_program(program, settings, out=out, **arguments)
        except KeyboardInterrupt:
            stops += 1
    assert stops > 2
    assert out.read_bytes() == whole
    assert {path.suffix for path in tmp_path.iterdir()} == {".csv"}


def test_an_interrupted_file_of_another_model_is_refused(
    models, table, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(text_table, "_BYTES_A_BLOCK", 1000)
    out = tmp_path / "out.csv"
    arguments = {"model": models["two"][0], "csv": table[1], "out": out}
    in_parts = open_model.in_parts
    for stop_after in (0, 1):
        calls = itertools.count()

        def until_interrupted(*args, calls=calls, stop_after=stop_after, **kwargs):
            if next(calls) == stop_after:
                raise KeyboardInterrupt
            return in_parts(*args, **kwargs)

        with monkeypatch.context() as patch:
            patch.setattr(open_model, "in_parts", until_interrupted)
            with pytest.raises(KeyboardInterrupt):
                run_program(score.score, score.ScoreSettings, **arguments)
        if not stop_after:  # with nothing written, another table is as good
            table[1].write_text(table[1].read_text())
    flags = [f"--model={models['one'][0]}", f"--csv={table[1]}", f"--out={out}"]
    words = ("out.csv.partial was begun with others", "model:", "choose another --out")
    assert_refused(score, flags, 1, words, capsys, monkeypatch)


def test_decimal_commas_and_other_encodings(models, tmp_path):
    path, distribution = models["nameless"]
    (tmp_path / "x.csv").write_bytes("größe;b\n1,5;-0,25\n".encode("latin-1"))
    arguments = {"model": path, "csv": tmp_path / "x.csv", "out": tmp_path / "out.csv"}
    more = {"decimal": ",", "encoding": "latin-1"}
    run_program(score.score, score.ScoreSettings, **arguments, **more)
    (line,) = read(tmp_path / "out.csv")[1]
    expected = distribution.log_prob(np.float32([[1.5, -0.25]]))
    assert float(line[0]) == pytest.approx(float(expected[0]), rel=1e-5)


@pytest.fixture(scope="module")
def saved_table(tmp_path_factory):
    rng = np.random.default_rng(0)
    frame = {"kind": ["a", "b"] * 20, "size": rng.normal(size=40)}
    frame |= {"hour": rng.uniform(0.0, 23.0, 40), "count": rng.poisson(5.0, 40)}
    columns = tfp_flows.describe_columns(frame)
    table = tfp_flows.TableDensity(columns, num_members=1, hidden_units=(4,), seed=0)
    table.fit(frame, epochs=1, verbose=0)
    path = tmp_path_factory.mktemp("table") / "table.keras"
    table.save(path)
    return path


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("x;1;2;3", "got 'x' in line 4 (2 rows)"),  # by the library, which knows no lines
        ("a;old;2;3", "Expected a number in column 'size'; got 'old' in line 4."),
        ("a;1,5;2;3", "got '1,5' in line 4 (--decimal=, reads decimal commas)."),
    ],
)
def test_rows_of_tables_are_named_by_their_line(row, words, saved_table, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text(f"kind;size;hour;count\n\nb;1;2;3\n{row}\n{row}\n")
    settings = {"model": saved_table, "csv": path, "out": tmp_path / "out.csv"}
    with pytest.raises(DataError) as caught:
        run_program(score.score, score.ScoreSettings, **settings)
    assert words in str(caught.value)
