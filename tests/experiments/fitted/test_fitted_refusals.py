"""Commands on saved models that do not fit: refused in one line, and nothing is written."""

import pytest
from refused import assert_refused

from experiments import predict
from experiments import sample
from experiments import score

BAD_USE = {
    "no model": (score, "--csv={table} --out={out}", 2, "`model` to name a file"),
    "no table": (score, "--model={two} --out={out}", 2, "one of `csv` and `images`"),
    "no out": (sample, "--model={two}", 2, "`out` to name a file"),
    "model missing": (score, "--model=none --csv={table} --out={out}", 1, "got none"),
    "model of text": (score, "--model={table} --csv={table} --out={out}", 1, "saved model"),
    "table missing": (score, "--model={two} --csv=none --out={out}", 1, "No such file"),
    "out there": (score, "--model={two} --csv={table} --out={table}", 1, "is there"),
    "columns missing": (
        *(score, "--model={two} --csv={short} --out={out}", 1),
        "which lack ['size, m', 'c']",
    ),
    "other width": (
        *(score, "--model={nameless} --csv={table} --out={out}", 1),
        "2 columns, in the order of the model",
    ),
    "text": (score, "--model={nameless} --csv={text} --out={out}", 1, "'x' in column 'b'"),
    "too large": (score, "--model={nameless} --csv={large} --out={out}", 1, "float32"),
    "header only": (score, "--model={nameless} --csv={header} --out={out}", 1, "got none"),
    "no conditions": (
        sample,
        "--model={two} --out={out}",
        2,
        "`given`",
        "['size, m', 'c']",
    ),
    "conditions of none": (
        *(sample, "--model={nameless} --given={table} --out={out}", 2),
        "`given` to be none",
    ),
    "no rows": (sample, "--model={two} --rows=0 --out={out}", 2, "rows"),
    "nothing given": (
        *(predict, "--model={nameless} --csv={table} --out={out}", 1),
        "Expected a conditional model",
    ),
    "levels": (
        *(predict, "--model={two} --csv={table} --out={out} --levels=.1,1", 2),
        "`levels` to hold numbers between 0 and 1",
    ),
    "encoding": (
        *(score, "--model={two} --csv={table} --out={out} --encoding=utf-16", 2),
        "ASCII",
    ),
}


@pytest.mark.parametrize("name", BAD_USE)
def test_what_does_not_fit_is_refused_in_one_line(
    name, models, table, tmp_path, capsys, monkeypatch
):
    program, flags, status, *words = BAD_USE[name]
    files = {key: path for key, (path, _) in models.items()}
    files |= {"table": table[1], "out": tmp_path / "new" / "out.csv"}
    texts = {"short": "a,b\n1,2\n", "text": "a,b\n1,2\n3,x\n", "header": "a,b\n"}
    texts["large"] = "a,b\n1,2\n1e300,3\n"
    for key, text in texts.items():
        files[key] = tmp_path / f"{key}.csv"
        files[key].write_text(text)
    flags = flags.format(**files).split()
    assert_refused(program, flags, status, words, capsys, monkeypatch)
    assert not files["out"].exists()
