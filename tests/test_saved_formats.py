"""Saved files of each format number are read, with the same answers.

`python tests/test_saved_formats.py` writes the files of the present format anew.
"""

import json
import zipfile
from pathlib import Path

import fresh_process
import keras
import numpy as np
import pytest
from short_fits import trained_for
from tensorflow_probability import bijectors as tfb

import tfp_flows as tff
from tfp_flows.core.serialization import FORMAT

FOLDER = Path(__file__).parent / "saved_formats"
# Each kind of file, and what answers for it: log-densities or bounds, in nats a row.
ANSWERS = {
    "flow": lambda path: tff.load(path).distribution.log_prob(
        [[0.5, -1.0], [2.0, 3.0]], context=[[0.0], [1.0]]
    ),
    "vae": lambda path: tff.load(path).log_likelihood(np.eye(4, dtype="float32"), 5),
    "table": lambda path: tff.TableDensity.load(path).log_prob(
        {"x": [0.1, 0.7], "kind": ["b", "a"]}
    ),
    "posterior": lambda path: tff.inference.AmortizedPosterior.load(path)(
        [[0.5], [-1.0]]
    ).log_prob({"rate": np.float32([0.2, 0.9])}),
}


def save_flow(path):
    rng = np.random.default_rng(0)
    flow = tff.MAF(2, num_steps=2, hidden_units=(4,), context_size=1, seed=0)
    model = tff.DensityEstimator(tff.FlowDistribution(tff.standard_normal(2), flow))
    model.compile("adam", jit_compile=False)
    rows = rng.normal(size=(64, 2)), rng.normal(size=(64, 1))
    model.fit(rows, epochs=2, verbose=0)
    model.save(path)


def save_vae(path):
    model = tff.VAE(
        tff.MLP(2, (3,), seed=1, zero_last_layer=False),
        tff.posteriors.DiagonalGaussian(1),
        tff.MLP(4, (3,), seed=2, zero_last_layer=False),
        tff.likelihoods.Bernoulli(4),
    )
    model.save(path)


def save_table(path):
    frame = {"x": np.linspace(0.0, 1.0, 40), "kind": ["a", "b"] * 20}
    columns = tff.describe_columns(frame)
    table = tff.TableDensity(columns, num_members=1, hidden_units=(4,), seed=0)
    table.fit(frame, epochs=1, verbose=0)
    table.save(path)


def save_posterior(path):
    rng = np.random.default_rng(0)
    rate = rng.uniform(size=(200,)).astype("float32")
    pairs = {"rate": rate}, rng.normal(rate, 0.5)[:, None]
    splines = {"num_members": 1, "hidden_units": (4,), "num_bins": 4}
    support = {"rate": tfb.Sigmoid(0.0, 1.0)}
    with trained_for(1, splines=splines, flows={}):
        tff.fit_amortized_posterior(pairs, support=support).save(path)


SAVE = {
    "flow": save_flow,
    "vae": save_vae,
    "table": save_table,
    "posterior": save_posterior,
}


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*/*.keras")), ids=str)
def test_files_of_every_format_give_the_same_answers(path):
    expected = json.loads((path.parent / "answers.json").read_text())[path.stem]
    # Other machines may round otherwise.
    np.testing.assert_allclose(ANSWERS[path.stem](path), expected, rtol=1e-5, atol=1e-5)


# A process that has used no model reads the first as Keras alone does.
LOAD_ALL = f"""
import keras, tfp_flows
keras.saving.load_model({str(FOLDER / str(FORMAT) / "flow.keras")!r})
for kind in ("vae", "table", "posterior"):
    tfp_flows.load({str(FOLDER / str(FORMAT))!r} + f"/{{kind}}.keras")
"""


def test_a_fresh_process_reads_them(tmp_path):
    fresh_process.run(exec, LOAD_ALL, {}, output=tmp_path / "output")


def test_there_is_a_file_of_every_kind_and_format():
    found = {(int(path.parent.name), path.stem) for path in FOLDER.glob("*/*.keras")}
    assert found == {(number + 1, kind) for number in range(FORMAT) for kind in SAVE}


@pytest.mark.parametrize("kind", SAVE)
def test_files_of_newer_formats_and_of_none_are_refused(kind, tmp_path):
    source = FOLDER / str(FORMAT) / f"{kind}.keras"
    with zipfile.ZipFile(source) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    newer = f"newer version .format {FORMAT + 1}; this version reads up to {FORMAT}"
    for number, message in ((FORMAT + 1, newer), (None, "`format` number; got None")):
        config["config"]["format"] = number
        path = tmp_path / "other.keras"
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in {**members, "config.json": json.dumps(config)}.items():
                archive.writestr(name, content)
        for load in (tff.load, keras.saving.load_model):
            with pytest.raises((ValueError, TypeError), match=message):
                load(path)


if __name__ == "__main__":
    folder = FOLDER / str(FORMAT)
    folder.mkdir(parents=True, exist_ok=True)
    answers = {}
    for kind, save in SAVE.items():
        save(folder / f"{kind}.keras")
        answers[kind] = np.asarray(ANSWERS[kind](folder / f"{kind}.keras")).tolist()
    (folder / "answers.json").write_text(json.dumps(answers, indent=1) + "\n")
