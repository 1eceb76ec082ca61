"""Which runs stand together, and what tells the others apart."""

import json

import pytest
from refused import assert_refused

from experiments import compare


def results(nats, flags="", **changes):
    """What `results.json` of a run on digits holds, as far as it is compared."""
    return {
        "dataset": "digits",
        "flow": "nice",
        "test_log_likelihood": {"nats": nats, "two_standard_errors": 0.1},
        "gaussian_log_likelihood": {"nats": 50.7, "two_standard_errors": 0.1},
        "num_rows": {"train": 1257, "validation": 180, "test": 360},
        "event_size": 64,
        "context_size": 0,
        "two_sample_test": {"accuracy": 0.5},
        "num_parameters": 10,
        "num_epochs": 2,
        "training_seconds": 1.0,
        "command": f"tfp-flows density --seed=1 {flags}",
    } | changes


def other_baseline(nats, **changes):
    return results(nats, gaussian_log_likelihood={"nats": 49.0}, **changes)


def column(finished, index):
    lines = compare.table(finished).splitlines()[2:]
    return [line.split(" | ")[index].removeprefix("| ") for line in lines]


def test_best_of_each_data_set_is_first():
    finished = {
        "worse": results(60.0),
        "moons": results(-1.0, dataset="two_moons"),
        "better": results(70.0),
    }
    assert column(finished, 0) == ["digits", "digits", "two_moons"]
    assert column(finished, 1) == ["better", "worse", "moons"]


# What another run on digits holds, and what is then to be read of either.
APART = {
    "baseline": (other_baseline(65.0), "baseline 50.7 nats", "baseline 49 nats"),
    "context": (results(65.0, context_size=10), "", "given 10"),
    "flags of data": (
        other_baseline(65.0, flags="--data_seed=1 --epochs=3 --data_dir=x"),
        "baseline 50.7 nats",
        "--data_seed=1, baseline 49 nats",
    ),
}


@pytest.mark.parametrize("name", APART)
def test_figures_that_do_not_compare_stand_apart(name):
    other, first, second = APART[name]
    finished = {"a": results(70.0), "b": other, "c": results(60.0)}
    first = f"digits ({first})" if first else "digits"
    assert column(finished, 0) == [first, first, f"digits ({second})"]
    assert column(finished, 1) == ["a", "c", "b"]


def test_last_digits_of_the_baseline_and_where_files_lie_make_no_difference():
    near = {"nats": 50.7 + 1e-9, "two_standard_errors": 0.1}
    finished = {
        "a": results(70.0),
        "b": results(60.0, gaussian_log_likelihood=near, flags="--data_dir=elsewhere"),
    }
    assert column(finished, 0) == ["digits", "digits"]


def test_each_group_has_a_panel_with_its_own_baseline(tmp_path, monkeypatch):
    drawn = {}
    monkeypatch.setattr(
        compare, "_bars", lambda axis, runs: drawn.update({axis: [f for f, _ in runs]})
    )
    finished = {"a": results(70.0), "b": other_baseline(65.0), "c": results(60.0)}
    compare.draw(finished, tmp_path / "comparison.png")
    assert list(drawn.values()) == [["a", "c"], ["b"]]
    first, second = (axis.get_title(loc="right") for axis in drawn)
    assert "baseline 50.7 nats" in first
    assert "baseline 49 nats" in second


def write(folder, contents):
    folder.mkdir()
    (folder / "results.json").write_text(contents)
    return str(folder)


def test_picture_goes_to_a_folder_that_is_made(tmp_path, capsys):
    run = write(tmp_path / "run", json.dumps(results(70.0)))
    picture = tmp_path / "new" / "folder" / "comparison.png"
    # Flags may come after folders.
    assert compare.cli(["compare", run, str(tmp_path), f"--picture={picture}"]) == 0
    assert picture.is_file()
    output, error = capsys.readouterr()
    assert f"| digits | {run} | nice | 70.000 ± 0.100 |" in output
    assert error.splitlines() == [f"{tmp_path}: no finished run", f"Picture: {picture}"]


# Folders, and what the one line on standard error must say.
REFUSED = {
    "no run": ("{x} {x}/none", "a finished run; got {x}: no finished run; {x}/none: no"),
    "broken results": ("{x}/broken", "results.json cannot be read"),
    "another experiment": ("{x}/vae", "vae: results of something else"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_run_is_refused(name, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "broken", "{")
    write(tmp_path / "vae", json.dumps({"elbo": {"nats": -19.0}}))
    arguments, words = (text.replace("{x}", str(tmp_path)) for text in REFUSED[name])
    assert_refused(compare, arguments.split(), 1, [words], capsys, monkeypatch)
    assert not (tmp_path / "comparison.png").exists()
